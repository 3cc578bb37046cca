// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Result is how one release went, seen from outside.
type Result struct {
	Commit release.Commit
	Status int
	Record release.Record
	// Log is what a person saw on standard error.
	Log string
	// Comment as it stands on the pull request.
	Comment string
	Took    time.Duration
}

// Release scans a commit with the real gosec and takes it through `knowngood release`, in a
// checkout of that commit.
func (j *Journey) Release(ctx context.Context, name string) (Result, error) {
	result := Result{Commit: j.Commits[name]}
	if _, err := j.output(ctx, j.checkout(), "git", "switch", "--quiet", "--detach", string(result.Commit)); err != nil {
		return result, err
	}
	if err := j.timed(ctx, "scan "+name+" with gosec", func(ctx context.Context) error {
		return j.run(ctx, j.Root, j.shop, "scan", "--repo", j.checkout(), "--out", j.report(name), string(result.Commit))
	}); err != nil {
		return result, err
	}
	fmt.Fprintf(j.Out, "-- release %s, commit %s\n", name, result.Commit.Short())
	if err := j.release(ctx, name, &result); err != nil {
		return result, err
	}
	comment, err := j.Comment(ctx, Pulls()[name])
	result.Comment = comment
	return result, err
}

func (j *Journey) report(name string) string { return filepath.Join(j.Work, name+".sarif") }

// command is `knowngood release` of a commit that was scanned, in its checkout.
func (j *Journey) command(ctx context.Context, name string, more ...string) *exec.Cmd {
	args := []string{
		"release", "--json", "--sarif", j.report(name), "--environment", "demo", "--catalog", j.Catalog(),
		"--kubeconfig", j.Kubeconfig, "--namespace", j.Namespace, "--timeout", "3m",
		"--pull-request", strconv.Itoa(Pulls()[name]),
	}
	if j.Context != "" {
		args = append(args, "--context", j.Context)
	}
	args = append(append(args, more...), "--", "sh", "-euc", j.DeployScript(name))
	cmd := exec.CommandContext(ctx, j.program, args...)
	cmd.Dir = j.checkout()
	cmd.Env = j.environment("KNOWNGOOD_TOKEN="+token, "KNOWNGOOD_GITHUB_API_URL="+j.GitHub, "GITHUB_ACTIONS=")
	return cmd
}

func (j *Journey) release(ctx context.Context, name string, result *Result) error {
	cmd := j.command(ctx, name)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, io.MultiWriter(&stderr, j.Out)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	began := time.Now()
	err := cmd.Run()
	result.Took, result.Log = time.Since(began), stderr.String()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	result.Status = cmd.ProcessState.ExitCode()
	if err := json.Unmarshal(stdout.Bytes(), &result.Record); err != nil {
		return fmt.Errorf("record of the release: %w\n%s", err, stderr.String())
	}
	return nil
}

// Comment returns knowngood's comment on a pull request, "" when there is none.
func (j *Journey) Comment(ctx context.Context, number int) (string, error) {
	var comments []struct{ Body string }
	err := j.ask(ctx, fmt.Sprintf("/repos/%s/issues/%d/comments", Repository, number), &comments)
	if err != nil || len(comments) == 0 {
		return "", err
	}
	if len(comments) > 1 {
		return "", fmt.Errorf("pull request %d has %d comments", number, len(comments))
	}
	return comments[0].Body, nil
}

// Statuses returns the commit's newest statuses by context.
func (j *Journey) Statuses(ctx context.Context, commit release.Commit) (map[string]string, error) {
	var combined struct {
		Statuses []struct{ Context, State string }
	}
	err := j.ask(ctx, fmt.Sprintf("/repos/%s/commits/%s/status", Repository, commit), &combined)
	states := map[string]string{}
	for _, status := range combined.Statuses {
		states[status.Context] = status.State
	}
	return states, err
}

func (j *Journey) ask(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, j.GitHub+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// Knowngood runs the program in the checkout and returns what it printed.
func (j *Journey) Knowngood(ctx context.Context, args ...string) (string, error) {
	output, err := j.output(ctx, j.checkout(), j.program, args...)
	return string(output), err
}

// output runs a program and returns its standard output; what it says on standard error is
// part of the error: the last lines, since hints follow an error.
func (j *Journey) output(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, j.environment()
	var stderr bytes.Buffer
	cmd.Stderr = io.MultiWriter(&stderr, j.Out)
	output, err := cmd.Output()
	if err != nil {
		return output, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, lastLines(stderr.String(), 3))
	}
	return output, nil
}

// run is output for programs whose standard output is for people.
func (j *Journey) run(ctx context.Context, dir, program string, args ...string) error {
	output, err := j.output(ctx, dir, program, args...)
	if err != nil && len(output) > 0 {
		return fmt.Errorf("%w\n%s", err, lastLines(string(output), 20))
	}
	return err
}

// Kubectl runs the cluster's kubectl and returns what it printed.
func (j *Journey) Kubernetes(ctx context.Context, args ...string) (string, error) {
	output, err := j.output(ctx, j.Work, j.Kubectl, append(j.where(), args...)...)
	return string(output), err
}

func (j *Journey) kubectlWith(ctx context.Context, stdin string, args ...string) error {
	cmd := exec.CommandContext(ctx, j.Kubectl, append(j.where(), args...)...)
	cmd.Stdin, cmd.Env = strings.NewReader(stdin), os.Environ()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, lastLines(string(output), 20))
	}
	return nil
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
