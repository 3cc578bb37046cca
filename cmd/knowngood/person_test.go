// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/realcluster"
)

// A person runs the program in a folder of their own.
type person struct {
	folder, kubeconfig, namespace string
	// name is that of their run.
	name string
}

// command is the program with what every step needs to know.
func (p person) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "knowngood", args...)
	cmd.Dir = p.folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder, "KNOWNGOOD_APP=shop", "KNOWNGOOD_CATALOG=cat", "KNOWNGOOD_RUN=" + p.name,
		"KNOWNGOOD_COMMIT=" + strings.Repeat("1", 40), "KNOWNGOOD_ENVIRONMENT=test",
		"KNOWNGOOD_KUBECONFIG=" + p.kubeconfig, "KNOWNGOOD_NAMESPACE=" + p.namespace,
	}
	return cmd
}

// run returns the exit status and what was said on standard error.
func (p person) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := p.command(t.Context(), args...)
	var said strings.Builder
	cmd.Stderr = &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// init runs init without questions and returns all that it said.
func (p person) init(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := p.command(t.Context(), append([]string{"init", "--yes"}, args...)...)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(said)
}

// interrupt waits until the program says a text, presses Ctrl-C, and returns how it ended.
func (p person) interrupt(t *testing.T, at string, args ...string) (int, string) {
	t.Helper()
	cmd := p.command(t.Context(), args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	var said strings.Builder
	var pressed time.Time
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if pressed.IsZero() && strings.Contains(lines.Text(), at) {
			pressed = time.Now()
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	}
	_ = cmd.Wait() // the status tells
	late.Stop()
	if pressed.IsZero() {
		t.Fatalf("it never said %q:\n%s", at, &said)
	}
	if took := time.Since(pressed); took > 20*time.Second {
		t.Errorf("it ended %s after Ctrl-C", took)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// last returns the newest entry of a step in the person's catalog.
func (p person) last(t *testing.T, step string) *release.Entry {
	t.Helper()
	c, err := catalog.OpenExisting(t.Context(), filepath.Join(p.folder, "cat"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	record, err := c.Record(t.Context(), "shop", "test", p.name)
	if err != nil {
		t.Fatal(err)
	}
	return record.Last(step)
}

// aPerson works in a namespace of the real cluster.
func aPerson(t *testing.T, c *realcluster.Cluster) person {
	t.Helper()
	return person{t.TempDir(), os.Getenv(realcluster.Switch), c.Namespace, fmt.Sprintf("r%d", time.Now().UnixNano())}
}

// kubeconfig writes one for a server and returns its path.
func kubeconfig(t *testing.T, folder, server string) string {
	t.Helper()
	path := filepath.Join(folder, "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {"token": "t"}}],
"clusters": [{"name": "c", "cluster": {"server": %q}}]}`, server)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
