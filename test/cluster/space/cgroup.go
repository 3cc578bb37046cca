// SPDX-License-Identifier: Apache-2.0

package space

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// daemons is the leaf cgroup of the instance's own processes. Under v2 a cgroup with children may hold no process, and the
// kubelet makes "kubepods" beside it.
const daemons = "daemons"

// Cgroups is the host's cgroup layout. Version 1 has a hierarchy for each controller (run on such a host); version 2 has one
// (written after the documentation and not run so far).
type Cgroups struct {
	Roots   []string // mount points, in the order of mountinfo
	Unified bool     // version 2 alone
}

// FindCgroups reads the layout of the mount namespace of this process.
func FindCgroups() (Cgroups, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Cgroups{}, err
	}
	return parseCgroups(string(data))
}

func parseCgroups(mountinfo string) (Cgroups, error) {
	var v1, v2 []string
	for _, m := range parseMounts(mountinfo) {
		switch m.fstype {
		case "cgroup":
			v1 = append(v1, m.point)
		case "cgroup2":
			v2 = append(v2, m.point)
		}
	}
	switch {
	case len(v1) > 0:
		return Cgroups{Roots: append(v1, v2...)}, nil
	case len(v2) > 0:
		return Cgroups{Roots: v2[:1], Unified: true}, nil
	}
	return Cgroups{}, errors.New("no cgroup filesystem is mounted")
}

// Create makes the cgroup in every hierarchy, so that it exists before the kubelet asks for it. It returns the controllers
// that had to be enabled at the root (v2), for Remove.
func (c Cgroups) Create(name string) (enabled []string, err error) {
	if c.Unified {
		if enabled, err = enable(c.Roots[0], "cpu", "cpuset", "memory", "pids", "io"); err != nil {
			return enabled, err
		}
	}
	for _, root := range c.Roots {
		dir := filepath.Join(root, name, daemons)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return enabled, fmt.Errorf("making cgroup %s: %w", dir, err)
		}
		if c.Unified {
			continue
		}
		// A new cpuset of version 1 is empty and takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inherit(root, file, filepath.Join(root, name), dir); err != nil {
				return enabled, err
			}
		}
	}
	return enabled, nil
}

func inherit(root, file string, dirs ...string) error {
	value, err := os.ReadFile(filepath.Join(root, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not the hierarchy of this controller
	}
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func enable(root string, controllers ...string) (enabled []string, err error) {
	file := filepath.Join(root, "cgroup.subtree_control")
	have, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for _, controller := range controllers {
		if slices.Contains(strings.Fields(string(have)), controller) {
			continue
		}
		if err := os.WriteFile(file, []byte("+"+controller), 0o644); err != nil {
			return enabled, fmt.Errorf("enabling the cgroup controller %s: %w", controller, err)
		}
		enabled = append(enabled, controller)
	}
	return enabled, nil
}

// Join moves a process into the daemons' leaf of the cgroup.
func (c Cgroups) Join(name string, pid int) error {
	for _, root := range c.Roots {
		file := filepath.Join(root, name, daemons, "cgroup.procs")
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("moving process %d into %s: %w", pid, file, err)
		}
	}
	return nil
}

// Processes lists what runs in the cgroup or below it, each once, in no order.
func (c Cgroups) Processes(name string) []int {
	seen := map[int]bool{}
	for _, root := range c.Roots {
		_ = filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				readPids(filepath.Join(path, "cgroup.procs"), seen)
			}
			return nil // a cgroup that goes while it is looked at has no processes
		})
	}
	pids := make([]int, 0, len(seen))
	for pid := range seen {
		pids = append(pids, pid)
	}
	return pids
}

func readPids(path string, into map[int]bool) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 0 {
			into[pid] = true
		}
	}
}

// Remove removes the cgroup and those below it from every hierarchy, and disables what Create enabled.
func (c Cgroups) Remove(name string, enabled []string) error {
	var failures []error
	for _, root := range c.Roots {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) { // children come after their parents
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failures = append(failures, err)
			}
		}
	}
	if c.Unified {
		for _, controller := range enabled {
			err := os.WriteFile(filepath.Join(c.Roots[0], "cgroup.subtree_control"), []byte("-"+controller), 0o644)
			if err != nil {
				failures = append(failures, err)
			}
		}
	}
	return errors.Join(failures...)
}
