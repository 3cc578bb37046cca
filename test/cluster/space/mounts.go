// SPDX-License-Identifier: Apache-2.0

package space

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

type mountEntry struct{ point, fstype, source string }

// parseMounts reads the text of a mountinfo file (proc_pid_mountinfo(5)); lines it does not understand are left out.
func parseMounts(mountinfo string) []mountEntry {
	var all []mountEntry
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(tail) < 2 {
			continue
		}
		all = append(all, mountEntry{point: unescape(fields[4]), fstype: tail[0], source: tail[1]})
	}
	return all
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// overlaid are the folders of the host in which programs of the cluster have hard-wired places: /var/lib/kubelet/device-plugins,
// /var/lib/cni, /var/log/containers, /run/containerd. The host's content stays visible, what is written is lost at the end.
var overlaid = []struct {
	dir  string
	make []string
}{
	{"/run", []string{"/run/lock", "/run/containerd"}},
	{"/var/log", []string{"/var/log/containers", "/var/log/pods"}},
	{"/var/lib", []string{"/var/lib/kubelet", "/var/lib/cni"}}, // last: it hides the state folder, in which the upper layers are
}

// pretend are values that the kubelet would write into the host's kernel: it reads them first, finds what it wants, and
// writes nothing. These are not namespaced.
var pretend = map[string]string{
	"/proc/sys/vm/overcommit_memory":      "1\n",
	"/proc/sys/kernel/panic":              "10\n",
	"/proc/sys/kernel/panic_on_oops":      "1\n",
	"/proc/sys/kernel/keys/root_maxkeys":  "1000000\n",
	"/proc/sys/kernel/keys/root_maxbytes": "25000000\n",
}

// arrange turns the fresh copy of the host's mounts, of which this process is the only user, into the instance's own: what
// happens in it never reaches the host, while mounts of the host still come in.
func arrange(in *layout.Instance) error {
	state, err := os.Open(in.Path())
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separating the mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing the mounts within the instance: %w", err)
	}
	scratch := in.Path("scratch")
	if err := unix.Mount("scratch", scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting the scratch folder: %w", err)
	}
	for _, o := range overlaid {
		if err := overlay(scratch, o.dir, o.make); err != nil {
			return err
		}
	}
	// The overlay of /var/lib shows the host's state folder read-only at best: put the real one back on top.
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", state.Fd()), in.Path(), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting the state folder: %w", err)
	}
	// As a peer of the folder below it, every mount in it would show up there too.
	for _, kind := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", in.Path(), "", unix.MS_REC|kind, ""); err != nil {
			return fmt.Errorf("separating the state folder: %w", err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return pretendSysctls(scratch)
}

func overlay(scratch, dir string, folders []string) error {
	upper := filepath.Join(scratch, "upper", dir)
	work := filepath.Join(scratch, "work", dir)
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	options := "lowerdir=" + dir + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting an overlay on %s: %w", dir, err)
	}
	for _, f := range folders {
		if err := os.MkdirAll(f, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func pretendSysctls(scratch string) error {
	for path, value := range pretend {
		if _, err := os.Stat(path); err != nil {
			continue // a kernel without this setting
		}
		file := filepath.Join(scratch, "sysctl", path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering %s: %w", path, err)
		}
	}
	return nil
}

// fiThaw is FITHAW of linux/fs.h: _IOWR('X', 120, int).
const fiThaw = 0xc0045878

// thaw makes every filesystem on the instance's loop devices that the process can see writable again. A frozen one would hold its writers in
// the kernel, where no signal reaches them, and its loop device for ever.
func thaw(in *layout.Instance, pid int) error {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return err
	}
	var failures []error
	for _, m := range parseMounts(string(data)) {
		number, err := strconv.Atoi(strings.TrimPrefix(m.source, "/dev/loop"))
		if err != nil || !ours(in, number) {
			continue
		}
		dir, err := os.Open(filepath.Join(fmt.Sprintf("/proc/%d/root", pid), m.point))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if err := unix.IoctlSetInt(int(dir.Fd()), fiThaw, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			failures = append(failures, fmt.Errorf("thawing %s: %w", m.point, err)) // EINVAL: it was not frozen
		}
		_ = dir.Close()
	}
	return errors.Join(failures...)
}
