// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// write gives a file its bytes, proves them, and gives it all else that it had.
func (w *restorer) write(ctx context.Context, c pending) error {
	damaged, err := w.bytes(ctx, c)
	if err == nil && damaged == nil {
		w.finish(c.file, c.entry)
	}
	if err = errors.Join(err, c.file.Close()); err != nil {
		return fmt.Errorf("%q: %w", c.entry.Path, err)
	}
	if damaged == nil {
		w.restored(c.entry)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.damaged = append(w.damaged, fmt.Errorf("%q: %w", c.entry.Path, damaged))
	return nil
}

// bytes writes the content of a file. damaged says that the repository does not give what was
// saved; err, that it cannot be written.
func (w *restorer) bytes(ctx context.Context, c pending) (damaged, err error) {
	in, err := openObject(ctx, w.repository.kopia, c.entry.Object)
	if err != nil {
		return err, ctx.Err()
	}
	defer in.Close()
	if in.Length() != c.entry.Size {
		return fmt.Errorf("it has %d bytes, want %d", in.Length(), c.entry.Size), nil
	}
	data := c.entry.Extents
	if !c.entry.Sparse {
		data = []int64{0, c.entry.Size}
	}
	digest := sha256.New()
	var at int64
	for i := 0; i+1 < len(data); i += 2 {
		zeros(digest, data[i]-at)
		if damaged, err = seek(ctx, in, c.file, data[i]-at); damaged != nil || err != nil {
			return damaged, err
		}
		if damaged, err = w.copy(ctx, io.MultiWriter(digest, c.file), in, data[i+1]); damaged != nil || err != nil {
			return damaged, err
		}
		at = data[i] + data[i+1]
	}
	zeros(digest, c.entry.Size-at)
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != c.entry.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, want %s", sum, c.entry.SHA256), nil
	}
	if at == c.entry.Size {
		return nil, nil // its last byte is written
	}
	return nil, c.file.Truncate(c.entry.Size)
}

// seek steps over a hole on both sides.
func seek(ctx context.Context, in io.Seeker, to *os.File, hole int64) (damaged, err error) {
	if hole == 0 {
		return nil, nil
	}
	if _, err := in.Seek(hole, io.SeekCurrent); err != nil {
		return err, ctx.Err()
	}
	_, err = to.Seek(hole, io.SeekCurrent)
	return nil, err
}

func (w *restorer) copy(ctx context.Context, to io.Writer, in io.Reader, length int64) (damaged, err error) {
	buffer, ok := w.buffers.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
		*buffer = make([]byte, 256<<10)
	}
	defer w.buffers.Put(buffer)
	for length > 0 {
		n, reading := io.ReadFull(in, (*buffer)[:min(length, int64(len(*buffer)))])
		if _, err := to.Write((*buffer)[:n]); err != nil {
			return nil, err
		}
		length -= int64(n)
		w.tally.bytes.Add(int64(n))
		if reading != nil {
			return reading, ctx.Err()
		}
	}
	return nil, nil
}

// zeros adds a hole to a digest.
func zeros(digest io.Writer, length int64) {
	if length <= 0 {
		return // most files have no hole, and need no block
	}
	var block [64 << 10]byte
	for length > 0 {
		n, _ := digest.Write(block[:min(length, int64(len(block)))]) // never fails
		length -= int64(n)
	}
}

// finish gives an open file or folder its owner, attributes, mode and times, in this order:
// a new owner takes set-id bits and capabilities away, and an ACL changes the mode.
func (w *restorer) finish(file *os.File, e *Entry) {
	fd := int(file.Fd())
	now, err := stat(file)
	if err == nil && (now.Uid != e.UID || now.Gid != e.GID) {
		err = unix.Fchown(fd, int(e.UID), int(e.GID))
	}
	w.unless(e, "owner", err)
	w.unless(e, "attributes", setXattrs("", e.Xattrs, opened(fd)))
	w.unless(e, "mode", unix.Fchmod(fd, e.Mode))
	w.unless(e, "times", e.stamp(fd))
}

// stamp gives an open file its times.
func (e *Entry) stamp(fd int) error {
	err := unix.UtimesNanoAt(fd, "", e.times(), unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // Linux before 5.8 wants a path
		err = unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), e.times(), 0)
	}
	return err
}

// dress does the same for what is never opened: links, FIFOs, sockets and devices.
func (w *restorer) dress(in *os.File, e *Entry) {
	fd, path := int(in.Fd()), throughParent(in, e.base())
	var now unix.Stat_t
	err := unix.Fstatat(fd, e.base(), &now, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return // it could not be made, which was told
	}
	if err == nil && (now.Uid != e.UID || now.Gid != e.GID) {
		err = unix.Fchownat(fd, e.base(), int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW)
	}
	w.unless(e, "owner", err)
	w.unless(e, "attributes", setXattrs(path, e.Xattrs, unfollowed()))
	if e.Kind != Symlink {
		w.unless(e, "mode", unix.Fchmodat(fd, e.base(), e.Mode, 0))
	}
	w.unless(e, "times", unix.UtimesNanoAt(fd, e.base(), e.times(), unix.AT_SYMLINK_NOFOLLOW))
}

func (e *Entry) times() []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: e.Modified[0], Nsec: e.Modified[1]}}
}

func (w *restorer) unless(e *Entry, what string, err error) {
	if err != nil {
		w.differs(e, fmt.Errorf("%s: %w", what, err))
	}
}
