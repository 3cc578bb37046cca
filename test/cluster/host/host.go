// SPDX-License-Identifier: Apache-2.0

// Package host checks, before anything is touched, that this machine can run a cluster, and installs what Debian has of it.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/knowngood/knowngood/test/cluster/space"
)

// need is a program of the host and the Debian package that brings it.
type need struct{ path, pkg string }

var needs = []need{
	{"runc", "runc"},
	{"/usr/lib/cni/ptp", "containernetworking-plugins"},
	{"/usr/lib/cni/host-local", "containernetworking-plugins"},
	{"/usr/lib/cni/loopback", "containernetworking-plugins"},
	{"nft", "nftables"},
	{"ip", "iproute2"},
	{"mkfs.xfs", "xfsprogs"},
	{"mkfs.ext4", "e2fsprogs"},
	{"e2fsck", "e2fsprogs"},
	{"resize2fs", "e2fsprogs"},
	{"mount", "mount"},
	{"losetup", "mount"},
}

// Sizes that are known to do, with what everything takes in brackets.
const (
	gib           = 1 << 30
	stateSpace    = 6 * gib  // images and volumes of the demo and the tests (2)
	buildSpace    = 12 * gib // caches of Go after a cold build (6)
	runningMemory = 3 * gib  // (2)
	buildMemory   = 5 * gib  // the largest link (3), beside the compiler
)

// Problem is one thing that is missing, and its cure.
type Problem struct{ What, Cure string }

// Check returns everything that stands in the way, so that all of it can be cured at once. cache is the folder of the
// programs; build tells that they are still to be made.
func Check(state, cache string, build bool) []Problem {
	if runtime.GOOS != "linux" {
		return []Problem{{"this is " + runtime.GOOS, "run it on Linux, or in a Linux virtual machine"}}
	}
	var all []Problem
	if os.Geteuid() != 0 {
		all = append(all, Problem{"namespaces, mounts and loop devices need root", "run the same command with sudo"})
	}
	if missing := missingPackages(); len(missing) > 0 {
		all = append(all, Problem{"Debian packages are missing: " + strings.Join(missing, ", "), "apt-get update && " + strings.Join(install(missing), " ")})
	}
	all = append(all, kernel()...)
	all = append(all, freeSpace(state, stateSpace, "the cluster's state")...)
	memory := uint64(runningMemory)
	if build {
		all = append(all, freeSpace(cache, buildSpace, "building the cluster")...)
		memory = buildMemory
	}
	if have, err := availableMemory(); err == nil && have < memory {
		all = append(all, Problem{
			fmt.Sprintf("%.1f GiB of memory are available, %.1f are needed", float64(have)/gib, float64(memory)/gib),
			"end other programs, or use a larger machine",
		})
	}
	return all
}

func kernel() []Problem {
	var all []Problem
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		all = append(all, Problem{"there are no loop devices (/dev/loop-control)", "modprobe loop; in a container: start it with --privileged"})
	}
	if _, err := space.FindCgroups(); err != nil {
		all = append(all, Problem{err.Error(), "mount cgroup2 on /sys/fs/cgroup, as systemd does"})
	}
	var status syscall.Statfs_t
	const devtmpfs, tmpfs = 0x1373, 0x01021994 // devtmpfs shows tmpfs's number; a container's /dev is a tmpfs of its own
	if err := syscall.Statfs("/dev", &status); err == nil && status.Type != tmpfs && status.Type != devtmpfs {
		all = append(all, Problem{"/dev is no devtmpfs: new loop devices would not appear in it", "run it on the machine itself, not in a container"})
	}
	return all
}

func missingPackages() []string {
	var missing []string
	for _, n := range needs {
		if !found(n.path) && !slices.Contains(missing, n.pkg) {
			missing = append(missing, n.pkg)
		}
	}
	return missing
}

// notInstalled returns those packages that dpkg does not say it has installed whole.
func notInstalled(ctx context.Context, packages []string) []string {
	return slices.DeleteFunc(slices.Clone(packages), func(name string) bool {
		status, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}", "--", name).Output()
		return err == nil && string(status) == "installed"
	})
}

// found looks where the cluster's programs will look, whatever the caller's own search path.
func found(path string) bool {
	if filepath.IsAbs(path) {
		_, err := os.Stat(path)
		return err == nil
	}
	return slices.ContainsFunc(filepath.SplitList(space.Path), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, path))
		return err == nil
	})
}

func install(packages []string) []string {
	return append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, packages...)
}

// Prepare installs with apt-get what is missing of the cluster's packages and of further ones that the caller needs beside
// it, and says so. Nothing happens when none is missing.
func Prepare(ctx context.Context, further []string, out io.Writer) error {
	absent := func() []string { return append(missingPackages(), notInstalled(ctx, further)...) }
	missing := absent()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install what Debian calls %s: this system has no apt-get", strings.Join(missing, ", "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("installing %s needs root", strings.Join(missing, ", "))
	}
	_, _ = fmt.Fprintln(out, "cluster: installing with apt-get:", strings.Join(missing, ", "))
	for _, args := range [][]string{{"apt-get", "update", "-q"}, install(missing)} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
	}
	if missing := absent(); len(missing) > 0 {
		return errors.New("still missing after the installation: " + strings.Join(missing, ", "))
	}
	return nil
}

func freeSpace(dir string, want uint64, what string) []Problem {
	for {
		var s syscall.Statfs_t
		err := syscall.Statfs(dir, &s)
		if errors.Is(err, syscall.ENOENT) && dir != "/" {
			dir = filepath.Dir(dir)
			continue
		}
		if have := s.Bavail * uint64(s.Bsize); err == nil && have < want {
			return []Problem{{
				fmt.Sprintf("%s has %.1f GiB free, %s needs %.0f", dir, float64(have)/gib, what, float64(want)/gib),
				"free some space there",
			}}
		}
		return nil
	}
}

func availableMemory() (uint64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kib uint64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo does not tell the available memory")
}
