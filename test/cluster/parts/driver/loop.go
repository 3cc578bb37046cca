// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// loopCount is how many devices the driver may have.
const loopCount = 1000

// loops hands out loop devices of a range that is the driver's alone: whoever cleans up knows them by their number.
type loops struct {
	first, end int
	mu         sync.Mutex
}

func devicePath(number int) string { return fmt.Sprintf("/dev/loop%d", number) }

// attached returns the number of the device whose backing file this is.
func (l *loops) attached(file string) (number int, ok bool) {
	for n := l.first; n < l.end; n++ {
		data, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", n))
		if err == nil && strings.TrimSpace(string(data)) == file {
			return n, true
		}
	}
	return 0, false
}

// attach opens the device of an image, attaching one first if there is none. With release the device detaches itself when the
// last that uses it lets go: keep the file open until it is mounted.
func (l *loops) attach(image string, release bool) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.attached(image); ok {
		return os.OpenFile(devicePath(n), os.O_RDWR, 0)
	}
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	config := unix.LoopConfig{Fd: uint32(file.Fd())} //nolint:gosec // a file descriptor
	if release {
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	}
	copy(config.Info.File_name[:unix.LO_NAME_SIZE-1], image)
	for n := l.first; n < l.end; n++ {
		device, err := open(n)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		_ = device.Close()
		if !errors.Is(err, unix.EBUSY) { // EBUSY: attached to another image
			return nil, fmt.Errorf("attaching %s to %s: %w", image, device.Name(), err)
		}
	}
	return nil, fmt.Errorf("all loop devices from %d to %d are in use", l.first, l.end-1)
}

// open opens a loop device and makes it first if there is none of this number.
func open(number int) (*os.File, error) {
	device, err := os.OpenFile(devicePath(number), os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return device, err
	}
	if err := control(unix.LOOP_CTL_ADD, number); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("making %s: %w", devicePath(number), err)
	}
	return os.OpenFile(devicePath(number), os.O_RDWR, 0)
}

// number returns the device of an image, or -1.
func (l *loops) number(image string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.attached(image); ok {
		return n
	}
	return -1
}

// remove detaches a device, if it has not detached itself, and removes it. One that is still in use goes when it is let go.
func (l *loops) remove(number int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	device, err := os.Open(devicePath(number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
	_ = device.Close()
	if err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detaching %s: %w", devicePath(number), err)
	}
	_ = control(unix.LOOP_CTL_REMOVE, number) // busy for a moment: it is used again by a later volume
	return nil
}

func control(request uint, number int) error {
	file, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return unix.IoctlSetInt(int(file.Fd()), request, number)
}
