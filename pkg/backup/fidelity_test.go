// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
)

// A path may be longer than what a system call takes at once.
func TestNamesOfOneFileFarDownComeBack(t *testing.T) {
	t.Parallel()
	source, r := t.TempDir(), open(t, options(t, t.TempDir()))
	in, err := unix.Open(source, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	check(err)
	for range 20 {
		name := strings.Repeat("d", 250)
		check(unix.Mkdirat(in, name, 0o755))
		next, err := unix.Openat(in, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		check(errors.Join(err, unix.Close(in)))
		in = next
	}
	defer unix.Close(in)
	file, err := unix.Openat(in, "one", unix.O_CREAT|unix.O_WRONLY, 0o600)
	check(errors.Join(err, unix.Close(file), unix.Linkat(in, "one", in, "two", 0)))
	v, err := r.Verify(t.Context(), backup.Proof{ID: save(t, r, source).ID, Scratch: t.TempDir()})
	if err != nil || !v.Proved || v.Files != 2 {
		t.Errorf("%v: %+v", err, v)
	}
}

// A folder in which its owner may not write cannot be moved by him as it is, only by root.
func TestAnOwnerRestoresFoldersInWhichHeMayNotWrite(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	place, source, target := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "closed/inside/file"), "text")
	write(t, filepath.Join(target, "old/inside/file"), "what was there")
	for _, folder := range []string{source, target} {
		toNobody(t, folder)
		for _, name := range []string{"closed", "closed/inside", "old", "old/inside"} {
			if err := os.Chmod(filepath.Join(folder, name), 0o500); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	made := save(t, open(t, options(t, place)), source)
	toNobody(t, place)
	check(os.Chmod(filepath.Dir(target), 0o755))
	for range 2 { // the second one replaces what the first one brought
		if said := strings.Join(killed(t, time.Minute, "restore as nobody", place, target, made.ID), "\n"); said != "<nil>" {
			t.Fatal(said)
		}
		same(t, source, target)
	}
}

func toNobody(t *testing.T, folder string) {
	t.Helper()
	if err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, 65534, 65534))
	}); err != nil {
		t.Fatal(err)
	}
}

// Only root makes devices: to anybody else each name of one is a difference, and all else comes
// back.
func TestADeviceWithTwoNamesHindersNoRestoreByItsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root makes devices and becomes another user")
	}
	place, source, target := t.TempDir(), t.TempDir(), t.TempDir()
	check(errors.Join(
		unix.Mknod(filepath.Join(source, "device"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.Link(filepath.Join(source, "device"), filepath.Join(source, "second")),
		os.Chmod(filepath.Dir(target), 0o755),
	))
	write(t, filepath.Join(source, "text"), "text")
	toNobody(t, source)
	toNobody(t, target)
	made := save(t, open(t, options(t, place)), source)
	toNobody(t, place)
	said := strings.Join(killed(t, time.Minute, "restore as nobody", place, target, made.ID), "\n")
	if !strings.Contains(said, "2 things are not as they were") {
		t.Error(said)
	}
	if text, err := os.ReadFile(filepath.Join(target, "text")); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}

// What a file system is mounted on cannot be moved away: the folder then stays as it was.
func TestAFolderThatCannotBeClearedStaysAsItWas(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	source, target, r := t.TempDir(), t.TempDir(), open(t, options(t, t.TempDir()))
	write(t, filepath.Join(source, "new"), "new")
	write(t, filepath.Join(target, "a/file"), "what was there")
	write(t, filepath.Join(target, "closed/file"), "what was there")
	check(errors.Join(os.Chmod(filepath.Join(target, "closed"), 0o500), os.Mkdir(filepath.Join(target, "mounted"), 0o700)))
	before := fingerprint(t, target)
	if err := unix.Mount("tmpfs", filepath.Join(target, "mounted"), "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("nothing can be mounted here: ", err)
	}
	made := save(t, r, source)
	_, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Folder: target, Overwrite: true})
	check(unix.Unmount(filepath.Join(target, "mounted"), 0))
	if !errors.Is(err, unix.EBUSY) || len(fault.Hints(err)) == 0 {
		t.Error(err)
	}
	after := fingerprint(t, target)
	delete(before, ".") // its time says that something was tried
	delete(after, ".")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the folder is not what it was (-before +after):\n%s", diff)
	}
}
