// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/space"
)

// footprint is what a cluster could change on its host. Two of them, before and after, must be the same.
type footprint struct {
	Mounts  []string
	Links   string
	Rules   string
	Sysctls map[string]string
	Entries []string // of the folders in which daemons like to leave things
}

func takeFootprint(t *testing.T) footprint {
	t.Helper()
	f := footprint{Links: output(t, "ip", "-o", "link"), Rules: output(t, "nft", "list", "ruleset"), Sysctls: map[string]string{}}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f.Mounts = append(f.Mounts, strings.Fields(line)[4])
	}
	slices.Sort(f.Mounts)
	for _, pattern := range []string{"vm/overcommit_memory", "kernel/panic*", "kernel/keys/root_*", "net/ipv4/ip_forward", "net/ipv4/conf/*/route_localnet"} {
		matches, err := filepath.Glob("/proc/sys/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range matches {
			value, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f.Sysctls[path] = string(value)
		}
	}
	for _, dir := range []string{"/run", "/run/netns", "/var/lib", "/var/log", "/opt", "/etc/cni", "/etc/containerd", "/"} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, entry := range entries {
			// Base goes with the last instance, and others may run beside the test.
			if path := filepath.Join(dir, entry.Name()); path != layout.Base {
				f.Entries = append(f.Entries, path)
			}
		}
	}
	return f
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// unchanged compares the host with an earlier footprint.
func unchanged(t *testing.T, before footprint) {
	t.Helper()
	if diff := cmp.Diff(before, takeFootprint(t)); diff != "" {
		t.Errorf("the host has changed (-before +after):\n%s", diff)
	}
}

// namespaces are the instance's, to look for later. An instance without a process has none.
func namespaces(in *layout.Instance) []string {
	var all []string
	for _, kind := range []string{"net", "mnt", "pid", "ipc", "uts"} {
		if id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", in.Init, kind)); err == nil && space.Alive(in) {
			all = append(all, id)
		}
	}
	return all
}

// nothingLeft looks for anything of an instance on the host.
func nothingLeft(t *testing.T, in *layout.Instance, spaces []string) {
	t.Helper()
	if _, err := os.Stat(in.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state folder is there: %v", err)
	}
	cgroups, err := space.FindCgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range cgroups.Roots {
		if _, err := os.Stat(filepath.Join(root, in.Cgroup())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a cgroup is there in %s: %v", root, err)
		}
	}
	first, end := in.LoopRange()
	for n := first; n < end && in.Slot >= 0; n++ { // without a slot it had none
		if _, err := os.Stat(fmt.Sprintf("/dev/loop%d", n)); err == nil {
			t.Errorf("/dev/loop%d is there", n)
		}
	}
	backing, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range backing {
		if file, err := os.ReadFile(path); err == nil && strings.Contains(string(file), in.Path()+"/") {
			t.Errorf("%s: %s", path, file)
		}
	}
	processes(t, in, spaces)
}

func processes(t *testing.T, in *layout.Instance, spaces []string) {
	t.Helper()
	pids, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range pids {
		if state, err := os.ReadFile(filepath.Join(dir, "status")); err != nil || strings.Contains(string(state), "State:\tZ") {
			continue // dead: its parent, which is none of ours, has not looked yet
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && strings.Contains(string(line), in.Path()+"/") {
			t.Errorf("process %s: %q", dir, line)
		}
		links, err := filepath.Glob(dir + "/ns/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if id, err := os.Readlink(link); err == nil && slices.Contains(spaces, id) {
				t.Errorf("process %s is in a namespace of the instance: %s", dir, id)
			}
		}
	}
}
