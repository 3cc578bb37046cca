// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// make makes one entry. It returns the file of one whose bytes have to follow.
func (w *restorer) make(e *Entry) (*os.File, error) {
	if e.Path == top {
		w.open = []openFolder{{e, w.root}}
		w.missing(e)
		return nil, nil
	}
	for i, f := range w.open {
		if f.entry.Path == e.parent() {
			if err := w.leave(i + 1); err != nil {
				return nil, err
			}
			break
		}
	}
	in := int(w.open[len(w.open)-1].file.Fd())
	w.missing(e)
	if e.Kind != Folder && e.Link != 0 {
		if first, ok := w.first[e.Link]; ok {
			w.restored(e)
			return nil, w.link(first, in, e.base())
		}
		if e.Unread != "" && e.Kind == File {
			return nil, nil
		}
		w.first[e.Link] = e.Path
	}
	switch e.Kind {
	case Folder:
		return nil, w.enter(in, e)
	case File:
		if e.Unread != "" {
			return nil, nil
		}
		fd, err := unix.Openat(in, e.base(), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), string(e.Path)), nil
	case Symlink:
		if err := unix.Symlinkat(string(e.Target), in, e.base()); err != nil {
			return nil, err
		}
	case Fifo, Socket, Char, Block:
		if err := w.node(in, e); err != nil {
			return nil, err
		}
	}
	w.dress(w.open[len(w.open)-1].file, e)
	return nil, nil
}

// link gives a file that was made before another name. A path may be longer than a system call
// takes at once.
func (w *restorer) link(first Name, in int, base string) error {
	from, path := int(w.root.Fd()), string(first)
	for len(path) >= unix.PathMax {
		i := strings.LastIndexByte(path[:unix.PathMax], '/')
		next, err := unix.Openat(from, path[:i], unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(next)
		from, path = next, path[i+1:]
	}
	return unix.Linkat(from, path, in, base, 0)
}

// restored counts a file.
func (w *restorer) restored(e *Entry) {
	if e.Kind != File {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Files++
	w.result.Bytes += e.Size
}

// missing tells of what the backup has not.
func (w *restorer) missing(e *Entry) {
	if e.Unread != "" {
		w.differs(e, fmt.Errorf("its content was not saved: %s", e.Unread))
	}
	if e.Torn {
		w.differs(e, errors.New("it changed while it was saved"))
	}
}

func (w *restorer) enter(in int, e *Entry) error {
	if err := unix.Mkdirat(in, e.base(), 0o700); err != nil {
		return err
	}
	fd, err := unix.Openat(in, e.base(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.open = append(w.open, openFolder{e, os.NewFile(uintptr(fd), string(e.Path))})
	return nil
}

// node makes what is neither file, folder nor link. A device that this process may not make
// differs; nothing else depends on it.
func (w *restorer) node(in int, e *Entry) error {
	kind := map[Kind]uint32{Fifo: unix.S_IFIFO, Socket: unix.S_IFSOCK, Char: unix.S_IFCHR, Block: unix.S_IFBLK}[e.Kind]
	err := unix.Mknodat(in, e.base(), kind|0o600, int(unix.Mkdev(e.Major, e.Minor))) //nolint:gosec // a device number fits an int
	if errors.Is(err, unix.EPERM) {
		delete(w.first, e.Link) // its other names cannot be made of this one
		w.differs(e, fmt.Errorf("it could not be made: %w", err))
		return nil
	}
	return err
}

// leave completes the folders from depth on, the innermost first. The outermost is completed
// when it is in place.
func (w *restorer) leave(depth int) error {
	for len(w.open) > max(depth, 1) {
		last := w.open[len(w.open)-1]
		w.open = w.open[:len(w.open)-1]
		w.finish(last.file, last.entry)
		if err := last.file.Close(); err != nil {
			return err
		}
	}
	return nil
}
