// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func (d *driver) pool() string { return filepath.Join(d.folder, "pool") }

func (d *driver) volumeFile(id string) string   { return filepath.Join(d.pool(), "volumes", id) }
func (d *driver) snapshotFile(id string) string { return filepath.Join(d.pool(), "snapshots", id) }

// openPool mounts the filesystem that holds the images, and makes it first if need be: XFS, which shares blocks between files
// (most hosts' root filesystems do not).
func (d *driver) openPool(ctx context.Context) error {
	if err := os.MkdirAll(d.pool(), 0o700); err != nil {
		return err
	}
	mounted, err := isMounted(d.pool())
	if err != nil || mounted {
		return err
	}
	file := filepath.Join(d.folder, "pool.img")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := blank(file+".new", d.poolSize); err != nil {
			return err
		}
		if err := tool(ctx, "mkfs.xfs", "-q", "-m", "reflink=1", file+".new"); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
	}
	device, err := d.loop.attach(file, true)
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }() // the mount holds it from now on
	if err := unix.Mount(device.Name(), d.pool(), "xfs", unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", file, err)
	}
	return nil
}

// blank makes a sparse file.
func blank(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

// format makes a filesystem in an image. Leaving the tables for later keeps it at some milliseconds, whatever the size.
func format(ctx context.Context, image string) error {
	return tool(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", image)
}

// grow makes the filesystem of an image as large as the image. It works on the file, because a mounted filesystem grows only
// for those who have CAP_SYS_RESOURCE, which containers often lack.
func grow(ctx context.Context, image string) error {
	var failure *exec.ExitError
	// A snapshot is like a disk after a power cut: the check replays its journal, and status 1 says that it did.
	if err := tool(ctx, "e2fsck", "-f", "-y", image); err != nil && !(errors.As(err, &failure) && failure.ExitCode() == 1) {
		return err
	}
	return tool(ctx, "resize2fs", image)
}

// clone copies a file by sharing its blocks, in one step that no write comes between, and makes it at least size bytes long.
func clone(from, to string, size int64) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	if err := unix.IoctlFileClone(int(target.Fd()), int(source.Fd())); err != nil {
		return errors.Join(fmt.Errorf("cloning %s: %w", from, err), os.Remove(to))
	}
	info, err := target.Stat()
	if err != nil {
		return err
	}
	if info.Size() < size {
		return target.Truncate(size)
	}
	return nil
}

func tool(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// isMounted tells whether something is mounted at exactly this path.
func isMounted(path string) (bool, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true, nil
		}
	}
	return false, nil
}
