// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// scratchName is how the folders of verifies begin.
const scratchName = "knowngood-verify-"

// A scratch is a folder of one verify, with a lock that ends with the process: whoever finds
// one without, finds what a verify left that was killed.
type scratch struct {
	path string
	lock *os.File // nil where the file system keeps no locks
}

// newScratch makes a scratch folder, and takes away those that were left behind beside it.
func newScratch(in string, log *slog.Logger) (*scratch, error) {
	left, err := filepath.Glob(filepath.Join(in, scratchName+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		s, err := lockScratch(path)
		if err != nil {
			continue // in use, or not ours to take away
		}
		log.Info("what a verify left that was killed is taken away", "folder", path)
		s.remove(log)
	}
	for {
		path, err := os.MkdirTemp(in, scratchName)
		if err != nil {
			return nil, fault.Hint(fault.Exit(fault.Usage, err), "give a folder with room for the whole backup as --scratch")
		}
		// Another may have taken it for one that was left, until it is locked.
		if s, err := lockScratch(path); err == nil {
			return s, nil
		} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EWOULDBLOCK) {
			return &scratch{path: path}, nil // a file system without locks, where nobody cleans up either
		}
	}
}

// lockScratch locks a folder that is there.
func lockScratch(path string) (*scratch, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := os.Lstat(path); err != nil { // taken away before it was locked
		return nil, errors.Join(err, file.Close())
	}
	return &scratch{path, file}, nil
}

// remove takes the folder away.
func (s *scratch) remove(log *slog.Logger) {
	err := removeAll(s.path)
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	if err != nil {
		log.Warn("the scratch folder could not be removed", "folder", s.path, "error", err)
	}
}
