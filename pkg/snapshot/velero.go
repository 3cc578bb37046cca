// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// Velero's annotations, which many pods bear already:
// https://velero.io/docs/main/backup-hooks/
const (
	veleroPre  = "pre.hook.backup.velero.io/"
	veleroPost = "post.hook.backup.velero.io/"
)

// A pair is a command before the cut and a command after it; either may be nil.
type pair struct{ pre, post *command }

// A command is one half of a pair.
type command struct {
	container string
	args      []string
	timeout   time.Duration
	// goOn is true when the snapshots are taken even if the command fails.
	goOn bool
}

func hasVelero(pod *corev1.Pod) bool {
	return pod.Annotations[veleroPre+"command"] != "" || pod.Annotations[veleroPost+"command"] != ""
}

func readPair(pod *corev1.Pod) (*pair, error) {
	pre, err := readCommand(pod, veleroPre)
	if err != nil {
		return nil, err
	}
	post, err := readCommand(pod, veleroPost)
	if err != nil {
		return nil, err
	}
	if pre != nil {
		if what := freezes(pre.args); what != "" {
			return nil, fault.Hint(
				fault.Usagef("%scommand freezes (%s) and its thaw is another command: if knowngood were killed between the two, nothing would thaw", veleroPre, what),
				"for PostgreSQL use %s=postgresql; or take snapshots without this pod's hooks: %s=skip", AnnotationHold, AnnotationHooks)
		}
	}
	return &pair{pre, post}, nil
}

// readCommand reads one half with Velero's defaults: the first container, 30 s, Fail.
func readCommand(pod *corev1.Pod, prefix string) (*command, error) {
	text := pod.Annotations[prefix+"command"]
	if text == "" {
		return nil, nil //nolint:nilnil // half a pair is none of an error
	}
	c := &command{timeout: kube.DefaultExecTimeout, args: []string{text}}
	if strings.HasPrefix(text, "[") {
		c.args = nil
		if err := json.Unmarshal([]byte(text), &c.args); err != nil || len(c.args) == 0 {
			return nil, fault.Usagef("annotation %scommand is %q: want a command, or a JSON list of its words", prefix, kube.OneLine(text))
		}
	}
	container, err := pickContainer(pod, pod.Annotations[prefix+"container"], pod.Spec.Containers[0].Name)
	if err != nil {
		return nil, fmt.Errorf("annotation %scontainer: %w", prefix, err)
	}
	c.container = container.Name
	switch mode := pod.Annotations[prefix+"on-error"]; strings.ToLower(mode) {
	case "", "fail":
	case "continue":
		c.goOn = true
	default:
		return nil, fault.Usagef("annotation %son-error is %q: want Fail or Continue", prefix, kube.OneLine(mode))
	}
	if text, given := pod.Annotations[prefix+"timeout"]; given {
		if c.timeout, err = time.ParseDuration(text); err != nil || c.timeout <= 0 {
			return nil, fault.Usagef("annotation %stimeout is %q: want a length of time, e.g. 30s", prefix, kube.OneLine(text))
		}
	}
	return c, nil
}

// freezing are the commands that stop others from writing until a second command lets them.
var freezing = regexp.MustCompile(`(?i)freeze` + // fsfreeze, xfs_freeze, xfs_io -c freeze, CSI tools
	`|flush\s+(local\s+)?tables\s[^;]*with\s+read\s+lock|lock\s+(instance|binlog)\s+for\s+backup` + // MySQL
	`|fsynclock|\bfsync\b[^}]*\block\b` + // MongoDB
	`|pg_(start_backup|backup_start)` + // ends with the command's own session
	`|dmsetup\s+suspend|kill\s+(-s\s*|-)(sig)?stop\b|kill\s+-19\b` +
	`|alter\s+(system|database)\s+(suspend|begin\s+backup)|set\s+write\s+suspend`) // Oracle, Db2

// freezes returns what in a command freezes, or "".
func freezes(args []string) string {
	return freezing.FindString(strings.Join(args, " "))
}
