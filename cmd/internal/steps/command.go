// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// grace is how long a deploy command may take to end after it was asked to.
const grace = 30 * time.Second

// deploy runs the user's command in the run's environment (without our secrets) and keeps how
// it ended. Its output goes to the console: standard output is for results alone.
func deploy(ctx context.Context, run *Run, s *subject, command []string, e *release.Entry) error {
	e.Deploy = &release.Deploy{Command: strings.Join(command, " ")}
	cmd := userCommand(ctx, run, command)
	cmd.Env = append(cmd.Env, "KNOWNGOOD_RUN="+s.run, "KNOWNGOOD_COMMIT="+s.commit)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		e.Deploy.ExitStatus = -1
		return fmt.Errorf("deploy %q: %w", e.Deploy.Command, ctx.Err())
	case errors.As(err, &exit):
		e.Deploy.ExitStatus = exit.ExitCode()
		return deployError(command, exit.ExitCode())
	case errors.Is(err, exec.ErrNotFound):
		e.Deploy.ExitStatus = -1
		return fault.Hint(fmt.Errorf("deploy: %w", err), "the words after \"--\" are run as they are; for shell syntax write -- sh -c '...'")
	case err != nil:
		e.Deploy.ExitStatus = -1
		return fmt.Errorf("deploy %q: %w", e.Deploy.Command, err)
	}
	return nil
}

// userCommand is a command that the user asked to run. It gets a group of its own, and the
// whole group is asked to end: a shell that is killed alone would leave its children at work.
func userCommand(ctx context.Context, run *Run, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // running the user's command is the purpose
	cmd.Dir, cmd.Env = run.Dir, slices.Clone(run.Environ)
	cmd.Stdout, cmd.Stderr = run.Console, run.Console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd
}
