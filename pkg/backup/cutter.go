// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"

	"github.com/kopia/kopia/repo/object"
	"golang.org/x/sync/errgroup"
)

// A device is cut into pieces of one length, at offsets that are multiples of it: a block that
// changes makes one piece anew and moves no other. The length grows with the device, so that what
// is kept in memory of each piece stays within tens of megabytes.
const (
	leastPiece = 1 << 20
	mostPieces = 512 << 10
	// mostBuffered is how many bytes of pieces are in memory, unless they are longer than half of it.
	mostBuffered = 64 << 20
)

func pieceOf(size int64) int64 {
	piece := int64(leastPiece)
	for size/piece > mostPieces {
		piece *= 2
	}
	return piece
}

// A cutter makes an object of kopia of a device. It writes the index of the object by itself, so
// that pieces are packed side by side, and one of zeros costs neither a hash nor a place.
type cutter struct {
	saver  *saver
	entry  *Entry
	digest hash.Hash
	index  []object.IndirectObjectEntry
	// zeros is a piece without data, and hole its object, once there is one.
	zeros []byte
	hole  object.ID
	// free are the buffers that nobody uses: they bound what is read ahead.
	free chan []byte
}

func newCutter(s *saver, e *Entry) *cutter {
	piece := pieceOf(e.Size)
	c := &cutter{
		saver: s, entry: e, digest: sha256.New(), zeros: make([]byte, piece),
		index: make([]object.IndirectObjectEntry, (e.Size+piece-1)/piece),
		free:  make(chan []byte, max(2, min(int64(runtime.GOMAXPROCS(0)+1), mostBuffered/piece))),
	}
	for range cap(c.free) {
		c.free <- make([]byte, piece)
	}
	return c
}

// cut reads the device from its start to its end, and gives the entry its content. What cannot be
// read ends it: an image that lacks some of the device is none.
func (c *cutter) cut(ctx context.Context, device io.ReaderAt) error {
	group, ctx := errgroup.WithContext(ctx)
	var err error
	for i := range c.index {
		if err = errors.Join(ctx.Err(), c.saver.repository.failed()); err != nil {
			break
		}
		if err = c.one(device, i, group); err != nil {
			break
		}
		if err = c.saver.due(); err != nil {
			break
		}
	}
	if packing := group.Wait(); packing != nil { // which is then why ctx has ended
		err = packing
	}
	if err != nil {
		return err
	}
	c.entry.SHA256 = hex.EncodeToString(c.digest.Sum(nil))
	if !c.entry.Sparse {
		c.entry.Extents = nil
	}
	c.entry.Object, err = joined(c.saver.kopia, c.saver.writer, c.index)
	return err
}

// one reads a piece and has it packed.
func (c *cutter) one(device io.ReaderAt, i int, group *errgroup.Group) error {
	at := int64(i) * int64(len(c.zeros))
	buffer := <-c.free
	part := buffer[:min(int64(len(buffer)), c.entry.Size-at)]
	if err := readPiece(device, part, at); err != nil {
		return err
	}
	_, _ = c.digest.Write(part) // never fails
	c.saver.tally.bytes.Add(int64(len(part)))
	c.index[i].Start, c.index[i].Length = at, int64(len(part))
	if bytes.Equal(part, c.zeros[:len(part)]) {
		c.free <- buffer
		c.entry.Sparse = true
		var err error
		c.index[i].Object, err = c.nothing(len(part))
		return err
	}
	c.entry.Extents = extend(c.entry.Extents, at, int64(len(part)))
	group.Go(func() error {
		defer func() { c.free <- buffer }()
		var err error
		c.index[i].Object, err = c.pack(part)
		return err
	})
	return nil
}

// readPiece fills a part from the device, and says where it could not.
func readPiece(device io.ReaderAt, part []byte, at int64) error {
	n, err := device.ReadAt(part, at)
	if n == len(part) {
		return nil
	}
	var failed *os.PathError
	if errors.As(err, &failed) {
		err = failed.Err // the path is said by the caller
	} else if errors.Is(err, io.EOF) {
		err = errors.New("the device ends there, and was longer when it was opened")
	}
	return fmt.Errorf("read at byte %d: %w", at+int64(n), err)
}

// extend adds data to extents, which end where it begins or before.
func extend(extents []int64, at, length int64) []int64 {
	if n := len(extents); n > 0 && extents[n-2]+extents[n-1] == at {
		extents[n-1] += length
		return extents
	}
	return append(extents, at, length)
}

// nothing returns the object of so many zeros.
func (c *cutter) nothing(length int) (object.ID, error) {
	if length < len(c.zeros) {
		return c.pack(c.zeros[:length])
	}
	var err error
	if c.hole == object.EmptyID {
		c.hole, err = c.pack(c.zeros)
	}
	return c.hole, err
}

func (c *cutter) pack(part []byte) (object.ID, error) {
	writer := c.saver.writer.NewObjectWriter(c.saver.kopia, packing(c.entry, true))
	defer writer.Close()
	if _, err := writer.Write(part); err != nil {
		return object.EmptyID, err
	}
	return writer.Result()
}

// packing says how the content of an entry is packed: that of a device as it is cut.
func packing(e *Entry, device bool) object.WriterOptions {
	options := object.WriterOptions{Compressor: compressor, MetadataCompressor: compressor}
	if device && e.Path == imageName {
		options.Splitter = fmt.Sprintf("FIXED-%dM", min(pieceOf(e.Size)>>20, 8)) // kopia has none longer
	}
	return options
}
