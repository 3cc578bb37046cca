// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// A file is the system calls for the extended attributes of what a path leads to, or of a link
// itself.
type file struct {
	list   func(path string, buffer []byte) (int, error)
	get    func(path, name string, buffer []byte) (int, error)
	set    func(path, name string, value []byte, flags int) error
	remove func(path, name string) error
}

func unfollowed() file {
	return file{list: unix.Llistxattr, get: unix.Lgetxattr, set: unix.Lsetxattr, remove: unix.Lremovexattr}
}

// opened has the calls for an open file. They need no path.
func opened(fd int) file {
	return file{
		list:   func(_ string, buffer []byte) (int, error) { return unix.Flistxattr(fd, buffer) },
		get:    func(_, name string, buffer []byte) (int, error) { return unix.Fgetxattr(fd, name, buffer) },
		set:    func(_, name string, value []byte, flags int) error { return unix.Fsetxattr(fd, name, value, flags) },
		remove: func(_, name string) error { return unix.Fremovexattr(fd, name) },
	}
}

// xattrs returns the extended attributes of what lies at the path, which may be a link: nil
// where it has none, or the file system knows none.
func xattrs(path string) (map[string][]byte, error) { return unfollowed().all(path) }

func (f file) all(path string) (map[string][]byte, error) {
	names, err := grown(func(buffer []byte) (int, error) { return f.list(path, buffer) })
	switch {
	case errors.Is(err, unix.ENOTSUP), errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list the extended attributes: %w", err)
	case len(names) == 0:
		return nil, nil
	}
	found := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		value, err := grown(func(buffer []byte) (int, error) { return f.get(path, name, buffer) })
		if errors.Is(err, unix.ENODATA) {
			continue // taken away meanwhile
		} else if err != nil {
			return nil, fmt.Errorf("read the extended attribute %q: %w", name, err)
		}
		found[name] = value
	}
	return found, nil
}

// grown calls read with buffers that grow until one is large enough.
func grown(read func([]byte) (int, error)) ([]byte, error) {
	buffer := make([]byte, 256)
	for {
		n, err := read(buffer)
		switch {
		case err == nil:
			return buffer[:n:n], nil
		case !errors.Is(err, unix.ERANGE):
			return nil, err
		}
		buffer = make([]byte, 4*len(buffer))
	}
}

// label is the attribute that the system gives by itself, and that nobody takes away.
const label = "security.selinux"

// setXattrs gives what lies at the path the attributes, and takes away those that it should
// not have, such as an ACL that it inherited from its folder.
func setXattrs(path string, want map[string][]byte, f file) error {
	have, err := f.all(path)
	if err != nil {
		return err
	}
	var errs []error
	for name := range have {
		if _, ok := want[name]; !ok && name != label {
			if err := f.remove(path, name); err != nil && !errors.Is(err, unix.ENODATA) {
				errs = append(errs, fmt.Errorf("take away %q: %w", name, err))
			}
		}
	}
	for name, value := range want {
		if old, ok := have[name]; ok && string(old) == string(value) {
			continue
		}
		if err := f.set(path, name, value, 0); err != nil {
			errs = append(errs, fmt.Errorf("set %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
