// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/sys/unix"
)

// liesOn tells whether a device holds the backup whole.
func (r *Repository) liesOn(ctx context.Context, t Target) (bool, error) {
	e, err := r.image(ctx, t.ID)
	if err != nil {
		return false, err
	}
	device, size, err := openDevice(t.Device, unix.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer device.Close()
	left, err := readMark(device)
	if err != nil || left != "" || size < e.Size {
		return false, err
	}
	if len(e.Extents) > 0 { // a device that is empty there is not read to its end
		end := e.Extents[0] + e.Extents[1]
		if at, err := newLooker(device).data(ctx, e.Extents[0], end, &tally{}); err != nil || at == end {
			return false, err
		}
	}
	if err := device.Close(); err != nil {
		return false, err
	}
	differences, err := r.compareDevice(ctx, t.ID, t.Device)
	return err == nil && len(differences) == 0, err
}

// compareDevice returns what on the device is not as the manifest of the backup says.
func (r *Repository) compareDevice(ctx context.Context, id, path string) ([]string, error) {
	e, err := r.image(ctx, id)
	if err != nil {
		return nil, err
	}
	device, size, err := openDevice(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	if size < e.Size {
		return []string{fmt.Sprintf("the device has %d bytes, want %d", size, e.Size)}, nil
	}
	// What was written is to be read from the device, and not from memory.
	_ = unix.Fadvise(int(device.Fd()), 0, 0, unix.FADV_DONTNEED) // a device without cache has none to drop
	var t tally
	t.whole.Store(e.Size)
	t.of.Store(1)
	defer t.tell(ctx, r.options, "comparing", nil)()
	digest, buffer := sha256.New(), make([]byte, leastPiece)
	for at := int64(0); at < e.Size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part := buffer[:min(int64(len(buffer)), e.Size-at)]
		if err := readPiece(device, part, at); err != nil {
			return nil, err
		}
		_, _ = digest.Write(part) // never fails
		at += int64(len(part))
		t.bytes.Add(int64(len(part)))
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != e.SHA256 {
		return []string{fmt.Sprintf("SHA-256 is %s, want %s", sum, e.SHA256)}, nil
	}
	return nil, nil
}
