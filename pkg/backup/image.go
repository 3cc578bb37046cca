// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kopia/kopia/repo/object"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// restoreDevice writes a backup of a device onto a device. Until all of it is there, the device
// begins with a mark that says so; another restore of the same backup then begins anew.
func (r *Repository) restoreDevice(ctx context.Context, t Target) (Restored, error) {
	var result Restored
	e, err := r.image(ctx, t.ID)
	if err != nil {
		return result, err
	}
	device, size, err := openDevice(t.Device, unix.O_RDWR)
	if err != nil {
		return result, err
	}
	defer device.Close()
	if err := lockImage(device); err != nil {
		return result, err
	}
	if least := max(e.Size, markLength); size < least {
		return result, fault.Hint(fault.Usagef("it has %d bytes, and the backup takes %d", size, least), "give a device that is at least as large")
	}
	used, err := r.used(ctx, t, device, size)
	if err != nil {
		return result, err
	}
	if err := mark(device, t.ID); err != nil {
		return result, err
	}
	w := &onto{restorer: &restorer{ctx: ctx, repository: r}, device: device, size: size, used: used, look: newLooker(device)}
	err = w.write(ctx, e)
	if err == nil {
		err = w.end()
	}
	if err != nil {
		return result, fault.Hint(fmt.Errorf("the device is not whole, and begins with a mark that says so: %w", err), "the same restore begins anew and finishes it")
	}
	return Restored{Entries: 2, Files: 1, Bytes: e.Size}, nil
}

// lockImage keeps others from restoring to the image of a device meanwhile. The kernel does so of a
// device itself, since that is opened for one alone.
func lockImage(image *os.File) error {
	st, err := stat(image)
	if err != nil || kindOf(st.Mode) != File {
		return err
	}
	if err := unix.Flock(int(image.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fault.Exit(fault.Usage, errors.New("another restore to it is at work"))
	}
	return nil
}

// used tells whether the device may hold anything but zeros, and refuses one that does where it
// may not be overwritten. The restore that was cut short may go on.
func (r *Repository) used(ctx context.Context, t Target, device *os.File, size int64) (bool, error) {
	left, err := readMark(device)
	switch {
	case err != nil:
		return false, err
	case t.Overwrite || left == t.ID:
		return true, nil
	case left != "":
		return false, fault.Hint(fault.Usagef("a restore of backup %s to this device was cut short", left),
			"finish it: knowngood backup restore %s --to %s, or give --overwrite to replace what is there", left, t.Device)
	}
	var w tally
	w.whole.Store(size)
	w.of.Store(1)
	defer w.tell(ctx, r.options, "looking for data", nil)()
	at, err := newLooker(device).data(ctx, 0, size, &w)
	if err == nil && at < size {
		err = fault.Hint(fault.Usagef("the device is not empty: there is data at byte %d", at),
			"give an empty device, or --overwrite to replace what is there")
	}
	return false, err
}

// A looker looks where a device has data.
type looker struct {
	device        io.ReaderAt
	buffer, zeros []byte
}

func newLooker(device io.ReaderAt) *looker {
	return &looker{device, make([]byte, leastPiece), make([]byte, leastPiece)}
}

// data returns where the first byte lies that is not zero, the end where there is none.
func (l *looker) data(ctx context.Context, at, end int64, t *tally) (int64, error) {
	for at < end {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		part := l.buffer[:min(int64(len(l.buffer)), end-at)]
		if err := readPiece(l.device, part, at); err != nil {
			return 0, err
		}
		if !bytes.Equal(part, l.zeros[:len(part)]) {
			return at + int64(len(part)-len(bytes.TrimLeft(part, "\x00"))), nil
		}
		at += int64(len(part))
		t.bytes.Add(int64(len(part)))
	}
	return end, nil
}

// onto writes an image onto a device.
type onto struct {
	*restorer
	device *os.File
	size   int64
	// used is true where the device may hold data that the image has not.
	used bool
	look *looker
	at   int64
	// head is what belongs where the mark is.
	head [markLength]byte
}

// Write implements io.Writer. What belongs where the mark is, is kept for the end.
func (w *onto) Write(p []byte) (int, error) {
	skip := 0
	if w.at < markLength {
		skip = copy(w.head[w.at:], p)
	}
	n, err := w.device.WriteAt(p[skip:], w.at+int64(skip))
	w.at += int64(skip + n)
	return skip + n, err
}

// write brings all of the image to the device but for its head, and proves it on the way.
func (w *onto) write(ctx context.Context, e *Entry) error {
	defer w.repository.frugal()()
	w.tally.whole.Store(e.Size)
	w.tally.of.Store(2)
	defer w.tally.tell(ctx, w.repository.options, "restoring", nil)()
	in, err := openObject(ctx, w.repository.kopia, e.Object)
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	defer in.Close()
	if in.Length() != e.Size {
		return fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, imageName, in.Length(), e.Size)
	}
	data := e.Extents
	if !e.Sparse {
		data = []int64{0, e.Size}
	}
	digest := sha256.New()
	for i := 0; i+1 < len(data); i += 2 {
		if err := w.leave(ctx, digest, data[i]); err != nil {
			return err
		}
		if err := w.bring(ctx, digest, in, data[i+1]); err != nil {
			return err
		}
	}
	if err := w.leave(ctx, digest, e.Size); err != nil {
		return err
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != e.SHA256 {
		return fmt.Errorf("%w: the SHA-256 of %s is %s, want %s", ErrDamaged, imageName, sum, e.SHA256)
	}
	return w.leave(ctx, io.Discard, w.size)
}

// bring copies so much data from the repository to where the restore is.
func (w *onto) bring(ctx context.Context, digest io.Writer, in object.Reader, length int64) error {
	if _, err := in.Seek(w.at, io.SeekStart); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	damaged, err := w.copy(ctx, io.MultiWriter(digest, w), in, length)
	if err == nil && damaged != nil {
		err = errors.Join(ctx.Err(), fmt.Errorf("%w: %w", ErrDamaged, damaged))
	}
	return err
}

// leave goes on to an offset, up to which the device has to hold zeros.
func (w *onto) leave(ctx context.Context, digest io.Writer, to int64) error {
	zeros(digest, to-w.at)
	w.tally.passed.Add(to - w.at)
	for from := max(w.at, markLength); w.used && from < to; {
		at, err := w.look.data(ctx, from, to, &tally{})
		at = max(at&^(sector-1), from)
		if from = min(at+leastPiece, to); err == nil && at < to {
			err = w.blank(at, from)
		}
		if err != nil {
			return err
		}
	}
	w.at = to
	return nil
}

// sector is at what offsets every device can make zeros without writing them.
const sector = 4096

// blank makes zeros of a piece of the device: in one call where the device or its file system can,
// which then needs no room for them.
func (w *onto) blank(from, to int64) error {
	if unix.Fallocate(int(w.device.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from) == nil {
		return nil
	}
	_, err := w.device.WriteAt(w.look.zeros[:to-from], from)
	return err
}

// end puts the head in the place of the mark once all else is on the disk.
func (w *onto) end() error {
	if err := w.device.Sync(); err != nil {
		return err
	}
	if _, err := w.device.WriteAt(w.head[:], 0); err != nil {
		return err
	}
	return w.device.Sync()
}
