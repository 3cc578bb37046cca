// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/github"
	"github.com/knowngood/knowngood/test/runner"
)

// An author keeps workflows (testdata/action) beside the shop's sources, as a stranger would
// write them, and has a GitHub that has heard nothing yet.
type author struct {
	*Journey
	t      *testing.T
	dir    string // of the checkout
	head   release.Commit
	github *github.Server
	job    runner.Job
}

// arrive clones the shop as of its clean commit, and commits the workflows and the deploy script
// with whatever else is given.
func arrive(t *testing.T, j *Journey, files map[string]string) author {
	t.Helper()
	runner.Need(t)
	a := author{Journey: j, t: t, dir: filepath.Join(t.TempDir(), "shop"), github: &github.Server{}}
	a.command("", "git", "clone", "--quiet", "--no-local", j.checkout(), a.dir)
	a.command(a.dir, "git", "checkout", "--quiet", "-B", "main", string(j.Commits["clean"]))
	a.command(a.dir, "git", "remote", "set-url", "origin", "https://github.com/"+Repository+".git")
	if err := os.CopyFS(a.dir, os.DirFS("testdata/action")); err != nil {
		t.Fatal(err)
	}
	scan, err := os.ReadFile("../runner/testdata/consumer/scans/clean.sarif")
	if err == nil {
		err = os.Mkdir(filepath.Join(a.dir, "reports"), 0o750)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.write("reports/clean.sarif", string(scan))
	for name, text := range files {
		a.write(name, text)
	}
	a.command(a.dir, "git", "add", "--all")
	a.command(a.dir, "git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", "Find a product by any part of its name (#7)")
	a.head = release.Commit(a.command(a.dir, "git", "rev-parse", "HEAD"))
	a.github.AddToken(token, github.Token{Login: "github-actions[bot]", App: true, Scopes: github.Everything()})
	a.github.AddPull(Repository, github.Pull{Number: 7, Head: string(j.Commits["clean"]), MergeCommit: string(a.head)})
	server := httptest.NewServer(a.github)
	t.Cleanup(server.Close)
	a.job = runner.Job{
		Checkout: a.dir, Event: "push", Payload: map[string]any{
			"ref": "refs/heads/main", "after": a.head,
			"head_commit": map[string]any{"id": a.head, "tree_id": a.command(a.dir, "git", "rev-parse", "HEAD^{tree}")},
		},
		Secrets: map[string]string{"GITHUB_TOKEN": token, "KUBECONFIG": a.kubernetes("config", "view", "--raw", "--flatten", "--minify")},
		Env:     a.tools(),
	}
	a.job.Env["GITHUB_API_URL"] = server.URL
	a.job.Action, a.job.Tools = runner.Release(t)
	return a
}

func (a author) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// tools has gosec and the caches of Go as a runner's image has them.
func (a author) tools() map[string]string {
	a.t.Helper()
	env := map[string]string{"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-trimpath -buildvcs=false"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB"} {
		env[name] = a.command(a.Root, "go", "env", name)
	}
	bin := a.t.TempDir()
	command := exec.CommandContext(a.t.Context(), "go", "tool", "-C", "test/tools/scan", "-n", "gosec")
	command.Dir, command.Env = a.Root, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-trimpath -buildvcs=false")
	gosec, err := command.Output()
	if err == nil {
		err = os.Symlink(strings.TrimSpace(string(gosec)), filepath.Join(bin, "gosec"))
	}
	if err != nil {
		a.t.Fatal(err)
	}
	env["PATH"] = bin + string(os.PathListSeparator) + os.Getenv("PATH")
	return env
}

func (a author) command(dir, program string, args ...string) string {
	a.t.Helper()
	output, err := a.output(a.t.Context(), dir, program, args...)
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

func (a author) kubernetes(args ...string) string {
	a.t.Helper()
	output, err := a.Kubernetes(a.t.Context(), args...)
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.TrimSpace(output)
}

// start lets the runner take the event to a workflow.
func (a author) start(workflow string) *runner.Run {
	a.t.Helper()
	a.job.Workflow = workflow
	return a.job.Start(a.t)
}

// comment returns the one comment of the pull request.
func (a author) comment() string {
	a.t.Helper()
	comments := a.github.Comments(Repository, 7)
	if len(comments) != 1 {
		a.t.Fatalf("%d comments on the pull request", len(comments))
	}
	return comments[0].Body
}

// states are the newest statuses of the pushed commit.
func (a author) states() map[string]string {
	states := map[string]string{}
	for _, status := range a.github.Statuses(Repository, string(a.head)) {
		states[status.Context] = status.State
	}
	return states
}
