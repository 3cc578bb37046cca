// SPDX-License-Identifier: Apache-2.0

package space

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

const loopMajor = 7 // block device major number of loop devices (Documentation/admin-guide/devices.txt)

// patience is how long devices of a mount namespace that has just died may take to be let go, before they are looked into.
const patience = time.Second

// busy are loop devices that could not be removed, and why.
type busy map[int]error

func (b busy) Error() string {
	var all []string
	for number, err := range b {
		all = append(all, fmt.Sprintf("/dev/loop%d: %v", number, err))
	}
	slices.Sort(all)
	return "loop devices are still in use: " + strings.Join(all, ", ")
}

// releaseLoops detaches and removes the instance's loop devices, and those that the kubelet stacked on them for raw block
// volumes.
func releaseLoops(in *layout.Instance, limit time.Duration) error {
	began, looked := time.Now(), false
	for {
		left, err := releaseOnce(in)
		switch spent := time.Since(began); {
		case err != nil || len(left) == 0:
			return err
		case spent > limit:
			return left
		case spent > patience && !looked:
			looked = true
			for number := range left {
				thawOrphan(number, in.Path("scratch"))
			}
		}
		time.Sleep(tick)
	}
}

func releaseOnce(in *layout.Instance) (busy, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }()
	devices, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return nil, err
	}
	left := busy{}
	for _, device := range devices {
		number, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(device), "loop"))
		if err != nil {
			continue
		}
		owned := ours(in, number)
		if !owned && !stacked(in, number) {
			continue
		}
		if err := detach(number); err != nil {
			left[number] = err
			continue
		}
		if !owned && slices.Contains(in.Loops, device) {
			continue // the host's own: the kubelet borrowed it
		}
		if err := unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_REMOVE, number); err != nil && !errors.Is(err, unix.ENODEV) {
			left[number] = err
		}
	}
	return left, nil
}

// thawOrphan thaws a filesystem that was frozen when its last mount went: freezing holds it, and it holds its device. Mounting
// the device finds that same filesystem again, and the way to thaw it. It is tried in a mount namespace of its own; when it
// fails, the device is reported as busy.
func thawOrphan(number int, dir string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread, and its mount namespace, end with this goroutine
		if unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS) != nil || unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") != nil {
			return
		}
		for _, kind := range []string{"ext4", "xfs"} {
			if unix.Mount(fmt.Sprintf("/dev/loop%d", number), dir, kind, 0, "") != nil {
				continue
			}
			if folder, err := os.Open(dir); err == nil {
				_ = unix.IoctlSetInt(int(folder.Fd()), fiThaw, 0) // was not frozen: the device is busy for another reason
				_ = folder.Close()
			}
			_ = unix.Unmount(dir, 0)
			return
		}
	}()
	<-done
}

func ours(in *layout.Instance, number int) bool {
	first, end := in.LoopRange()
	return in.Slot >= 0 && number >= first && number < end
}

// stacked tells whether the device's backing file is one of the instance's loop devices.
func stacked(in *layout.Instance, number int) bool {
	if _, err := os.Stat(fmt.Sprintf("/sys/block/loop%d/loop", number)); err != nil {
		return false // attached to nothing
	}
	device, err := os.Open(fmt.Sprintf("/dev/loop%d", number))
	if err != nil {
		return false
	}
	defer func() { _ = device.Close() }()
	info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
	return err == nil && unix.Major(info.Rdevice) == loopMajor && ours(in, int(unix.Minor(info.Rdevice)))
}

func detach(number int) error {
	device, err := os.Open(fmt.Sprintf("/dev/loop%d", number))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }()
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return err // ENXIO: attached to nothing
	}
	return nil
}
