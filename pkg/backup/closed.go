// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A closed folder is one in which not even its owner may write. Only root may move it to another
// parent; anybody else has to open it for that, and to close it when it is in place.
type closed struct {
	Name Name   `json:"name"`
	Mode uint32 `json:"mode"`
}

// closedIn returns those of the names that are closed folders.
func closedIn(folder string, names []Name) ([]closed, error) {
	var found []closed
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(folder, string(name)), &st); err != nil {
			return nil, fmt.Errorf("look at %q: %w", name, err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_IWUSR == 0 {
			found = append(found, closed{name, st.Mode & 0o7777})
		}
	}
	return found, nil
}

// close gives a folder back the mode that it had before it was moved.
func (c closed) close(in *os.File) error {
	return changeMode(int(in.Fd()), string(c.Name), func(uint32) uint32 { return c.Mode })
}

// movable opens what is a closed folder, so that it can be moved.
func movable(path string) error {
	return changeMode(unix.AT_FDCWD, path, func(mode uint32) uint32 { return mode | unix.S_IWUSR })
}

// changeMode changes the mode of a folder, where the path leads to one and not to a link, if it
// is not so already.
func changeMode(in int, path string, change func(mode uint32) uint32) error {
	fd, err := unix.Openat(in, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	mode := st.Mode & 0o7777
	if change(mode) == mode {
		return nil
	}
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), change(mode)); err != nil {
		return fmt.Errorf("change the mode of %s: %w", path, err)
	}
	return nil
}
