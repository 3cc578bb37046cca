// SPDX-License-Identifier: Apache-2.0

// Package runner runs workflows as strangers write them by a real runner of GitHub Actions
// (nektos/act in host mode) against the fake GitHub. KNOWNGOOD_TEST_ACT names the runner's
// program; test/make.sh builds it. Those in testdata/consumer need no cluster; test/journey
// has the others.
//
// What act lacks has named stand-ins: artifacts that outlive a run (testdata/standin), and the
// rules of tokens, which the fake GitHub enforces.
package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Pinned is the commit at which the workflows pin the Action.
const Pinned = "2b1e6f0c9d8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"

// Variable names the program of nektos/act.
const Variable = "KNOWNGOOD_TEST_ACT"

// Need skips a test where there is no runner.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(Variable) == "" {
		t.Skipf("needs a runner of GitHub Actions: %s names the program of nektos/act", Variable)
	}
}

// A Job is an event that the runner takes to one workflow.
type Job struct {
	// Checkout is the repository, and Workflow a file of its .github/workflows.
	Checkout, Workflow string
	// Event is its name, and Payload what GitHub tells of it.
	Event   string
	Payload map[string]any
	// Action is the folder of the Action, and Tools the runner's tool cache (Release).
	Action, Tools string
	// Local are folders that stand for other actions, by what follows uses:.
	Local map[string]string
	// Secrets of the repository, GITHUB_TOKEN among them.
	Secrets map[string]string
	// Env are variables of the runner that all steps see.
	Env map[string]string
}

// A Run is a job that has been started.
type Run struct {
	t              testing.TB
	command        *exec.Cmd
	stdout, stderr output
}

// output is read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start starts the runner. It ends with the test at the latest.
func (j Job) Start(t testing.TB) *Run {
	t.Helper()
	home := t.TempDir()
	event, secrets := filepath.Join(home, "event.json"), filepath.Join(home, "secrets.yaml")
	for path, content := range map[string]any{event: j.Payload, secrets: j.Secrets} {
		data, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// act has a tool cache of its own, below its cache.
	if err := os.MkdirAll(filepath.Join(home, "cache", "act"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(j.Tools, filepath.Join(home, "cache", "act", "tool_cache")); err != nil {
		t.Fatal(err)
	}
	args := []string{
		j.Event, "--json", "-W", ".github/workflows/" + j.Workflow, "-e", event, "--secret-file", secrets,
		"--no-cache-server", "--artifact-server-addr", "127.0.0.1", "-P", "ubuntu-latest=-self-hosted", "-P", "self-hosted=-self-hosted",
		"--local-repository", "knowngood/knowngood@" + Pinned + "=" + j.Action,
	}
	for _, uses := range slices.Sorted(maps.Keys(j.Local)) {
		args = append(args, "--local-repository", uses+"="+j.Local[uses])
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		args = append(args, "--env", name+"="+j.Env[name])
	}
	r := &Run{t: t, command: exec.CommandContext(t.Context(), os.Getenv(Variable), args...)}
	r.command.Dir = j.Checkout
	r.command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}
	r.command.Stdout, r.command.Stderr = &r.stdout, &r.stderr
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// Signal sends the runner a signal, as a person does who cancels.
func (r *Run) Signal(signal syscall.Signal) {
	r.t.Helper()
	if err := r.command.Process.Signal(signal); err != nil {
		r.t.Fatal(err)
	}
}

// PID is the process of the runner: those of the steps lie below it.
func (r *Run) PID() int { return r.command.Process.Pid }

// Said is the log up to now.
func (r *Run) Said() string { return read(r.stdout.String()).Log }

// Await waits until the log says a text, at most two minutes.
func (r *Run) Await(text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	for !strings.Contains(r.Said(), text) {
		select {
		case <-ctx.Done():
			r.t.Fatalf("the runner does not say %q:\n%s", text, r.Said())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Wait waits for the runner's end and returns what it told.
func (r *Run) Wait() Result {
	r.t.Helper()
	var exit *exec.ExitError
	if err := r.command.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	got := read(r.stdout.String())
	got.Exit = r.command.ProcessState.ExitCode()
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Logf("%v:\n%s%s", r.command.Args[1:5], r.stderr.String(), got.Log)
		}
	})
	return got
}

// Run is Start and Wait, for jobs that run to their end.
func (j Job) Run(t testing.TB) Result {
	t.Helper()
	r := j.Start(t)
	got := r.Wait()
	if got.Job == "" {
		t.Fatalf("no job has run:\n%s%s", r.stderr.String(), got.Log)
	}
	return got
}
