// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/cluster/image"
	"github.com/knowngood/knowngood/test/cluster/layout"
)

// gate is the switch of the tests that start clusters: they need root, some GiB of memory, and minutes.
const gate = "KNOWNGOOD_TEST_CLUSTER"

// TestMain lets the test binary be the program: the cluster starts copies of itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && verbs()[os.Args[1]] != nil {
		main()
	}
	os.Exit(m.Run())
}

func gated(t *testing.T) {
	t.Helper()
	if os.Getenv(gate) != "1" {
		t.Skipf("starts clusters, needs root: set %s=1", gate)
	}
	if os.Geteuid() != 0 {
		t.Fatalf("%s=1 needs root", gate)
	}
}

// cluster is an instance under test.
type cluster struct {
	t    *testing.T
	name string
}

func (c cluster) command(ctx context.Context, verb string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{verb, "--name", c.name}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// try runs a verb and returns what it printed.
func (c cluster) try(verb string, args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 20*time.Minute)
	defer cancel()
	cmd := c.command(ctx, verb, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	c.t.Logf("%s %s %s: %.1fs %v\n%s", c.name, verb, strings.Join(args, " "), time.Since(began).Seconds(), err, stderr.String())
	return strings.TrimSpace(stdout.String()), err
}

func (c cluster) must(verb string, args ...string) string {
	c.t.Helper()
	out, err := c.try(verb, args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", verb, strings.Join(args, " "), err)
	}
	return out
}

// wait is kubectl wait, with a deadline that fits a machine with other work.
func (c cluster) wait(condition string, what ...string) {
	c.t.Helper()
	c.must("kubectl", append([]string{"wait", "--for=" + condition, "--timeout=90s"}, what...)...)
}

func (c cluster) expect(want, verb string, args ...string) {
	c.t.Helper()
	if got := c.must(verb, args...); !strings.Contains(got, want) {
		c.t.Errorf("%s %s: got %q, want %q in it", verb, strings.Join(args, " "), got, want)
	}
}

func (c cluster) instance() *layout.Instance {
	c.t.Helper()
	in, err := layout.Load(c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	return in
}

// known is the instance as far as it was made; one that was killed before it had a memory has its name alone.
func (c cluster) known() *layout.Instance {
	c.t.Helper()
	in, err := layout.Load(c.name)
	if errors.Is(err, layout.ErrAbsent) {
		return &layout.Instance{Name: c.name, Slot: -1}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return in
}

// probeImage builds the program of the tests' pods and packs it.
func probeImage(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, out)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := image.Archive("knowngood.test/probe:1", "probe", data)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "probe.tar")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
