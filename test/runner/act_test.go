// SPDX-License-Identifier: Apache-2.0

// Package runner runs workflows as strangers write them, testdata/consumer, by a real runner of
// GitHub Actions (nektos/act in host mode) against the fake GitHub. KNOWNGOOD_TEST_ACT names
// the runner's program; test/make.sh builds it.
//
// What act lacks has named stand-ins: artifacts that outlive a run (testdata/standin), and the
// rules of tokens, which the fake GitHub enforces.
package runner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/github"
)

// pinned is the commit at which the workflows pin the Action.
const pinned = "2b1e6f0c9d8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"

const (
	repository = "octo/shop"
	token      = "ghs_0123456789abcdefghijABCDEFGHIJ"
	bot        = "github-actions[bot]"
)

// A line is one line of act's JSON log.
type line struct {
	Stage, StepResult, JobResult, Command, Name, Arg, Content, Msg string
	StepID                                                         []string
}

// A result is what a run left.
type result struct {
	log     string
	outputs map[string]string // "step.output", of the workflow's own steps
	steps   map[string]string // step -> success, failure
	summary string
	marks   []string // annotations, each with its command before it
	job     string
}

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
	env       []string // of the runner, besides its own
}

func newShop(t *testing.T) *shop {
	t.Helper()
	act := os.Getenv("KNOWNGOOD_TEST_ACT")
	if act == "" {
		t.Skip("needs a runner of GitHub Actions: KNOWNGOOD_TEST_ACT names the program of nektos/act")
	}
	s := &shop{t: t, dir: t.TempDir(), github: &github.Server{}, name: repository, token: token, artifacts: t.TempDir()}
	s.action, s.tools = released(t)
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
func (s *shop) run(event, workflow string, payload map[string]any) result {
	s.t.Helper()
	home := s.t.TempDir()
	data, err := json.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(home, "event.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	// act has a tool cache of its own, below its cache.
	if err := os.MkdirAll(filepath.Join(home, "cache", "act"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(s.tools, filepath.Join(home, "cache", "act", "tool_cache")); err != nil {
		s.t.Fatal(err)
	}
	standin, err := filepath.Abs("testdata/standin")
	if err != nil {
		s.t.Fatal(err)
	}
	command := exec.CommandContext(s.t.Context(), os.Getenv("KNOWNGOOD_TEST_ACT"), event,
		"--json", "-W", ".github/workflows/"+workflow, "-e", file,
		"--no-cache-server", "--artifact-server-addr", "127.0.0.1", "-P", "ubuntu-latest=-self-hosted",
		"-s", "GITHUB_TOKEN="+s.token,
		"--env", "GITHUB_API_URL="+s.api, "--env", "STANDIN_ARTIFACTS="+s.artifacts,
		"--local-repository", "knowngood/knowngood@"+pinned+"="+s.action,
		"--local-repository", "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02="+standin+"/upload-artifact",
		"--local-repository", "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093="+standin+"/download-artifact")
	command.Dir = s.dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}
	command.Env = append(command.Env, s.env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	got := read(s.t, &stdout)
	if got.job == "" {
		s.t.Fatalf("no job has run:\n%s%s", stderr.String(), got.log)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%s of %s:\n%s%s", event, workflow, stderr.String(), got.log)
		}
	})
	return got
}

func read(t *testing.T, log *bytes.Buffer) result {
	t.Helper()
	r := result{outputs: map[string]string{}, steps: map[string]string{}}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // act says some things in plain text
		}
		r.log += strings.Join(l.StepID, "/") + "  " + strings.TrimRight(l.Msg, "\n") + "\n"
		r.take(l)
	}
	return r
}

func (r *result) take(l line) {
	step := strings.Join(l.StepID, "/")
	switch {
	case l.JobResult != "":
		r.job = l.JobResult
	case l.StepResult != "" && l.Stage == "Main":
		r.steps[step] = l.StepResult
	case l.Command == "set-output":
		r.outputs[step+"."+l.Name] = l.Arg
	case l.Command == "summary":
		r.summary += l.Content
	case slices.Contains([]string{"error", "warning", "notice"}, l.Command):
		r.marks = append(r.marks, l.Command+": "+l.Arg)
	}
}

// check asserts outputs and results of steps. A step's outputs are known as the workflow sees
// them, under the step's own id.
func (r *result) check(t *testing.T, steps, outputs map[string]string) {
	t.Helper()
	for name, want := range steps {
		if r.steps[name] != want {
			t.Errorf("step %s: %q, want %q", name, r.steps[name], want)
		}
	}
	for name, want := range outputs {
		if got := r.outputs[name]; got != want {
			t.Errorf("output %s is %q, want %q", name, got, want)
		}
	}
}
