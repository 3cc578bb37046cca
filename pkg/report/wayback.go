// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// nameForm is what Kubernetes accepts as a name; anything else is not put into a command.
var nameForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$`)

// wayBack is the snapshots of the run, and how the data in them is reached.
func (s story) wayBack(most int) []block {
	e := s.record.Last("snapshot")
	if e == nil || e.Protection == nil || len(e.Protection.Snapshots) == 0 {
		return nil
	}
	taken := there(s.record, e.Protection.Snapshots)
	namespace := taken[0].Namespace
	head := "| claim | snapshot | consistency | taken | size |\n|:--|:--|:--|:--|--:|\n"
	b := table("#### Way back\n\n", head, rankSnapshots, most, 5)
	deleted, ready := 0, 0
	for _, t := range taken {
		b.items = append(b.items, snapshotRow(t, namespace))
		if t.Ready {
			ready++
			if !t.RetainedByClass {
				deleted++
			}
		}
	}
	if ready > 0 {
		b.close += wayBackWords(namespace, s.record.Subject) + "\n\n"
	}
	remarks := section("", rankSnapshots, most, "remark")
	for _, note := range e.Protection.Notes {
		remarks.items = append(remarks.items, "- "+said(note)+"\n")
	}
	if deleted > 0 && len(remarks.items) == 0 {
		b.close += caution.sign() + " The storage keeps this data only as long as the VolumeSnapshot exists: who deletes it, or its namespace, deletes the data.\n\n"
	}
	return []block{b, remarks.orNothing(), manifests(taken)}
}

func snapshotRow(t release.Snapshot, namespace string) string {
	claim, how := t.Claim, good.sign()+" "+consistencyWord(t.Consistency)
	if t.Namespace != namespace {
		claim = t.Namespace + "/" + t.Claim
	}
	name := code(t.Name, 253)
	switch {
	case !t.Ready && t.Error != "":
		how = bad.sign() + " " + said(t.Error)
	case !t.Ready:
		how = bad.sign() + " not ready"
	case t.Consistency != release.ConsistencyApplication && t.Consistency != release.ConsistencyCrash:
		how = caution.sign() + " " + consistencyWord(t.Consistency)
	}
	if t.Reused {
		name += " (from an earlier attempt)"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n",
		code(claim, pathLength), name, how, together(moment(t.Cut)), together(size(t.RestoreBytes)))
}

func wayBackWords(namespace string, about release.Subject) string {
	text := "Each is a VolumeSnapshot in namespace " + code(namespace, 63) +
		". A new claim whose `dataSource` names it holds the data as of that time."
	commands := []string{goBack(namespace, about)}
	if nameForm.MatchString(namespace) && nameForm.MatchString(about.Commit.Label()) {
		commands = append(commands, fmt.Sprintf("kubectl --namespace %s get volumesnapshots --selector %s=%s", namespace, release.LabelCommit, about.Commit.Label()))
	}
	return text + "\n\n```sh\n" + strings.Join(commands, "\n") + "\n```"
}

// goBack is the command that shows how the data of a run is put back. A name that cannot be put
// on a line of a shell as it is stands there as a word to fill in.
func goBack(namespace string, about release.Subject) string {
	word := func(name, blank string) string {
		if plainWord.MatchString(name) {
			return name
		}
		return blank
	}
	return fmt.Sprintf("knowngood restore --app %s --environment %s --namespace %s --run %s --dry-run",
		word(about.App, "APP"), word(about.Environment, "ENVIRONMENT"), word(namespace, "NAMESPACE"), word(about.Run, "RUN"))
}

// manifests are claims that restore the snapshots, ready to be applied under a new name.
func manifests(taken []release.Snapshot) block {
	b := details("Claims with the data of these snapshots, as YAML for <code>kubectl apply</code>", rankManifests, 20)
	b.open += "```yaml\n"
	b.close = "```\n" + b.close
	b.more = func(n int) string { return fmt.Sprintf("# and %s more, made alike\n", thousands(n)) }
	for _, t := range taken {
		if t.Ready && nameForm.MatchString(t.Namespace) && nameForm.MatchString(t.Name) && nameForm.MatchString(t.Claim) {
			text := manifest(t)
			if len(b.items) > 0 {
				text = "---\n" + text
			}
			b.items = append(b.items, text)
		}
	}
	return b.orNothing()
}

func manifest(t release.Snapshot) string {
	lines := []string{
		"apiVersion: v1",
		"kind: PersistentVolumeClaim",
		"metadata:",
		"  name: " + t.Claim + "-restored",
		"  namespace: " + t.Namespace,
		"spec:",
	}
	if t.StorageClass != "" {
		lines = append(lines, "  storageClassName: "+quoted(t.StorageClass))
	}
	if t.VolumeMode != "" {
		lines = append(lines, "  volumeMode: "+quoted(t.VolumeMode))
	}
	var modes []string
	for _, mode := range t.AccessModes {
		modes = append(modes, quoted(mode))
	}
	lines = append(lines,
		"  accessModes: ["+strings.Join(modes, ", ")+"]",
		"  resources:",
		"    requests:",
		fmt.Sprintf("      storage: \"%d\"", max(t.RestoreBytes, t.ClaimBytes)),
		"  dataSource:",
		"    apiGroup: snapshot.storage.k8s.io",
		"    kind: VolumeSnapshot",
		"    name: "+t.Name,
		"",
	)
	return strings.Join(lines, "\n")
}

// quoted writes text as a double-quoted YAML scalar of one line, which a JSON string is.
func quoted(text string) string {
	form, err := json.Marshal(cut(Clean(text), 253))
	if err != nil {
		return `""`
	}
	return string(form)
}
