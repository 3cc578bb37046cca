// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// extents returns where a file has data, as pairs of offset and length. A file system that
// does not tell has data everywhere.
func extents(file *os.File, size int64) ([]int64, error) {
	var found []int64
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(file.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // only a hole follows
		} else if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
			return []int64{0, size}, nil
		} else if err != nil {
			return nil, err
		}
		hole, err := unix.Seek(int(file.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if hole = min(hole, size); data >= hole {
			break
		}
		found = append(found, data, hole-data)
		at = hole
	}
	return found, nil
}

// holes reads a file whose data lies in extents; what is between them reads as zeros without
// touching the disk.
type holes struct {
	file    *os.File
	extents []int64
	size    int64
	at      int64
}

// Read implements io.Reader.
func (h *holes) Read(buffer []byte) (int, error) {
	if h.at >= h.size {
		return 0, io.EOF
	}
	for len(h.extents) > 0 && h.at >= h.extents[0]+h.extents[1] {
		h.extents = h.extents[2:]
	}
	until, isData := h.size, false
	if len(h.extents) > 0 {
		if isData = h.at >= h.extents[0]; isData {
			until = h.extents[0] + h.extents[1]
		} else {
			until = h.extents[0]
		}
	}
	buffer = buffer[:min(int64(len(buffer)), until-h.at)]
	if !isData {
		clear(buffer)
		h.at += int64(len(buffer))
		return len(buffer), nil
	}
	n, err := h.file.ReadAt(buffer, h.at)
	h.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}
