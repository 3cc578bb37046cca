// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// freeze leaves a frozen filesystem with a writer that hangs in it: nothing but a thaw ends such a writer.
func freeze(c cluster) {
	c.t.Helper()
	in := c.instance()
	mounts, err := filepath.Glob(fmt.Sprintf("/proc/%d/root%s", in.Init, in.Path("volumes", "mounts", "*")))
	if err != nil || len(mounts) == 0 {
		c.t.Fatalf("no volume is mounted: %v", err)
	}
	for _, mount := range mounts {
		freezeAt(c, mount)
	}
	writer := c.command(c.t.Context(), "kubectl", "exec", "db-0", "--", "/probe", "write", "/data/hangs", "x")
	if err := writer.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { _ = writer.Wait() }()
	hanging(c)
}

// hanging waits until the writer is in the kernel.
func hanging(c cluster) {
	c.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			c.t.Fatal(err)
		}
		for _, path := range lines {
			line, _ := os.ReadFile(path) // it may be gone
			status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
			if strings.HasPrefix(string(line), "/probe\x00write\x00/data/hangs") && strings.Contains(string(status), "State:\tD") {
				return
			}
		}
	}
	c.t.Fatal("no writer hangs in the frozen filesystem")
}

// TestKilled ends the program, and its most important child, at all kinds of moments.
func TestKilled(t *testing.T) {
	gated(t)
	before := takeFootprint(t)
	c := cluster{t, "test-killed"}
	c.must("down")
	t.Cleanup(func() { _, _ = c.try("down") })
	c.must("build")
	for _, after := range []time.Duration{
		5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
		500 * time.Millisecond, 2 * time.Second, 8 * time.Second,
	} {
		t.Run(after.String(), func(t *testing.T) {
			c := cluster{t, c.name}
			up := c.command(t.Context(), "up")
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after) // the moment is the test
			_, _ = up.Process.Kill(), up.Wait()
			leave(c, before)
		})
	}
	for _, victim := range []string{"init", "supervise"} {
		t.Run(victim, func(t *testing.T) {
			c := cluster{t, c.name}
			c.must("up")
			freezePool(c)
			killVerb(c, victim)
			leave(c, before)
		})
	}
}

// freezePool freezes the filesystem of which the volumes are files.
func freezePool(c cluster) {
	c.t.Helper()
	in := c.instance()
	freezeAt(c, fmt.Sprintf("/proc/%d/root%s", in.Init, in.Path("volumes", "pool")))
}

func freezeAt(c cluster, mount string) {
	c.t.Helper()
	dir, err := os.Open(mount)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	const fiFreeze = 0xc0045877 // FIFREEZE of linux/fs.h
	if err := unix.IoctlSetInt(int(dir.Fd()), fiFreeze, 0); err != nil {
		c.t.Fatal(err)
	}
}

// leave takes an instance down, in whatever state it is, and wants nothing left.
func leave(c cluster, before footprint) {
	c.t.Helper()
	in := c.known()
	spaces := namespaces(in)
	c.must("down")
	nothingLeft(c.t, in, spaces)
	unchanged(c.t, before)
}

// killVerb kills the instance's own process of that verb.
func killVerb(c cluster, verb string) {
	c.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path) // it may be gone
		if strings.HasSuffix(string(line), "\x00"+verb+"\x00--name\x00"+c.name+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				c.t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				c.t.Fatal(err)
			}
			return
		}
	}
	c.t.Fatalf("no process %s", verb)
}

// TestDownNeedsRoot asks as nobody, who must be told that at once, and not what else failed.
func TestDownNeedsRoot(t *testing.T) {
	program := os.Args[0]
	var nobody *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		folder, err := os.MkdirTemp("", "knowngood-") // a place that nobody may enter
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(folder) })
		binary, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		program = filepath.Join(folder, "cluster")
		if err := errors.Join(os.Chmod(folder, 0o755), os.WriteFile(program, binary, 0o755)); err != nil {
			t.Fatal(err)
		}
		nobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	down := exec.CommandContext(t.Context(), program, "down", "--name", "test-nobody")
	down.Dir, down.SysProcAttr = "/", nobody
	output, err := down.CombinedOutput()
	if err == nil || strings.TrimSpace(string(output)) != "cluster down: ending cluster test-nobody needs root, who started it" {
		t.Errorf("%v: %s", err, output)
	}
}
