// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// staging is the folder inside of the target in which a restore is prepared. While it is
// there, the target is not whole.
const staging = ".knowngood-restore"

// A placement is a target folder that a restore has claimed.
type placement struct {
	target Target
	folder *os.File
	tree   *os.File
	// moving is true when an earlier restore of the same backup was killed while it moved:
	// all is there, and only has to be moved on.
	moving bool
	state  state
}

// A state is what the staging folder says of itself.
type state struct {
	ID string `json:"id"`
	// Moving is true once all is restored. Old are the names that then have to go, New those
	// that come in their place.
	Moving bool   `json:"moving"`
	Old    []Name `json:"old,omitempty"`
	New    []Name `json:"new,omitempty"`
	// Closed are the folders among New in which not even their owner may write.
	Closed []closed `json:"closed,omitempty"`
}

// claim makes the target folder where it is not there, refuses one that holds something, and
// makes the staging folder.
func claim(t Target) (*placement, error) {
	if err := os.MkdirAll(t.Folder, 0o700); err != nil {
		return nil, fault.Exit(fault.Usage, err)
	}
	folder, err := os.Open(t.Folder)
	if err != nil {
		return nil, fault.Exit(fault.Usage, err)
	}
	p := &placement{target: t, folder: folder, state: state{ID: t.ID}}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *placement) close() error {
	var err error
	if p.tree != nil {
		err = p.tree.Close()
	}
	// A child that is being started elsewhere in the process has the folder open, too.
	return errors.Join(err, unix.Flock(int(p.folder.Fd()), unix.LOCK_UN), p.folder.Close())
}

func (p *placement) path(parts ...string) string {
	return filepath.Join(append([]string{p.target.Folder, staging}, parts...)...)
}

func (p *placement) prepare() error {
	if err := unix.Flock(int(p.folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fault.Exit(fault.Usage, errors.New("another restore to this folder is at work"))
	}
	names, err := p.names()
	if err != nil {
		return err
	}
	left, err := p.leftover()
	if err != nil {
		return err
	}
	switch {
	case left.Moving && left.ID == p.target.ID:
		p.moving, p.state = true, left
		return nil
	case left.Moving:
		return fault.Hint(fault.Usagef("a restore of backup %s to this folder was cut short while it moved into place", left.ID),
			"finish it: knowngood backup restore %s --to %s", left.ID, p.target.Folder)
	case len(names) > 0 && !p.target.Overwrite:
		return fault.Hint(fault.Usagef("the folder is not empty: it holds %.80q", names[0]),
			"give an empty folder, or --overwrite to replace what is there")
	}
	if err := p.discard(); err != nil {
		return err
	}
	p.state.Old = names
	if err := os.MkdirAll(p.path("tree"), 0o700); err != nil {
		return err
	}
	if err := p.store(); err != nil {
		return err
	}
	p.tree, err = os.Open(p.path("tree"))
	return err
}

// names lists what is in the folder, but for the staging folder, and what every new file
// system brings.
func (p *placement) names() ([]Name, error) {
	entries, err := os.ReadDir(p.target.Folder)
	if err != nil {
		return nil, err
	}
	var names []Name
	for _, entry := range entries {
		if name := Name(entry.Name()); name != staging && name != lostAndFound {
			names = append(names, name)
		}
	}
	return names, nil
}

// lostAndFound is a folder that mkfs makes, and that nobody moves out of the way.
const lostAndFound = "lost+found"

// leftover reads what a killed restore left.
func (p *placement) leftover() (state, error) {
	var left state
	data, err := os.ReadFile(p.path("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return left, nil
	} else if err != nil {
		return left, err
	}
	if err := json.Unmarshal(data, &left); err != nil {
		return left, fmt.Errorf("read %s: %w", p.path("state.json"), err)
	}
	for _, name := range slices.Concat(left.Old, left.New) {
		if string(name) != filepath.Base(string(name)) || name == "." || name == ".." || name == staging {
			return left, fmt.Errorf("read %s: %q is no name", p.path("state.json"), name)
		}
	}
	return left, nil
}

// store writes the state whole or not at all, and only after all that it speaks of.
func (p *placement) store() error {
	data, err := json.Marshal(p.state)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(p.path("state.new"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(p.path("state.new"), p.path("state.json")); err != nil {
		return err
	}
	return p.sync()
}

// sync brings all of the file system to the disk: files, names and attributes.
func (p *placement) sync() error { return unix.Syncfs(int(p.folder.Fd())) }

// discard takes away what was prepared.
func (p *placement) discard() error { return removeAll(p.path()) }

// move puts all that was prepared into its place. Killed at any point, it can be called again.
func (p *placement) move() error {
	if !p.moving {
		entries, err := os.ReadDir(p.path("tree"))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			p.state.New = append(p.state.New, Name(entry.Name()))
		}
		if p.state.Closed, err = closedIn(p.path("tree"), p.state.New); err != nil {
			return err
		}
		if err := p.sync(); err != nil {
			return err
		}
		p.state.Moving = true
		if err := p.store(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(p.path("old"), 0o700); err != nil {
		return err
	}
	if err := p.clear(); err != nil {
		return err
	}
	for _, name := range p.state.New {
		if err := movable(p.path("tree", string(name))); err != nil {
			return err
		}
		if err := replace(p.path("tree", string(name)), filepath.Join(p.target.Folder, string(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, c := range p.state.Closed {
		if err := c.close(p.folder); err != nil {
			return err
		}
	}
	return p.sync()
}

// replace renames as the kernel does, which lets a folder take the place of an empty one: a new
// file system brings a lost+found, and so may the backup.
func replace(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
