// SPDX-License-Identifier: Apache-2.0

// Package cli owns the command line: the tree of commands made from the steps' declarations,
// the choice of the face, where each input's value comes from, and what a person sees.
//
// The rules of what a person sees:
//
//   - standard output carries results only: name=value lines, or one JSON value with --json;
//     what could not be written there makes the command fail in the end;
//   - everything else goes to standard error, in plain lines in a log and with a line that
//     renews itself on a terminal;
//   - an error is one line "knowngood: what: why", then "hint: " lines with the cure;
//   - text that came from outside is shown with its control characters escaped.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/knowngood/knowngood/cmd/internal/steps"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
)

// A Program is the command as a value: what it is given is all that it reaches for.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string
	Dir            string
	Now            func() time.Time
	Version        string
}

// Main runs one command line and returns the exit status.
func (p Program) Main(ctx context.Context, args []string) fault.Status {
	env := environment(p.Environ)
	out := &results{out: p.Stdout}
	p.Stdout = out
	face := p.face(env)
	root := p.root(face, env) //nolint:contextcheck // commands take the context from cobra
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil && fault.StatusOf(err) == fault.Failed {
		err = fault.Exit(fault.Cancelled, err)
	}
	if lost := out.lost(); lost != nil {
		err = errors.Join(err, lost)
	}
	if err != nil {
		p.printError(face, err)
	}
	if worker, ok := face.(*worker); ok {
		status, untold := worker.end(err)
		if untold != nil {
			p.printError(face, untold)
		}
		return status
	}
	return fault.StatusOf(err)
}

// root makes the tree of commands.
func (p Program) root(face face, env map[string]string) *cobra.Command {
	root := &cobra.Command{
		Use:           "knowngood",
		Short:         "Never ship without a way back.",
		Long:          rootHelp(),
		Version:       p.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetUsageFunc(usage)
	root.PersistentFlags().Bool("json", false, "Print the result as one JSON value on standard output.")
	root.PersistentFlags().Bool("verbose", false, "Log more.")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.Hint(fault.Exit(fault.Usage, err), "%s", cureOfFlag(cmd, err))
	})
	for _, one := range steps.All() {
		p.add(root, one, face, env)
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// cureOfFlag names the flag that was probably meant.
func cureOfFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
		if near := fault.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return fmt.Sprintf("see %s --help", cmd.CommandPath())
}

// noArgs refuses words that no command takes, with what was probably meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	_, parents, _ := strings.Cut(cmd.CommandPath()+" ", " ")
	err := fault.Usagef("unknown command %q", parents+args[0])
	if cmd.HasSubCommands() {
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return fault.Hint(err, "did you mean %s?", strings.Join(near, " or "))
		}
	}
	return fault.Hint(err, "see %s --help", cmd.CommandPath())
}

func rootHelp() string {
	var b strings.Builder
	b.WriteString("knowngood decides whether a commit may ship, keeps a known-good copy of the data\n" +
		"before it ships, renews the certificates while it ships, and says all of that on\n" +
		"the pull request.\n\nExit statuses:\n")
	for _, meaning := range fault.Statuses() {
		fmt.Fprintf(&b, "  %-4d %s\n", meaning.Status, meaning.Text)
	}
	b.WriteString("\nEvery input of a step can be given as a flag, as KNOWNGOOD_<NAME> in the\n" +
		"environment, or under \"inputs:\" in .knowngood.yaml; the first one found counts.\n" +
		"Secrets are taken from the environment (KNOWNGOOD_<NAME>) or from a file that\n" +
		"KNOWNGOOD_<NAME>_FILE names, never from a flag.")
	return b.String()
}

// printError tells the error and its hints on standard error, and to the face.
func (p Program) printError(face face, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(p.Stderr, "knowngood: %s\n", report.Clean(line))
	}
	for _, hint := range fault.Hints(err) {
		fmt.Fprintf(p.Stderr, "hint: %s\n", report.Clean(hint))
	}
	face.Fail(err)
}

// logger returns the logger for the face; terminal output renews a line while waiting.
func (p Program) logger(screen *screen, face face, verbose bool) *slog.Logger {
	if _, ok := face.(*worker); ok {
		return workerLog(p.Stderr, verbose)
	}
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(&lines{screen: screen, level: level, now: p.Now, mark: face.Mark})
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// environment returns the variables as a map; the last of two wins, as in a shell.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, found := strings.Cut(pair, "="); found {
			env[name] = value
		}
	}
	return env
}

// usageOfProcess returns the CPU time that the process used and its largest resident size. A
// kernel that does not tell gives zeros.
func usageOfProcess() (cpu time.Duration, peak int64) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), usage.Maxrss << 10
}

// withoutSecrets returns the environment without the values of the given variables, for
// commands that the user runs through us and that have no business with our secrets.
func withoutSecrets(environ []string, names []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(names, name)
	})
}
