// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A walker goes through a folder in the order of a manifest. It holds each folder open while
// it is inside, and reaches entries by that and never by their whole path: so a folder that is
// replaced by a link meanwhile leads nowhere, and no path is too long.
type walker struct {
	// visit gets each entry with the open folder in which it lies, nil for the top.
	visit func(in *os.File, e *Entry) error
	// gone gets the paths of entries that went away while the folder was read.
	gone func(path Name)
	// spares, where it is not nil, tells whether a file's attributes need not be read.
	spares func(e *Entry) (bool, error)

	links map[[2]uint64]uint64
}

// walk visits the folder and all that is in it.
func (w *walker) walk(ctx context.Context, folder string) error {
	w.links = map[[2]uint64]uint64{}
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s: %w", folder, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("%s is not a folder", folder)
	}
	e := w.entry(top, &st)
	if e.Xattrs, err = xattrs(throughFD(file)); err != nil {
		e.Unread = reason(err)
	}
	return w.folder(ctx, file, e, nil)
}

// folder visits an open folder, then what is in it.
func (w *walker) folder(ctx context.Context, file *os.File, e *Entry, in *os.File) error {
	entries, err := file.ReadDir(-1)
	if err != nil {
		e.Unread = reason(err)
	}
	if err := w.visit(in, e); err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	// Within one folder the order of the names is that of their bytes.
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := Name(name)
		if e.Path != top {
			path = e.Path + "/" + path
		}
		if err := w.one(ctx, file, name, path); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) one(ctx context.Context, in *os.File, name string, path Name) error {
	var st unix.Stat_t
	err := unix.Fstatat(int(in.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		w.gone(path)
		return nil
	} else if err != nil {
		return fmt.Errorf("look at %q: %w", path, err)
	}
	e := w.entry(path, &st)
	if err := w.attributes(in, name, e); err != nil {
		return err
	}
	switch e.Kind {
	case Symlink:
		target, err := readLink(in, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL) {
			w.gone(path) // or is something else now
			return nil
		} else if err != nil {
			return fmt.Errorf("read the link %q: %w", path, err)
		}
		e.Target = Name(target)
	case Folder:
		return w.enter(ctx, in, name, e)
	case File, Fifo, Socket, Char, Block:
	}
	return w.visit(in, e)
}

// attributes gives an entry its extended attributes.
func (w *walker) attributes(in *os.File, name string, e *Entry) error {
	if w.spares != nil && e.Kind == File {
		if spared, err := w.spares(e); spared || err != nil {
			return err
		}
	}
	var err error
	if e.Xattrs, err = xattrs(throughParent(in, name)); err != nil {
		e.Unread = reason(err)
	}
	return nil
}

// enter opens a folder and visits it. One that may not be read is visited without its content.
func (w *walker) enter(ctx context.Context, in *os.File, name string, e *Entry) error {
	fd, err := unix.Openat(int(in.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		w.gone(e.Path)
		return nil
	case errors.Is(err, fs.ErrPermission) && e.Path == lostAndFound && e.UID == 0:
		return w.visit(in, e) // what a check of the file system finds is root's, who may read it
	case err != nil:
		e.Unread = reason(err)
		return w.visit(in, e)
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	return w.folder(ctx, file, e, in)
}

// entry makes an entry of what the file system tells.
func (w *walker) entry(path Name, st *unix.Stat_t) *Entry {
	e := &Entry{
		Path: path, Kind: kindOf(st.Mode), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Modified: Stamp{st.Mtim.Sec, st.Mtim.Nsec}, Changed: Stamp{st.Ctim.Sec, st.Ctim.Nsec}, Inode: st.Ino,
	}
	switch e.Kind {
	case File:
		e.Size = st.Size
		e.Sparse = st.Blocks*512 < st.Size
	case Char, Block:
		e.Major, e.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case Folder, Symlink, Fifo, Socket:
	}
	if e.Kind != Folder && st.Nlink > 1 {
		id := [2]uint64{st.Dev, st.Ino}
		if w.links[id] == 0 {
			w.links[id] = uint64(len(w.links)) + 1
		}
		e.Link = w.links[id]
	}
	return e
}

func kindOf(mode uint32) Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Folder
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFIFO:
		return Fifo
	case unix.S_IFSOCK:
		return Socket
	case unix.S_IFCHR:
		return Char
	case unix.S_IFBLK:
		return Block
	}
	return File
}

// throughFD and throughParent name an open file, or an entry of an open folder, for system
// calls that take paths alone.
func throughFD(file *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(file.Fd())) + "/." }

func throughParent(in *os.File, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(in.Fd())) + "/" + name
}

func readLink(in *os.File, name string) (string, error) {
	for size := 256; ; size *= 2 {
		buffer := make([]byte, size)
		n, err := unix.Readlinkat(int(in.Fd()), name, buffer)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buffer[:n]), nil
		}
	}
}

// reason is why something could not be read, without its path, which the entry has.
func reason(err error) string {
	var number unix.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}
