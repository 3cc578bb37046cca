// SPDX-License-Identifier: Apache-2.0

// Package git owns what a checkout knows: its commit, the tree of a commit, the repository
// it came from, and a file as of a commit. It asks the git program, because that alone reads
// every repository that git writes (worktrees, packs, SHA-256, alternates).
//
// It only reads. It never speaks to a remote, asks for nothing, runs no hook, filter, pager or
// monitor that the repository's configuration names, and takes every repository for safe to
// read whoever owns it, as a build's container does.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// Errors that callers branch on.
var (
	// ErrNoGit means that there is no git program to ask.
	ErrNoGit = errors.New("the git program was not found")
	// ErrNoRepository means that the folder is in no checkout.
	ErrNoRepository = errors.New("not in a git repository")
	// ErrNoCommit means that the repository does not hold the commit: it has none yet, or
	// the checkout is shallow.
	ErrNoCommit = errors.New("no such commit in this repository")
	// ErrNoFile means that the commit has nothing of that path.
	ErrNoFile = errors.New("no such file in the commit")
	// ErrIrregular means that the commit has a link, a folder or a submodule there.
	ErrIrregular = errors.New("not a regular file in the commit")
)

const (
	// deadline is how long one question may take: git reads local files alone.
	deadline = 30 * time.Second
	// maxFile is the size of the largest file that File returns.
	maxFile = 16 << 20
)

// A Checkout is a folder in a git repository.
type Checkout struct {
	dir     string
	environ []string
}

// Open finds the repository that dir is in. environ is the process's environment; what it
// says of another repository (GIT_DIR and the like, which git sets for hooks) is left out.
// Without a repository it is ErrNoRepository, without git ErrNoGit.
func Open(ctx context.Context, dir string, environ []string) (*Checkout, error) {
	c := &Checkout{dir: dir, environ: clean(environ)}
	if _, err := c.ask(ctx, "rev-parse", "--git-dir"); err != nil {
		return nil, fmt.Errorf("look for a git repository at %s: %w", dir, err)
	}
	return c, nil
}

// Root returns the top folder of the checkout, with no link in its path.
func (c *Checkout) Root(ctx context.Context) (string, error) {
	root, err := c.ask(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("look for the top folder of %s: %w", c.dir, err)
	}
	return root, nil
}

// Commit returns the commit that is checked out. A repository without one is ErrNoCommit.
func (c *Checkout) Commit(ctx context.Context) (release.Commit, error) {
	return c.object(ctx, "HEAD^{commit}")
}

// Tree returns the tree of a commit.
func (c *Checkout) Tree(ctx context.Context, commit release.Commit) (release.Commit, error) {
	if err := checked(commit); err != nil {
		return "", err
	}
	return c.object(ctx, string(commit)+"^{tree}")
}

// Remote returns owner/name of the repository at the remote that HEAD's branch follows, else
// of origin, else of the only remote. It is "" when none of them names one.
func (c *Checkout) Remote(ctx context.Context) (string, error) {
	_, repository, err := c.Origin(ctx)
	return repository, err
}

// upstream returns the remote of the branch that is checked out, "" where there is none.
func (c *Checkout) upstream(ctx context.Context) string {
	branch, err := c.ask(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		return ""
	}
	remote, err := c.ask(ctx, "config", "--get", "branch."+branch+".remote")
	if err != nil || remote == "." {
		return ""
	}
	return remote
}

// File returns a regular file as the commit has it; path is relative to the repository's
// root. It is ErrNoCommit where the checkout does not hold the commit, ErrNoFile where the
// commit has nothing there, and ErrIrregular where it has something else than a file.
func (c *Checkout) File(ctx context.Context, commit release.Commit, path string) ([]byte, error) {
	if err := checked(commit); err != nil {
		return nil, err
	}
	if !fs.ValidPath(path) || path == "." {
		return nil, fmt.Errorf("read %q as of %s: want a path relative to the repository's root: %w", path, commit.Short(), ErrNoFile)
	}
	if _, err := c.object(ctx, string(commit)+"^{commit}"); err != nil {
		return nil, err
	}
	row, err := c.ask(ctx, "ls-tree", "-z", "--full-tree", string(commit), "--", path)
	if err != nil {
		return nil, fmt.Errorf("read %s as of %s: %w", path, commit.Short(), err)
	}
	// "<mode> <type> <object>\t<path>\0"
	fields := strings.Fields(row)
	switch {
	case row == "":
		return nil, fmt.Errorf("read %s as of %s: %w", path, commit.Short(), ErrNoFile)
	case len(fields) < 3 || !strings.HasPrefix(fields[0], "100") || fields[1] != "blob":
		return nil, fmt.Errorf("read %s as of %s: %w", path, commit.Short(), ErrIrregular)
	}
	data, err := c.run(ctx, maxFile, "cat-file", "blob", fields[2])
	if err != nil {
		return nil, fmt.Errorf("read %s as of %s: %w", path, commit.Short(), err)
	}
	return data, nil
}

func checked(commit release.Commit) error {
	parsed, err := release.ParseCommit(string(commit))
	if err == nil && parsed != commit {
		err = fmt.Errorf("commit %q is not written as an object id", commit)
	}
	return err
}

// object resolves a name of an object to its id.
func (c *Checkout) object(ctx context.Context, name string) (release.Commit, error) {
	id, err := c.ask(ctx, "rev-parse", "--quiet", "--verify", "--end-of-options", name)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1: // what --quiet --verify says
		return "", fault.Hint(fmt.Errorf("look up %s in %s: %w", name, c.dir, ErrNoCommit),
			"the checkout may be shallow: fetch the commit (fetch-depth: 0 of actions/checkout, or git fetch origin COMMIT)")
	case err != nil:
		return "", fmt.Errorf("look up %s in %s: %w", name, c.dir, err)
	}
	return release.ParseCommit(id)
}

// ask runs git and returns the line that it prints.
func (c *Checkout) ask(ctx context.Context, args ...string) (string, error) {
	output, err := c.run(ctx, 1<<20, args...)
	return strings.TrimSuffix(string(output), "\n"), err
}

// guarded returns the arguments with the configuration that every command is given. The first
// setting lets git read a repository that another user owns; the others keep such a repository
// from choosing a program to run.
func guarded(args []string) []string {
	return append([]string{
		"--no-pager", "--literal-pathspecs",
		"-c", "safe.directory=*",
		"-c", "core.fsmonitor=false",
		"-c", "core.hooksPath=/dev/null",
		"-c", "protocol.allow=never",
	}, args...)
}

func (c *Checkout) run(ctx context.Context, limit int64, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	command := exec.CommandContext(ctx, "git", guarded(args)...) //nolint:gosec // no shell, and options end before what others wrote
	command.Dir, command.Env, command.WaitDelay = c.dir, c.environ, time.Second
	complaint := &capped{left: 4 << 10}
	output := &capped{left: limit}
	command.Stderr, command.Stdout = complaint, output
	err := command.Run()
	switch {
	case err == nil && output.over:
		return nil, fmt.Errorf("git %s prints more than %d bytes", verb(args), limit)
	case err == nil:
		return output.Bytes(), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("git %s: %w", verb(args), ctx.Err())
	default:
		return nil, explain(c.dir, verb(args), complaint.String(), err)
	}
}

// verb returns what git is asked to do, which settings may stand before.
func verb(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

// explain gives git's complaint, which LC_ALL=C keeps in English, the meaning that callers
// branch on. git has one exit status for all of them.
func explain(dir, verb, complaint string, err error) error {
	line := complaintOf(complaint)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fault.Hint(fmt.Errorf("%w: %w", ErrNoGit, err), "install git, or give what it would tell (--commit, --app)")
	case strings.Contains(complaint, "not a git repository"):
		return ErrNoRepository
	case strings.Contains(complaint, "dubious ownership"), strings.Contains(complaint, "unsafe repository"):
		// Before version 2.38 git heeds safe.directory in its files alone.
		return fault.Hint(fmt.Errorf("git %s: %q: %w", verb, line, err), "git config --global --add safe.directory %q", dir)
	case line == "":
		return fmt.Errorf("git %s: %w", verb, err)
	}
	return fmt.Errorf("git %s: %q: %w", verb, line, err)
}

// complaintOf returns the line that says what went wrong: the first one marked as such.
func complaintOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if strings.HasPrefix(line, "fatal: ") || strings.HasPrefix(line, "error: ") {
			return line
		}
	}
	return lines[0]
}

// capped keeps what fits and notes whether there was more. It never refuses a write, so
// that git ends by itself.
type capped struct {
	bytes.Buffer
	left int64
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	fits := min(int64(len(p)), c.left)
	c.left -= fits
	c.over = c.over || fits < int64(len(p))
	c.Buffer.Write(p[:fits])
	return len(p), nil
}

// ReadFrom is Write until the end: the embedded Buffer's own would keep everything.
func (c *capped) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}
