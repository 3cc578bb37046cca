// SPDX-License-Identifier: Apache-2.0

package space

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

func TestParseCgroups(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.mountinfo")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	want := map[string]Cgroups{
		"v1":      {Roots: []string{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"}},
		"hybrid":  {Roots: []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}},
		"v2":      {Roots: []string{"/sys/fs/cgroup"}, Unified: true},
		"nothing": {},
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".mountinfo")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseCgroups(string(data))
			if (err != nil) != (name == "nothing") {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCgroupFiles runs the life of a cgroup on plain folders: what a kernel would do by itself is written by hand.
func TestCgroupFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.subtree_control", "cpu memory pids\n")
	groups := Cgroups{Roots: []string{root}, Unified: true}
	enabled, err := groups.Create("knowngood-x")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cpuset", "io"}, enabled); diff != "" {
		t.Errorf("enabled (-want +got):\n%s", diff)
	}
	if err := groups.Join("knowngood-x", 4711); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "knowngood-x", "pod"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("knowngood-x/pod/cgroup.procs", "12\n0\n4711\n") // 0: a process of another process id namespace
	got := groups.Processes("knowngood-x")
	slices.Sort(got)
	if diff := cmp.Diff([]int{12, 4711}, got); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	for _, file := range []string{"knowngood-x/pod/cgroup.procs", "knowngood-x/daemons/cgroup.procs"} {
		if err := os.Remove(filepath.Join(root, file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := groups.Remove("knowngood-x", enabled); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "knowngood-x")); !os.IsNotExist(err) {
		t.Errorf("the cgroup is there: %v", err)
	}
	if data, _ := os.ReadFile(filepath.Join(root, "cgroup.subtree_control")); string(data) != "-io" {
		t.Errorf("the last write to the root's controllers is %q", data)
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	line := `36 35 98:0 / /mnt/with\040space rw,noatime shared:1 master:2 - ext4 /dev/loop1000 rw` + "\nnonsense\n"
	want := []mountEntry{{point: "/mnt/with space", fstype: "ext4", source: "/dev/loop1000"}}
	if diff := cmp.Diff(want, parseMounts(line), cmp.AllowUnexported(mountEntry{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOurs(t *testing.T) {
	t.Parallel()
	a, b, none := &layout.Instance{Slot: 0}, &layout.Instance{Slot: 1}, &layout.Instance{Slot: -1}
	for number, want := range map[int][3]bool{
		0: {}, 7: {}, 999: {}, 1000: {true}, 1999: {true}, 2000: {false, true}, 2999: {false, true}, 3000: {},
	} {
		if got := [3]bool{ours(a, number), ours(b, number), ours(none, number)}; got != want {
			t.Errorf("loop%d: %v, want %v", number, got, want)
		}
	}
}
