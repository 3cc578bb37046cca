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

	"github.com/kopia/kopia/repo/object"
	"golang.org/x/sys/unix"
)

// compressor is how content is packed: what does not shrink is kept as it is.
const compressor = "zstd-fastest"

// tries is how often a file that changes while it is read is read.
const tries = 3

// openFile opens a file that was seen as one. O_NONBLOCK keeps a FIFO that has taken its
// place from holding us.
func openFile(in *os.File, e *Entry) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(int(in.Fd()), e.base(), flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // not ours, so that reading it marks it as read
		fd, err = unix.Openat(int(in.Fd()), e.base(), flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), string(e.Path)), nil
}

// read brings the content of a file into the repository. An error of the disk is the file's
// own, and leaves it out; one of the repository ends the save.
func (s *saver) read(ctx context.Context, j *job) error {
	e := j.entry
	for try := range tries {
		before, err := stat(j.file)
		if err != nil {
			e.Unread = reason(err)
			return nil
		}
		if kindOf(before.Mode) != File {
			e.Unread = "it was replaced by something else while the folder was read"
			return nil
		}
		e.Size, e.Sparse = before.Size, before.Blocks*512 < before.Size
		e.Modified, e.Changed = Stamp{before.Mtim.Sec, before.Mtim.Nsec}, Stamp{before.Ctim.Sec, before.Ctim.Nsec}
		if try > 0 {
			if _, err := j.file.Seek(0, io.SeekStart); err != nil {
				e.Unread = reason(err)
				return nil
			}
		}
		whole, err := s.once(ctx, j)
		if err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		} else if e.Unread != "" {
			return nil
		}
		after, err := stat(j.file)
		if err != nil {
			e.Unread = reason(err)
			return nil
		}
		if e.Torn = !whole || before.Mtim != after.Mtim || before.Ctim != after.Ctim || before.Size != after.Size; !e.Torn {
			return nil
		}
	}
	return nil
}

func stat(file *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(file.Fd()), &st)
	return st, err
}

// once reads a file once; whole is false where its size was not what it seemed to be.
func (s *saver) once(ctx context.Context, j *job) (whole bool, err error) {
	e := j.entry
	var source io.Reader = j.file
	e.Extents = nil
	if e.Sparse {
		if e.Extents, err = extents(j.file, e.Size); err != nil {
			e.Unread = reason(err)
			return false, nil
		}
		source = &holes{file: j.file, extents: e.Extents, size: e.Size}
	}
	writer := s.writer.NewObjectWriter(s.kopia, object.WriterOptions{Compressor: compressor, MetadataCompressor: compressor})
	defer writer.Close()
	digest := sha256.New()
	buffer, ok := s.buffers.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
		*buffer = make([]byte, 256<<10)
	}
	defer s.buffers.Put(buffer)
	var n int64
	for n < e.Size {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		part, failure := source.Read((*buffer)[:min(int64(len(*buffer)), e.Size-n)])
		if _, err := writer.Write((*buffer)[:part]); err != nil {
			return false, err
		}
		_, _ = digest.Write((*buffer)[:part]) // never fails
		s.tally.bytes.Add(int64(part))
		n += int64(part)
		if errors.Is(failure, io.EOF) {
			break
		} else if failure != nil {
			e.Unread = reason(failure)
			return false, nil
		}
	}
	id, err := writer.Result()
	if err != nil {
		return false, err
	}
	whole = n == e.Size
	e.Size, e.Object, e.SHA256 = n, id.String(), hex.EncodeToString(digest.Sum(nil))
	if !whole {
		e.Sparse, e.Extents = false, nil
	}
	return whole, nil
}
