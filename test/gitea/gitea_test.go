// SPDX-License-Identifier: Apache-2.0

package gitea_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/gitea"
)

// program builds knowngood as it is released, but for its version.
func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "knowngood")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", binary, "../../cmd/knowngood")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	return binary
}

// A person runs knowngood on a repository of a Gitea.
type person struct {
	server                   *gitea.Server
	binary, home, repository string
	token                    string
}

// terminal is what a person sets by hand.
func (p person) terminal() []string {
	return []string{"KNOWNGOOD_SOURCE_REPOSITORY=" + p.repository, "KNOWNGOOD_GITHUB_API_URL=" + p.server.API, "KNOWNGOOD_TOKEN=" + p.token}
}

// run runs a command and returns its exit status and all that it said.
func (p person) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	return p.runWith(t, p.terminal(), args...)
}

func (p person) runWith(t *testing.T, environ []string, args ...string) (int, string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), p.binary, args...)
	command.Dir = p.home
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "KNOWNGOOD_CATALOG=records"}, environ...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	err := command.Run()
	if hidden := strings.ReplaceAll(said.String(), "::add-mask::"+p.token, ""); strings.Contains(hidden, p.token) {
		t.Errorf("the token shows in %s", &said)
	}
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), said.String()
}

func (p person) must(t *testing.T, want int, args ...string) string {
	t.Helper()
	status, said := p.run(t, args...)
	if status != want {
		t.Fatalf("knowngood %s: exit status %d, want %d\n%s", strings.Join(args, " "), status, want, said)
	}
	return said
}

func scan(t *testing.T, home, name string, results string) string {
	t.Helper()
	text := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"gosec","version":"2.22.10","rules":[{"id":"G202"}]}},` +
		`"invocations":[{"executionSuccessful":true}],"results":[` + results + `]}]}`
	if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const finding = `{"ruleId":"G202","level":"error","message":{"text":"SQL string concatenation"},"locations":[{"physicalLocation":` +
	`{"artifactLocation":{"uri":"internal/store.go"},"region":{"startLine":2}}}]}`

// A closed gate, then the same run's deploy, then a newer run: one comment that is kept up to
// date, and statuses. What Gitea has not is said and is no warning.
func TestReportsOnGitea(t *testing.T) {
	s := gitea.Start(t)
	binary := program(t)
	p := person{server: s, binary: binary, home: t.TempDir(), repository: s.Repository(t, "shop"), token: s.Token}
	pull := s.Pull(t, p.repository, "change", "internal/store.go", "package store\nvar query = \"\"\n")
	bad, good := scan(t, p.home, "bad.sarif", finding), scan(t, p.home, "good.sarif", "")

	p.must(t, 1, "gate", "--sarif", bad, "--run", "r1", "--commit", pull.Head)
	said := p.must(t, 0, "report", "--run", "r1", "--commit", pull.Head)
	for _, must := range []string{"done=created", "the report does without", "does not know it (404)"} {
		if !strings.Contains(said, must) {
			t.Errorf("%q is not said:\n%s", must, said)
		}
	}
	if strings.Contains(said, "warn:") {
		t.Errorf("a warning of what nobody can mend:\n%s", said)
	}
	first := s.Comments(t, p.repository, pull.Number)
	if len(first) != 1 || !strings.Contains(first[0].Body, "❌ fail · shop must not ship") {
		t.Fatalf("comments %+v", first)
	}
	statuses := s.Statuses(t, p.repository, pull.Head)
	if len(statuses) != 1 || statuses[0].Context != "knowngood/gate" || statuses[0].Status != "failure" {
		t.Errorf("statuses %+v", statuses)
	}
	linked(t, s, first[0].Body)

	if said := p.must(t, 0, "report", "--run", "r1", "--commit", pull.Head); !strings.Contains(said, "done=unchanged") {
		t.Errorf("the same report again:\n%s", said)
	}
	p.must(t, 0, "gate", "--sarif", good, "--run", "r2", "--commit", pull.Head)
	p.must(t, 0, "report", "--run", "r2", "--commit", pull.Head)
	p.must(t, 0, "report", "--run", "r1", "--commit", pull.Head)
	second := s.Comments(t, p.repository, pull.Number)
	if len(second) != 1 || second[0].ID != first[0].ID || !strings.Contains(second[0].Body, "✅ pass · shop may ship") {
		t.Errorf("comments %+v, want the same one with the newer run", second)
	}
	if statuses = s.Statuses(t, p.repository, pull.Head); len(statuses) != 2 || statuses[1].Status != "success" {
		t.Errorf("statuses %+v, want two in all", statuses)
	}

	merged := s.Squash(t, p.repository, pull.Number)
	p.must(t, 0, "gate", "--sarif", good, "--run", "r3", "--commit", merged)
	said = p.must(t, 0, "report", "--run", "r3", "--commit", merged, "--comment", "always")
	if third := s.Comments(t, p.repository, pull.Number); len(third) != 1 || !strings.Contains(third[0].Body, "`r3`") {
		t.Errorf("after the merge: %+v\n%s", third, said)
	}

	p.token = s.NewToken(t, "read:repository,read:issue,read:user")
	p.must(t, 0, "gate", "--sarif", good, "--run", "r4", "--commit", merged)
	if said := p.must(t, 0, "report", "--run", "r4", "--commit", merged); !strings.Contains(said, "the token may not do this (403") {
		t.Errorf("a token that can only read:\n%s", said)
	}
	p.token = strings.Repeat("0", 40)
	if said := p.must(t, 2, "report", "--run", "r4", "--commit", merged, "--comment", "always"); !strings.Contains(said, "the token is not accepted (401") {
		t.Errorf("a wrong token:\n%s", said)
	}
}

// What Gitea's and Forgejo's Actions set is GitHub's own: nothing else is needed there.
func TestReportsInAnActionOfGitea(t *testing.T) {
	s := gitea.Start(t)
	p := person{server: s, binary: program(t), home: t.TempDir(), repository: s.Repository(t, "shop"), token: s.Token}
	pull := s.Pull(t, p.repository, "change", "internal/store.go", "package store\nvar query = \"\"\n")
	bad := scan(t, p.home, "bad.sarif", finding)
	event := fmt.Sprintf(`{"pull_request":{"number":%d,"head":{"sha":%q},"base":{"sha":%q}}}`, pull.Number, pull.Head, s.Commit(t, p.repository, "main"))
	if err := os.WriteFile(filepath.Join(p.home, "event.json"), []byte(event), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{
		"GITHUB_ACTIONS=true", "GITHUB_API_URL=" + s.API, "GITHUB_SERVER_URL=" + s.Web, "GITHUB_REPOSITORY=" + p.repository,
		"GITHUB_EVENT_NAME=pull_request", "GITHUB_EVENT_PATH=" + filepath.Join(p.home, "event.json"), "GITHUB_TOKEN=" + s.Token,
		"GITHUB_RUN_ID=5", "GITHUB_RUN_ATTEMPT=1", "GITHUB_OUTPUT=" + filepath.Join(p.home, "output"),
		"GITHUB_STEP_SUMMARY=" + filepath.Join(p.home, "summary.md"),
	}
	if status, said := p.runWith(t, environ, "gate", "--sarif", bad); status != 1 {
		t.Fatalf("gate: %d\n%s", status, said)
	}
	for range 2 {
		status, said := p.runWith(t, environ, "report")
		if status != 0 || strings.Contains(said, "::warning") || !strings.Contains(said, "::error endLine=2,file=internal/store.go,") {
			t.Fatalf("report: %d, which has no check runs to annotate\n%s", status, said)
		}
	}
	comments := s.Comments(t, p.repository, pull.Number)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, s.Web+"/"+p.repository+"/actions/runs/5") {
		t.Errorf("comments %+v", comments)
	}
	if statuses := s.Statuses(t, p.repository, pull.Head); len(statuses) != 1 || statuses[0].Status != "failure" {
		t.Errorf("statuses %+v", statuses)
	}
}

// linked asserts that the finding's link leads to the file as it is in the commit.
func linked(t *testing.T, s *gitea.Server, body string) {
	t.Helper()
	_, rest, found := strings.Cut(body, "[`internal/store.go:2`](")
	address, _, _ := strings.Cut(rest, ")")
	if !found || !strings.HasPrefix(address, s.Web) {
		t.Fatalf("no link to the finding in %s", body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: %d", address, response.StatusCode)
	}
}

// Gitea renders what a report writes of hostile text: nothing of it comes alive.
func TestNothingHostileIsLiveOnGitea(t *testing.T) {
	s := gitea.Start(t)
	repository := s.Repository(t, "shop")
	s.Pull(t, repository, "change", "a.go", "package a\n") // #1, which a reference could mean
	files, err := filepath.Glob("../../pkg/report/testdata/hostile*.md")
	if err != nil || len(files) < 2 {
		t.Fatalf("cases %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("everyone"), []byte(s.Login)) // somebody who is there
		if html := rendered(t, s, repository, string(text)); strings.Contains(html, "<h3") {
			dead(t, file, html)
		} else {
			t.Errorf("%s is not rendered: %.300s", file, html)
		}
	}
	for _, alive := range []string{"@ada", "#1", "https://evil.example", "![i](https://evil.example/i.png)", ":rocket:"} {
		if html := rendered(t, s, repository, alive); !anyLive(html) {
			t.Errorf("the test does not see that %q is live in %s", alive, html)
		}
	}
}

func rendered(t *testing.T, s *gitea.Server, repository, text string) string {
	t.Helper()
	status, html := s.Ask(t, http.MethodPost, "/markdown", map[string]any{"Text": text, "Mode": "comment", "Context": repository}, nil)
	if status != http.StatusOK {
		t.Fatalf("render: %d %s", status, html)
	}
	return string(html)
}

// livings are what Gitea makes of text that is alive.
var livings = []string{
	"<script", "<img", "<iframe", "<input", `href="javascript:`, `href="mailto:`, `href="https://evil.example`,
	`/ada"`, `class="ref-issue"`, `aria-label="rocket"`, "language-math",
}

func anyLive(html string) bool {
	for _, living := range livings {
		if strings.Contains(html, living) {
			return true
		}
	}
	return false
}

// dead asserts that no line of a page is live, but for the link of the run, which the record has
// and which is written as one.
func dead(t *testing.T, file, html string) {
	t.Helper()
	html = strings.ReplaceAll(html, `href="https://evil.example/%29%5Bx%5D`, "")
	for line := range strings.Lines(html) {
		if anyLive(line) {
			t.Errorf("%s: live: %.500s", file, line)
		}
	}
}
