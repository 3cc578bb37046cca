// SPDX-License-Identifier: Apache-2.0

package space

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

const loopMajor = 7 // block device major number of loop devices (Documentation/admin-guide/devices.txt)

// releaseLoops detaches and removes the instance's loop devices, and those that the kubelet stacked on them for raw block
// volumes. Devices of a mount namespace that has just died are let go by the kernel a moment later, hence the deadline.
func releaseLoops(in *layout.Instance, deadline time.Time) error {
	for {
		left, err := releaseOnce(in)
		if len(left) == 0 || time.Now().After(deadline) {
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("loop devices are still in use: %s", strings.Join(left, ", "))
			}
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func releaseOnce(in *layout.Instance) (left []string, err error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }()
	devices, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return nil, err
	}
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
			left = append(left, fmt.Sprintf("/dev/loop%d (%v)", number, err))
			continue
		}
		if !owned && slices.Contains(in.Loops, device) {
			continue // the host's own: the kubelet borrowed it
		}
		if err := unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_REMOVE, number); err != nil && !errors.Is(err, unix.ENODEV) {
			left = append(left, fmt.Sprintf("/dev/loop%d (%v)", number, err))
		}
	}
	return left, nil
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
