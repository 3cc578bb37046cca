// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// imageName is the one file in the backup of a raw block device.
const imageName Name = "volume.img"

// openDevice opens a block device, or an image of one, and returns how many bytes it has.
func openDevice(path string, flags int) (*os.File, int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, 0, fault.Exit(fault.Usage, &os.PathError{Op: "open", Path: path, Err: err})
	}
	switch kindOf(st.Mode) {
	case Block:
		// What is mounted is not opened so, and nobody can mount it meanwhile.
		flags |= unix.O_EXCL
	case File:
	case Folder, Symlink, Fifo, Socket, Char:
		return nil, 0, fault.Usagef("%s is no block device", path)
	}
	file, err := os.OpenFile(path, flags|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		cure := "unmount it, or take a snapshot of it and give the snapshot's device"
		if flags&unix.O_ACCMODE != unix.O_RDONLY {
			cure = "unmount it and end what uses it, or give another device"
		}
		return nil, 0, fault.Hint(fault.Usagef("%s is in use: it is mounted, or another program holds it", path), "%s", cure)
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, 0, fault.Hint(fault.Exit(fault.Usage, err),
			"the node of a device is its owner's and its group's: root needs no capability to open it, another user has to be in the group")
	case err != nil:
		return nil, 0, fault.Exit(fault.Usage, err)
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil && size == 0 {
		err = fault.Usagef("%s has no bytes", path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, size, nil
}

// device brings a raw device into the repository: a folder with its image as the only file.
func (s *saver) device(ctx context.Context) error {
	path := s.request.Device
	file, size, err := openDevice(path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	s.tally.whole.Store(size)
	s.tally.of.Store(2)
	stamp := Stamp{s.began.Unix(), int64(s.began.Nanosecond())}
	folder := &Entry{Path: top, Kind: Folder, Mode: 0o700, Modified: stamp, Changed: stamp}
	image := &Entry{Path: imageName, Kind: File, Mode: 0o600, Modified: stamp, Changed: stamp, Size: size}
	folder.ours()
	image.ours()
	if err := s.keep(&job{entry: folder}); err != nil {
		return err
	}
	if err := newCutter(s, image).cut(ctx, file); err != nil {
		return err
	}
	if now, err := file.Seek(0, io.SeekEnd); err != nil || now != size {
		return errors.Join(err, fmt.Errorf("it had %d bytes, and has %d after it was read", size, now))
	}
	return s.keep(&job{entry: image})
}

// ours gives an entry to the user of this process. The image of a device belongs to whoever makes
// it: what the node of the device was is no part of the data.
func (e *Entry) ours() {
	e.UID, e.GID = uint32(os.Geteuid()), uint32(os.Getegid()) //nolint:gosec // the kernel's own numbers
}

// image returns the one file of a backup of a device.
func (r *Repository) image(ctx context.Context, id string) (*Entry, error) {
	lines, in, err := r.manifestOf(ctx, id)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if !lines.Header.Device {
		return nil, fault.Hint(fault.Usagef("it is a backup of files, and not of a raw device"), "give a folder to restore it to")
	}
	var image *Entry
	for {
		e, err := lines.next()
		switch {
		case errors.Is(err, io.EOF) && image != nil:
			return image, nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: it has no %s", ErrDamaged, imageName)
		case err != nil:
			return nil, err
		case e.Path == top:
		case e.Path != imageName || e.Kind != File || e.Unread != "":
			return nil, fmt.Errorf("%w: %q is no image of a device", ErrDamaged, e.Path)
		default:
			image = e
		}
	}
}

// A mark lies in the first bytes of a device for as long as what follows them is not whole. What
// belongs there is written last, so that nobody takes a part of a restore for all of it.
const (
	markLength = 512
	markBegins = "knowngood: a restore to this device has not been finished, of backup "
)

// readMark returns the id of the backup whose restore to the device was not finished, "" where
// there is none.
func readMark(device io.ReaderAt) (string, error) {
	head := make([]byte, markLength)
	n, err := device.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	id, found := strings.CutPrefix(strings.TrimRight(string(head[:n]), "\x00"), markBegins)
	id, ended := strings.CutSuffix(id, "\n")
	if !found || !ended || id == "" || strings.Trim(id, "0123456789abcdef") != "" {
		return "", nil
	}
	return id, nil
}

// mark writes a mark.
func mark(device *os.File, id string) error {
	head := make([]byte, markLength)
	copy(head, markBegins+id+"\n")
	if _, err := device.WriteAt(head, 0); err != nil {
		return err
	}
	return device.Sync()
}
