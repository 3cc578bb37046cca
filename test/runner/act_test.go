// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/github"
)

const (
	repository = "octo/shop"
	token      = "ghs_0123456789abcdefghijABCDEFGHIJ"
	bot        = "github-actions[bot]"
)

// A shop is the stranger's repository, with a GitHub of its own.
type shop struct {
	t         *testing.T
	dir       string
	github    *github.Server
	api       string
	name      string // of the repository
	token     string // of the job
	artifacts string
	action    string // the folder of the Action, as of a release or of a checkout
	tools     string
	env       map[string]string // of the runner, besides its own
}

func newShop(t *testing.T) *shop {
	t.Helper()
	Need(t)
	s := &shop{t: t, dir: t.TempDir(), github: &github.Server{}, name: repository, token: token, artifacts: t.TempDir()}
	s.action, s.tools = Release(t)
	server := httptest.NewServer(s.github)
	t.Cleanup(server.Close)
	s.api = server.URL
	s.github.AddToken(token, github.Token{Login: bot, App: true, Scopes: github.Everything()})
	if err := os.CopyFS(s.dir, os.DirFS("testdata/consumer")); err != nil {
		t.Fatal(err)
	}
	s.git("init", "-q", "-b", "main")
	s.git("remote", "add", "origin", "https://github.com/"+repository+".git")
	s.commit("first")
	return s
}

func (s *shop) git(args ...string) string {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), "git", args...)
	command.Dir = s.dir
	command.Env = append(os.Environ(), "HOME="+s.dir, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	output, err := command.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, output)
	}
	return strings.TrimSpace(string(output))
}

func (s *shop) commit(message string) string {
	s.git("add", "-A")
	s.git("commit", "-q", "--allow-empty", "-m", message)
	return s.git("rev-parse", "HEAD")
}

func (s *shop) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, path), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run lets the runner take the event to one workflow.
func (s *shop) run(event, workflow string, payload map[string]any) Result {
	s.t.Helper()
	return s.job(event, workflow, payload).Run(s.t)
}

func (s *shop) job(event, workflow string, payload map[string]any) Job {
	s.t.Helper()
	standin, err := filepath.Abs("testdata/standin")
	if err != nil {
		s.t.Fatal(err)
	}
	env := map[string]string{"GITHUB_API_URL": s.api, "STANDIN_ARTIFACTS": s.artifacts}
	maps.Copy(env, s.env)
	return Job{
		Checkout: s.dir, Event: event, Workflow: workflow, Payload: payload, Action: s.action, Tools: s.tools,
		Secrets: map[string]string{"GITHUB_TOKEN": s.token}, Env: env,
		Local: map[string]string{
			"knowngood/knowngood@main":   s.action,
			"knowngood/knowngood@v0.1.0": s.action,
			"github/codeql-action@v3":    standin + "/codeql-action",
			"actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02":   standin + "/upload-artifact",
			"actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093": standin + "/download-artifact",
		},
	}
}
