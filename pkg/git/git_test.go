// SPDX-License-Identifier: Apache-2.0

package git_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/release"
)

// environ is the test's environment without what would reach the person's own configuration.
func environ(t *testing.T, more ...string) []string {
	t.Helper()
	return append(os.Environ(), append([]string{
		"HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.test",
	}, more...)...)
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Env = dir, environ(t)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return strings.TrimSpace(string(output))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repository makes a repository with two commits and returns its folder and the commits.
func repository(t *testing.T, format string) (dir, first, second string) {
	t.Helper()
	dir = t.TempDir()
	run(t, dir, "init", "-q", "-b", "main", "--object-format="+format)
	write(t, dir+"/.knowngood.yaml", "gate: {}\n")
	write(t, dir+"/deep/file name:x.txt", "deep\n")
	if err := os.Symlink("/etc/passwd", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "add", ".")
	run(t, dir, "commit", "-q", "-m", "first")
	first = run(t, dir, "rev-parse", "HEAD")
	write(t, dir+"/.knowngood.yaml", "gate: {changed: true}\n")
	run(t, dir, "commit", "-q", "-a", "-m", "second")
	return dir, first, run(t, dir, "rev-parse", "HEAD")
}

func resolved(t *testing.T, path string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return real
}

func open(t *testing.T, dir string, more ...string) *git.Checkout {
	t.Helper()
	checkout, err := git.Open(t.Context(), dir, environ(t, more...))
	if err != nil {
		t.Fatal(err)
	}
	return checkout
}

func TestACheckoutKnowsItself(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir, first, second := repository(t, format)
			run(t, dir, "remote", "add", "origin", "https://x-access-token:secret@github.com/Octo/Shop.git")
			facts, err := git.FactsOf(t.Context(), dir+"/deep", environ(t))
			if err != nil {
				t.Fatal(err)
			}
			want := git.Facts{
				Commit: release.Commit(second), Tree: release.Commit(run(t, dir, "rev-parse", "HEAD^{tree}")), Repository: "Octo/Shop",
			}
			if diff := cmp.Diff(want, facts); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			data, err := open(t, dir+"/deep").File(t.Context(), release.Commit(first), ".knowngood.yaml")
			if err != nil || string(data) != "gate: {}\n" {
				t.Errorf("File = %q, %v", data, err)
			}
		})
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	t.Parallel()
	dir, first, _ := repository(t, "sha1")
	checkout, commit := open(t, dir), release.Commit(first)
	for _, path := range []string{"absent", "../outside", "/etc/passwd", "", ".", "*", ":(top)link", "deep/"} {
		if data, err := checkout.File(t.Context(), commit, path); !errors.Is(err, git.ErrNoFile) {
			t.Errorf("File(%q) = %q, %v, want %v", path, data, err, git.ErrNoFile)
		}
	}
	for _, path := range []string{"deep", "link"} {
		if data, err := checkout.File(t.Context(), commit, path); !errors.Is(err, git.ErrIrregular) {
			t.Errorf("File(%q) = %q, %v, want %v", path, data, err, git.ErrIrregular)
		}
	}
	if root, err := open(t, dir+"/deep").Root(t.Context()); err != nil || root != resolved(t, dir) {
		t.Errorf("Root = %q, %v, want %q", root, err, dir)
	}
	if data, err := checkout.File(t.Context(), commit, "deep/file name:x.txt"); string(data) != "deep\n" {
		t.Errorf("File = %q, %v", data, err)
	}
	missing := release.Commit(strings.Repeat("1", 40))
	if _, err := checkout.File(t.Context(), missing, "link"); !errors.Is(err, git.ErrNoCommit) || len(fault.Hints(err)) == 0 {
		t.Errorf("a commit that is not there: %v", err)
	}
	tree := release.Commit(run(t, dir, "rev-parse", "HEAD^{tree}"))
	if _, err := checkout.File(t.Context(), tree, "link"); !errors.Is(err, git.ErrNoCommit) {
		t.Errorf("a tree is no commit: %v", err)
	}
	if _, err := checkout.File(t.Context(), "--help", "link"); err == nil {
		t.Error("an option passes for a commit")
	}
}

func TestPlacesWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	run(t, empty, "init", "-q")
	if _, err := open(t, empty).Commit(t.Context()); !errors.Is(err, git.ErrNoCommit) {
		t.Errorf("a repository without a commit: %v", err)
	}
	if _, err := git.Open(t.Context(), t.TempDir(), environ(t)); !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("no repository: %v", err)
	}
	for _, dir := range []string{empty, t.TempDir()} {
		if facts, err := git.FactsOf(t.Context(), dir, environ(t)); err != nil || facts != (git.Facts{}) {
			t.Errorf("FactsOf = %+v, %v", facts, err)
		}
	}
}

// Inside a hook or a rebase git says which repository it works on; that is another one.
func TestTheFolderCountsAndNotTheEnvironment(t *testing.T) {
	t.Parallel()
	dir, _, second := repository(t, "sha1")
	other, _, _ := repository(t, "sha256")
	checkout := open(t, dir, "GIT_DIR="+other+"/.git", "GIT_WORK_TREE="+other, "GIT_OBJECT_DIRECTORY="+other,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.bare", "GIT_CONFIG_VALUE_0=maybe", "LC_ALL=de_DE.UTF-8")
	if commit, err := checkout.Commit(t.Context()); string(commit) != second {
		t.Errorf("Commit = %q, %v, want %s", commit, err, second)
	}
}

func TestWorktreesAndBareRepositories(t *testing.T) {
	t.Parallel()
	dir, first, second := repository(t, "sha1")
	worktree, bare := filepath.Join(t.TempDir(), "wt"), filepath.Join(t.TempDir(), "bare.git")
	run(t, dir, "worktree", "add", "-q", "--detach", worktree, first)
	run(t, dir, "clone", "-q", "--bare", dir, bare)
	for place, want := range map[string]string{worktree: first, bare: second} {
		if commit, err := open(t, place).Commit(t.Context()); string(commit) != want {
			t.Errorf("Commit in %s = %q, %v, want %s", place, commit, err, want)
		}
	}
}

func TestAShallowCheckoutSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	dir, first, second := repository(t, "sha1")
	shallow := filepath.Join(t.TempDir(), "shallow")
	run(t, dir, "clone", "-q", "--depth=1", "file://"+dir, shallow)
	checkout := open(t, shallow)
	if _, err := checkout.File(t.Context(), release.Commit(second), ".knowngood.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := checkout.File(t.Context(), release.Commit(first), ".knowngood.yaml"); !errors.Is(err, git.ErrNoCommit) {
		t.Errorf("a commit below the shallow line: %v", err)
	}
	if remote, err := checkout.Remote(t.Context()); remote != "" || err != nil {
		t.Errorf("a folder as remote: %q, %v", remote, err)
	}
}

// In a partial clone a file may have to be fetched: that is an error, not an absent file,
// and nothing is fetched.
func TestAPartialCloneIsNotAsked(t *testing.T) {
	t.Parallel()
	dir, first, _ := repository(t, "sha1")
	run(t, dir, "config", "uploadpack.allowFilter", "true")
	partial := filepath.Join(t.TempDir(), "partial")
	run(t, dir, "clone", "-q", "--filter=blob:none", "file://"+dir, partial)
	data, err := open(t, partial).File(t.Context(), release.Commit(first), ".knowngood.yaml")
	if err == nil || errors.Is(err, git.ErrNoFile) {
		t.Errorf("File = %q, %v", data, err)
	}
}

// A repository that somebody else owns is read, and the programs that it names are not run.
func TestAForeignRepositoryIsReadAndNotObeyed(t *testing.T) {
	t.Parallel()
	dir, first, second := repository(t, "sha1")
	trap := filepath.Join(t.TempDir(), "trapped")
	script := filepath.Join(t.TempDir(), "trap")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntouch "+trap+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "filter.x.smudge", "diff.x.textconv", "core.askPass"} {
		run(t, dir, "config", name, script)
	}
	write(t, dir+"/.git/info/attributes", "* filter=x diff=x\n")
	if os.Getuid() == 0 {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, 65534, 65534))
		})
		if err != nil {
			t.Fatal(err)
		}
		plain := exec.CommandContext(t.Context(), "git", "rev-parse", "HEAD")
		plain.Dir, plain.Env = dir, environ(t)
		if output, err := plain.CombinedOutput(); err == nil {
			t.Errorf("git itself reads the foreign repository, so that this test shows nothing: %s", output)
		}
	}
	checkout := open(t, dir)
	if commit, err := checkout.Commit(t.Context()); string(commit) != second {
		t.Errorf("Commit = %q, %v", commit, err)
	}
	if _, err := checkout.File(t.Context(), release.Commit(first), ".knowngood.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("a program that the repository names was run")
	}
}

func TestWithoutGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := git.Open(t.Context(), t.TempDir(), nil)
	if !errors.Is(err, git.ErrNoGit) || len(fault.Hints(err)) != 1 {
		t.Errorf("error %v, hints %q", err, fault.Hints(err))
	}
}

func TestRemoteFollowsTheBranch(t *testing.T) {
	t.Parallel()
	dir, _, _ := repository(t, "sha1")
	run(t, dir, "remote", "add", "origin", "git@github.com:fork/shop.git")
	run(t, dir, "remote", "add", "upstream", "git@github.com:octo/shop.git")
	for _, test := range []struct{ branchRemote, want string }{{"", "fork/shop"}, {"upstream", "octo/shop"}, {".", "fork/shop"}} {
		if test.branchRemote != "" {
			run(t, dir, "config", "branch.main.remote", test.branchRemote)
		}
		if got, err := open(t, dir).Remote(t.Context()); got != test.want || err != nil {
			t.Errorf("with branch.main.remote %q: %q, %v, want %q", test.branchRemote, got, err, test.want)
		}
	}
}

func TestParseRemote(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ address, host, repository string }{
		{"https://github.com/octo/shop", "github.com", "octo/shop"},
		{"https://github.com/octo/shop.git", "github.com", "octo/shop"},
		{"https://github.com/octo/shop/", "github.com", "octo/shop"},
		{"https://user:token@GitHub.com/octo/shop.git", "github.com", "octo/shop"},
		{"ssh://git@github.com:22/octo/shop.git", "github.com", "octo/shop"},
		{"ssh://git@ssh.github.com:443/octo/shop", "ssh.github.com", "octo/shop"},
		{"git@github.com:octo/shop.git", "github.com", "octo/shop"},
		{"github.com:octo/shop", "github.com", "octo/shop"},
		{"git@ghe.example.test:/octo/a.b-c_d", "ghe.example.test", "octo/a.b-c_d"},
		{"git@github.com:octo/..", "", ""},
		{"git@github.com:../shop", "", ""},
		{"https://github.com/octo/.git", "", ""},
		{"https://github.com/octo", "", ""},
		{"https://gitlab.com/group/sub/shop", "", ""},
		{"https://github.com/octo/sh%0Aop", "", ""},
		{"https://github.com/octo/shop?x=%00", "github.com", "octo/shop"},
		{"https://github.com/oc to/shop", "", ""},
		{"https://github.com/octo/$(id)", "", ""},
		{"file:///home/octo/shop", "", ""},
		{"/home/octo/shop", "", ""},
		{"../octo/shop", "", ""},
		{"ext::sh -c id% octo/shop", "", ""},
		{"", "", ""},
		{"https://", "", ""},
		{"https://github.com/" + strings.Repeat("a", 101) + "/shop", "", ""},
	} {
		if host, repository := git.ParseRemote(test.address); host != test.host || repository != test.repository {
			t.Errorf("ParseRemote(%q) = %q, %q, want %q, %q", test.address, host, repository, test.host, test.repository)
		}
	}
}

func FuzzParseRemote(f *testing.F) {
	f.Add("https://github.com/octo/shop.git")
	f.Add("git@github.com:octo/shop.git")
	f.Fuzz(func(t *testing.T, address string) {
		host, repository := git.ParseRemote(address)
		if (host == "") != (repository == "") {
			t.Errorf("host %q without repository %q", host, repository)
		}
		for part := range strings.SplitSeq(repository, "/") {
			if repository != "" && (part == "" || strings.Trim(part, ".") == "" || strings.ContainsAny(part, "\n\x00 %@:")) {
				t.Errorf("repository %q of %q", repository, address)
			}
		}
	})
}
