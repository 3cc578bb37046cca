// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/sarif"
	"github.com/knowngood/knowngood/pkg/step"
)

// keyInSecret is under which name a Secret holds the key.
const keyInSecret = "password"

// keyPatience is how long a command may take to print the key, and how much it may print.
const (
	keyPatience = time.Minute
	mostPrinted = 16 << 10
)

// noKey is the error of a step that needs the key and was given none: a key that a pipeline
// invented would be lost with it. Whoever has backups needs the key that they were made with.
func noKey() error {
	err := fault.Hint(fault.Usagef("no key of the repository is given"),
		"a new repository takes a new key: knowngood key init --key-file FILE; keep a copy of the file elsewhere")
	return fault.Hint(err, "set KNOWNGOOD_REPOSITORY_PASSWORD_FILE to the file with its key, "+
		"or give --repository-password-secret or --repository-password-command")
}

// key returns the key of the repository from the one source that the inputs name. It is asked
// once, and from then on no face shows the key.
func (v *vault) key(ctx context.Context, run *Run) (step.Hidden, error) {
	if v.known != "" {
		return v.known, nil
	}
	var named []string
	for _, source := range []struct{ name, value string }{
		{"KNOWNGOOD_REPOSITORY_PASSWORD (or its _FILE)", v.password.Reveal()},
		{"repository-password-command", v.command},
		{"repository-password-secret", v.secret},
	} {
		if source.value != "" {
			named = append(named, source.name)
		}
	}
	if len(named) == 0 {
		return "", noKey()
	} else if len(named) > 1 {
		return "", fault.Hint(fault.Usagef("the key of the repository has more than one source: %s", strings.Join(named, " and ")),
			"leave one: each could hold another key")
	}
	key, err := v.password, error(nil)
	switch {
	case v.command != "":
		key, err = keyByCommand(ctx, run, v.command, keyPatience)
	case v.secret != "":
		key, err = v.keyInSecret(ctx, run)
	default:
		warnOfReaders(run)
	}
	if err != nil {
		return "", err
	}
	run.Host.Mask(key.Reveal())
	v.known = key
	return key, nil
}

// keyInSecret reads the key from a Secret.
func (v *vault) keyInSecret(ctx context.Context, run *Run) (step.Hidden, error) {
	if v.from == nil {
		return "", fault.Usagef("repository-password-secret: this step reads no Secret")
	}
	connected, err := v.from.connect(ctx, run)
	if err != nil {
		return "", fmt.Errorf("read the key of the repository: %w", err)
	}
	namespace, name, err := connected.SecretName(v.secret)
	if err != nil {
		return "", err
	}
	value, err := connected.ReadSecret(ctx, namespace, name, keyInSecret)
	if errors.Is(err, kube.ErrNoSecret) {
		return "", fault.Hint(fault.Exit(fault.Usage, err), "make the key: knowngood key init --key-secret %s/%s", namespace, name)
	}
	return step.Hidden(strings.TrimRight(string(value), "\r\n")), err
}

// keyByCommand runs the command that prints the key. Nothing of what it prints is shown but some
// of its standard error, when it fails: in the log, and not in the error, which ends in records and
// comments. A command may print a key there that nobody else knows to be one.
func keyByCommand(ctx context.Context, run *Run, line string, patience time.Duration) (step.Hidden, error) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	printed, said := &limited{most: mostPrinted}, &limited{most: mostPrinted}
	cmd := userCommand(within, run, []string{"/bin/sh", "-ec", line})
	cmd.Stdout, cmd.Stderr = printed, said
	err := cmd.Run()
	key := strings.TrimRight(printed.String(), "\r\n")
	words := strings.TrimSpace(masked(said.String(), key))
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case within.Err() != nil:
		err = fmt.Errorf("it did not end within %v", patience)
	case errors.As(err, &exit):
		err = fmt.Errorf("it ended with exit status %d", exit.ExitCode())
	case err != nil:
	case key == "":
		err = errors.New("it printed nothing on its standard output")
	case strings.ContainsAny(key, "\r\n\x00") || printed.cut:
		err = errors.New("it printed more than one line on its standard output")
	}
	if err == nil {
		return step.Hidden(key), nil
	}
	if words != "" {
		run.Log.Warn("the command of the key failed", "it_said", report.Line(words, mostSaid))
	}
	err = fault.Usagef("repository-password-command: %w", err)
	return "", fault.Hint(err, "the command has to print the key on one line of its standard output, and nothing else; try it by hand")
}

// mostSaid is how much is shown of what a command said.
const mostSaid = 300

// keyLike finds words that could be a key: long ones of the signs that keys are written with.
var keyLike = regexp.MustCompile(`[A-Za-z0-9+/=_-]{20,}`)

// masked returns what a command said as one line, without secrets by their form, without words that
// could be a key, and without any line of what it printed.
func masked(said, printed string) string {
	for line := range strings.Lines(printed) {
		if line = strings.TrimSpace(line); line != "" {
			said = strings.ReplaceAll(said, line, "***")
		}
	}
	return report.Clean(keyLike.ReplaceAllString(sarif.Mask(said), "***"))
}

// limited keeps the first bytes that are written to it, and takes all.
type limited struct {
	bytes.Buffer
	most int
	cut  bool
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	keep := min(len(p), l.most-l.Len())
	l.cut = l.cut || keep < len(p)
	l.Buffer.Write(p[:keep])
	return len(p), nil
}
