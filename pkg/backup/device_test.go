// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const mega = 1 << 20

// image makes an image file of a device, with some random bytes at offsets.
func image(t *testing.T, size int64, offsets ...int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	scribble(t, path, offsets...)
	return path
}

// scribble writes 4 KiB of random bytes at offsets.
func scribble(t *testing.T, path string, offsets ...int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	random := rand.NewChaCha8([32]byte{byte(len(offsets))})
	for _, at := range offsets {
		part := make([]byte, 4096)
		random.Read(part)
		if _, err := file.WriteAt(part, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
}

// loop makes a block device of an image, where root is.
func loop(t *testing.T, path string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a loop device")
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no loop devices here: ", err)
	}
	defer control.Close()
	backing, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("/dev/loop%d", number)
		device, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &unix.LoopConfig{Fd: uint32(backing.Fd())})
		if errors.Is(err, unix.EBUSY) { // another was quicker
			device.Close()
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0), device.Close()); err != nil {
				t.Error(err)
			}
		})
		return name
	}
}

// asIs leaves an image what it is.
func asIs(_ *testing.T, path string) string { return path }

func saveDevice(t *testing.T, r *backup.Repository, path string) release.Backup {
	t.Helper()
	made, err := r.Save(t.Context(), device(path))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func device(path string) backup.Request {
	q := request("")
	q.Device = path
	return q
}

func contents(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d bytes, %x", n, sum.Sum(nil))
}

func TestADeviceComesBack(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*testing.T, string) string{"image": asIs, "device": loop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const size = 64*mega + 3*512 // no whole number of pieces
			source := of(t, image(t, size, 0, 4096, 10*mega-2048, 64*mega-4096))
			r := open(t, options(t, t.TempDir()))
			made := saveDevice(t, r, source)
			if !made.Device || made.Bytes != size || made.Files != 1 || made.Stored > 64<<10 {
				t.Errorf("made %+v", made)
			}
			target := filepath.Join(t.TempDir(), "new")
			restore(t, r, made.ID, target)
			file := filepath.Join(target, "volume.img")
			var st unix.Stat_t
			if got, want := contents(t, file), contents(t, source); got != want {
				t.Errorf("came back as a file of %s, want %s", got, want)
			}
			if err := unix.Stat(file, &st); err != nil || st.Blocks*512 > 6*mega {
				t.Errorf("%v: the file takes %d bytes of the disk", err, st.Blocks*512)
			}
			onto := of(t, image(t, size+512))
			did, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Device: onto})
			if err != nil || did.Bytes != size {
				t.Errorf("%v: %+v", err, did)
			}
			whole, err := os.ReadFile(onto)
			if want, other := os.ReadFile(source); err != nil || other != nil || !bytes.Equal(whole[:size], want) || len(bytes.Trim(whole[size:], "\x00")) > 0 {
				t.Errorf("%v, %v: the device is another", err, other)
			}
			if v, err := r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil || !v.Proved || v.Bytes != size {
				t.Errorf("%v: %+v", err, v)
			}
			if v, err := r.Prove(t.Context(), backup.Target{ID: made.ID, Device: onto, Overwrite: true}); err != nil || v.Bytes != size {
				t.Errorf("%v: %+v", err, v)
			}
			copied := open(t, options(t, t.TempDir()))
			if did, err := r.CopyTo(t.Context(), copied); err != nil || did.Backups != 1 {
				t.Errorf("%v: %+v", err, did)
			}
			if again := saveDevice(t, copied, source); again.Stored > 32<<10 {
				t.Errorf("a save after a copy stores %d bytes", again.Stored)
			}
			listed, err := r.List(t.Context(), backup.Query{})
			if err != nil || len(listed) != 1 || !listed[0].Device || !listed[0].Verified.Proved {
				t.Errorf("%v: %+v", err, listed)
			}
		})
	}
}

// Of a device of which a block has changed one piece is stored anew.
func TestAnUnchangedBlockIsStoredOnce(t *testing.T) {
	t.Parallel()
	var offsets []int64
	for at := int64(0); at < 24*mega; at += 4096 {
		offsets = append(offsets, at)
	}
	source := image(t, 1<<30, offsets...)
	r := open(t, options(t, t.TempDir()))
	if first := saveDevice(t, r, source); first.Stored < 20*mega || first.Stored > 25*mega {
		t.Errorf("the first save stores %d bytes", first.Stored)
	}
	if again := saveDevice(t, r, source); again.Stored > 64<<10 {
		t.Errorf("a save of the same stores %d bytes", again.Stored)
	}
	scribble(t, source, 3*mega+100*4096)
	if changed := saveDevice(t, r, source); changed.Stored > mega+64<<10 {
		t.Errorf("a save of one changed block stores %d bytes", changed.Stored)
	}
}

func TestWhereADeviceMayGo(t *testing.T) {
	t.Parallel()
	const size = 4 * mega
	source, r := image(t, size, 0, 2*mega), open(t, options(t, t.TempDir()))
	made := saveDevice(t, r, source)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a"), "text")
	files := save(t, r, folder)
	for name, test := range map[string]struct {
		target backup.Target
		says   string
	}{
		"smaller":        {backup.Target{ID: made.ID, Device: image(t, size-512)}, "takes 4194304"},
		"not empty":      {backup.Target{ID: made.ID, Device: image(t, size, 3*mega)}, "data at byte 3145728"},
		"of files":       {backup.Target{ID: files.ID, Device: image(t, size)}, "a backup of files"},
		"a folder":       {backup.Target{ID: made.ID, Device: t.TempDir()}, "no block device"},
		"not there":      {backup.Target{ID: made.ID, Device: "/dev/absent"}, "no such file"},
		"a terminal":     {backup.Target{ID: made.ID, Device: "/dev/null"}, "no block device"},
		"without a byte": {backup.Target{ID: made.ID, Device: image(t, 0)}, "no bytes"},
	} {
		_, err := r.Restore(t.Context(), test.target)
		if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	onto := image(t, size+2*mega, 0, mega, 3*mega+4096, size+mega)
	if os.Geteuid() == 0 {
		onto = loop(t, onto)
	}
	if _, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Device: onto, Overwrite: true}); err != nil {
		t.Error(err)
	}
	if want := contents(t, image(t, size+2*mega, 0, 2*mega)); contents(t, onto) != want {
		t.Error("what was on the device is still there in part")
	}
}

// What somebody else holds is neither read nor written.
func TestADeviceInUseIsLeftAlone(t *testing.T) {
	t.Parallel()
	used := loop(t, image(t, 2*mega, 0))
	r := open(t, options(t, t.TempDir()))
	made := saveDevice(t, r, used)
	holder, err := os.OpenFile(used, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := r.Save(t.Context(), device(used)); fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
	_, err = r.Restore(t.Context(), backup.Target{ID: made.ID, Device: used, Overwrite: true})
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "in use") || !strings.Contains(fmt.Sprint(fault.Hints(err)), "another device") {
		t.Errorf("%v, hints %q", err, fault.Hints(err))
	}
}

// Of two restores to one image the second would finish the head of what the first still writes.
func TestOneRestoreAtATimeWritesAnImage(t *testing.T) {
	t.Parallel()
	r := open(t, options(t, t.TempDir()))
	made := saveDevice(t, r, image(t, mega, 8192))
	target := image(t, mega)
	other, err := os.OpenFile(target, os.O_RDWR, 0)
	if err == nil {
		err = unix.Flock(int(other.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, target)
	_, err = r.Restore(t.Context(), backup.Target{ID: made.ID, Device: target, Overwrite: true})
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "at work") || contents(t, target) != before {
		t.Errorf("beside another restore: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Device: target}); err != nil {
		t.Error(err)
	}
}

// The rest of a device that cannot be read is told by its place, and there is no backup.
func TestADeviceThatCannotBeReadIsNoBackup(t *testing.T) {
	t.Parallel()
	backing := image(t, 8*mega, 0)
	broken := loop(t, backing)
	if err := os.Truncate(backing, 4*mega); err != nil {
		t.Fatal(err)
	}
	r := open(t, options(t, t.TempDir()))
	_, err := r.Save(t.Context(), device(broken))
	if fault.StatusOf(err) != fault.Failed || !strings.Contains(err.Error(), "read at byte 4194304: input/output error") {
		t.Error(err)
	}
	if all, err := r.List(t.Context(), backup.Query{}); err != nil || len(all) > 0 {
		t.Errorf("%v: %+v", err, all)
	}
}

// A device on which a restore was cut short says so to everybody, until the same restore is done.
func TestARestoreToADeviceThatWasCutShort(t *testing.T) {
	t.Parallel()
	var offsets []int64
	for at := int64(0); at < 48*mega; at += 4096 {
		offsets = append(offsets, at)
	}
	source, place := image(t, 48*mega, offsets...), t.TempDir()
	r := open(t, options(t, place))
	made := saveDevice(t, r, source)
	other := saveDevice(t, r, image(t, 48*mega, 0))
	onto := image(t, 48*mega)
	said := strings.Join(killed(t, time.Minute, "restore to a device that fails", place, onto, made.ID), "\n")
	if !strings.Contains(said, "the device is not whole") || !strings.Contains(said, "file too large") {
		t.Fatalf("it was not cut short: %s", said)
	}
	if _, err := r.Save(t.Context(), device(onto)); fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "has not been finished") {
		t.Errorf("saved: %v", err)
	}
	_, err := r.Restore(t.Context(), backup.Target{ID: other.ID, Device: onto})
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(fmt.Sprint(fault.Hints(err)), made.ID) {
		t.Errorf("another backup: %v %q", err, fault.Hints(err))
	}
	if v, err := r.Fill(t.Context(), backup.Target{ID: made.ID, Device: onto}); err != nil || !v.Proved || v.Bytes != 48*mega {
		t.Fatalf("%v: %+v", err, v)
	}
	if v, err := r.Fill(t.Context(), backup.Target{ID: made.ID, Device: onto}); err != nil || !v.Proved || v.Bytes != 48*mega {
		t.Fatalf("again: %v: %+v", err, v)
	}
	if got, want := contents(t, onto), contents(t, source); got != want {
		t.Errorf("came back as %s, want %s", got, want)
	}
}
