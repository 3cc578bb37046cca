// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// compare returns what in the folder is not as the manifest of the backup says.
func (r *Repository) compare(ctx context.Context, id, folder string) ([]string, error) {
	lines, in, err := r.manifestOf(ctx, id)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	c := &comparison{lines: lines, links: map[uint64]uint64{}, back: map[uint64]uint64{}}
	defer c.tally.tell(ctx, r.options, "comparing", nil)()
	w := &walker{gone: func(path Name) { c.differs(path, "went away") }, visit: c.visit}
	if err := w.walk(ctx, folder); err != nil {
		return nil, err
	}
	for c.err == nil { // what the manifest has beyond the end of the folder
		if c.step(); c.want != nil {
			c.absent()
		}
	}
	if !errors.Is(c.err, io.EOF) {
		return nil, c.err
	}
	return c.found, nil
}

// A comparison goes through a folder and a manifest side by side.
type comparison struct {
	lines *lines
	want  *Entry // the next entry of the manifest
	err   error  // of reading it; io.EOF at its end
	tally tally
	found []string
	// links and back pair the groups of names of both sides.
	links, back map[uint64]uint64
}

// step reads the next entry of the manifest where none is at hand.
func (c *comparison) step() {
	if c.want == nil && c.err == nil {
		c.want, c.err = c.lines.next()
	}
}

func (c *comparison) differs(path Name, format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf("%q: ", path)+fmt.Sprintf(format, args...))
}

// absent notes that the entry at hand is not in the folder.
func (c *comparison) absent() {
	switch {
	case c.want.Unread != "" && c.want.Kind == File:
		c.differs(c.want.Path, "its content was not saved: %s", c.want.Unread)
	default:
		c.differs(c.want.Path, "is missing")
	}
	c.want = nil
}

func (c *comparison) visit(in *os.File, got *Entry) error {
	for c.step(); c.want != nil && order(c.want.Path, got.Path) < 0; c.step() {
		c.absent()
	}
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		return c.err
	}
	if c.want == nil || c.want.Path != got.Path {
		if got.Path != lostAndFound || got.Kind != Folder { // which a new file system brings
			c.differs(got.Path, "was not in the backup")
		}
		return nil
	}
	want := c.want
	c.want = nil
	c.tally.entries.Add(1)
	return c.entry(in, want, got)
}

func (c *comparison) entry(in *os.File, want, got *Entry) error {
	if want.Unread != "" || got.Unread != "" {
		c.differs(want.Path, "could not be read: %s", want.Unread+got.Unread)
	}
	if want.Kind != got.Kind {
		c.differs(want.Path, "is of type %s, want %s", got.Kind, want.Kind)
		return nil
	}
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"mode", fmt.Sprintf("%04o", got.Mode), fmt.Sprintf("%04o", want.Mode)},
		{"owner", [2]uint32{got.UID, got.GID}, [2]uint32{want.UID, want.GID}},
		{"time", got.Modified.Time().UTC(), want.Modified.Time().UTC()},
		{"size", got.Size, want.Size},
		{"target", got.Target, want.Target},
		{"device", [2]uint32{got.Major, got.Minor}, [2]uint32{want.Major, want.Minor}},
	} {
		if field.got != field.want {
			c.differs(want.Path, "%s is %v, want %v", field.name, field.got, field.want)
		}
	}
	c.attributes(want, got)
	c.group(want, got)
	if want.Sparse && !got.Sparse && 2*total(want.Extents) < want.Size {
		c.differs(want.Path, "is not sparse")
	}
	if want.Kind != File {
		return nil
	}
	sum, err := c.sum(in, got)
	if err != nil {
		return fmt.Errorf("%q: %w", got.Path, err)
	}
	if sum != want.SHA256 {
		c.differs(want.Path, "SHA-256 is %s, want %s", sum, want.SHA256)
	}
	return nil
}

func total(extents []int64) int64 {
	var sum int64
	for i := 1; i < len(extents); i += 2 {
		sum += extents[i]
	}
	return sum
}

func (c *comparison) attributes(want, got *Entry) {
	all := maps.Clone(want.Xattrs)
	if all == nil {
		all = map[string][]byte{}
	}
	maps.Copy(all, got.Xattrs)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a, isGot := got.Xattrs[name]
		b, isWanted := want.Xattrs[name]
		if name != label && (isGot != isWanted || string(a) != string(b)) {
			c.differs(want.Path, "extended attribute %q is %.80q, want %.80q", name, a, b)
		}
	}
}

// group makes sure that names of one file are again names of one file, and no others.
func (c *comparison) group(want, got *Entry) {
	if want.Link == 0 && got.Link == 0 {
		return
	}
	if c.links[want.Link] == 0 && c.back[got.Link] == 0 && want.Link != 0 && got.Link != 0 {
		c.links[want.Link], c.back[got.Link] = got.Link, want.Link
	}
	if want.Link == 0 || got.Link == 0 || c.links[want.Link] != got.Link || c.back[got.Link] != want.Link {
		c.differs(want.Path, "does not share its file with the names that it did")
	}
}

// sum reads a file and returns its SHA-256.
func (c *comparison) sum(in *os.File, got *Entry) (string, error) {
	file, err := openFile(in, got)
	if err != nil {
		return "", err
	}
	defer file.Close()
	var source io.Reader = file
	if got.Sparse {
		if got.Extents, err = extents(file, got.Size); err != nil {
			return "", err
		}
		source = &holes{file: file, extents: got.Extents, size: got.Size}
	}
	digest := sha256.New()
	n, err := io.Copy(digest, source)
	c.tally.bytes.Add(n)
	return hex.EncodeToString(digest.Sum(nil)), err
}
