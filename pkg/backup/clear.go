// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// clear takes what the folder held out of the way. Where something of it cannot be moved, such as
// what a file system is mounted on, all of it is back in its place.
func (p *placement) clear() error {
	closed, err := closedIn(p.target.Folder, p.state.Old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i, name := range p.state.Old {
		// One that has come already is the new one, which tree no longer has.
		if _, err := os.Lstat(p.path("tree", string(name))); errors.Is(err, fs.ErrNotExist) && slices.Contains(p.state.New, name) {
			continue
		}
		err := p.aside(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !p.moving {
			err = errors.Join(err, p.unclear(p.state.Old[:i], closed))
		}
		if errors.Is(err, unix.EBUSY) {
			err = fault.Hint(err, "unmount what is mounted there, or restore to another folder")
		}
		return err
	}
	return nil
}

// aside takes one name out of the way.
func (p *placement) aside(name Name) error {
	from := filepath.Join(p.target.Folder, string(name))
	if err := movable(from); err != nil {
		return err
	}
	return os.Rename(from, p.path("old", string(name)))
}

// unclear brings back what clear has moved, as it was, and ends the move before it has begun.
func (p *placement) unclear(names []Name, closed []closed) error {
	for _, name := range names {
		if err := os.Rename(p.path("old", string(name)), filepath.Join(p.target.Folder, string(name))); err != nil {
			return fmt.Errorf("what the folder held is in %s: %w", p.path("old"), err)
		}
	}
	for _, c := range closed {
		if err := c.close(p.folder); err != nil {
			return err
		}
	}
	p.state.Moving = false
	if err := p.store(); err != nil {
		return err
	}
	return p.discard()
}
