// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"golang.org/x/sys/unix"
)

const (
	gate   = "KNOWNGOOD_TEST_CLUSTER" // set to 1: run what needs root, loop devices and time
	inside = "KNOWNGOOD_TEST_INSIDE"  // set by TestMain in the process with a mount namespace of its own
	loopAt = 900_000                  // outside every instance's range
)

// TestMain runs the tests again in a mount namespace of their own: what they mount is gone with it, whatever happens.
func TestMain(m *testing.M) {
	if os.Getenv(gate) != "1" || os.Getenv(inside) != "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // the test binary has its own deadline
	again.Env = append(os.Environ(), inside+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := again.Run(); err != nil {
		os.Exit(1)
	}
}

// start runs the driver as the cluster does and returns its socket's path.
func start(t *testing.T) string {
	t.Helper()
	if os.Getenv(gate) != "1" {
		t.Skipf("needs root and loop devices: set %s=1", gate)
	}
	if os.Geteuid() != 0 {
		t.Fatalf("%s=1 needs root", gate)
	}
	folder := t.TempDir()
	o := options{
		name: "loop.csi.test", node: "node", socket: filepath.Join(folder, "csi.sock"), folder: folder, loops: loopAt, poolSize: 64 << 30,
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, slog.New(slog.NewTextHandler(t.Output(), nil))) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("driver: %v", err)
		}
		if err := unix.Unmount(filepath.Join(folder, "pool"), 0); err != nil {
			t.Errorf("the driver left something mounted or attached: %v", err)
		}
		if err := control(unix.LOOP_CTL_REMOVE, loopAt); err != nil {
			t.Errorf("the pool's loop device stays: %v", err)
		}
		if left, _ := filepath.Glob("/dev/loop900*"); len(left) > 0 {
			t.Errorf("loop devices stay: %v", left)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("driver: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if _, err := os.Stat(o.socket); err == nil {
			return o.socket
		}
		if time.Now().After(deadline) {
			t.Fatal("the driver does not listen")
		}
	}
}

// TestSanity is upstream's conformance suite for CSI drivers.
func TestSanity(t *testing.T) {
	config := sanity.NewTestConfig()
	config.Address = "unix://" + start(t)
	config.TargetPath = filepath.Join(t.TempDir(), "target")
	config.StagingPath = filepath.Join(t.TempDir(), "staging")
	sanity.Test(t, config)
}
