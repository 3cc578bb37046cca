// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
)

// past is what earlier saves of a volume know: the newest backup, and how far a save came that
// was killed. Both are read beside the walk, in the same order, so that no size of a folder
// costs memory.
type past struct{ tracks []*track }

// A track is one earlier manifest, read up to where the walk is.
type track struct {
	lines *lines
	now   *Entry
	ended bool
}

// racy is how long before a save a file must have been left alone for its times to prove that
// it is the same: file systems write times in coarse steps.
const racy = 2 * time.Second

// recall opens what earlier saves of the volume left.
func (r *Repository) recall(ctx context.Context, l Label) (*past, error) {
	p := &past{}
	notes, err := r.kopia.FindManifests(ctx, checkpointLabels(l))
	if err != nil {
		return nil, err
	}
	for _, note := range notes {
		var c checkpoint
		if _, err := r.kopia.GetManifest(ctx, note.ID, &c); err != nil {
			return nil, fmt.Errorf("read how far an earlier save came: %w", err)
		}
		var readers []io.Reader
		for _, piece := range c.Pieces {
			readers = append(readers, &lazy{ctx: ctx, repository: r, id: piece})
		}
		p.follow(io.MultiReader(readers...))
	}
	before, err := r.newest(ctx, l)
	if err != nil || before == "" {
		return p, err
	}
	p.follow(&lazy{ctx: ctx, repository: r, id: before})
	return p, nil
}

// follow begins a track. A manifest that cannot be read is none: all is then read again.
func (p *past) follow(in io.Reader) {
	if lines, err := readManifest(in); err == nil {
		p.tracks = append(p.tracks, &track{lines: lines})
	}
}

// find returns an earlier entry with the content that e must have, nil where none is known.
func (p *past) find(ctx context.Context, r *Repository, e *Entry) (*Entry, error) {
	for _, t := range p.tracks {
		old := t.at(e.Path)
		if old == nil || !old.sameFile(e) || old.Changed.Time().After(t.lines.Header.Began.Add(-racy)) {
			continue
		}
		id, err := object.ParseID(old.Object)
		if err != nil {
			continue
		}
		// What no backup needs may have been taken out of the repository meanwhile, and what is
		// marked as deleted may be lost or about to go.
		if contents, err := r.kopia.VerifyObject(ctx, id); err == nil && !r.marked(ctx, contents) {
			return old, nil
		}
	}
	return nil, ctx.Err()
}

func (e *Entry) sameFile(now *Entry) bool {
	return e.Kind == File && e.Object != "" && e.Unread == "" && !e.Torn && e.Size == now.Size && e.Sparse == now.Sparse &&
		e.Inode == now.Inode && e.Modified == now.Modified && e.Changed == now.Changed
}

// at reads on to a path and returns its entry, nil where the manifest has none.
func (t *track) at(path Name) *Entry {
	for !t.ended {
		if t.now != nil {
			if c := order(t.now.Path, path); c == 0 {
				return t.now
			} else if c > 0 {
				return nil
			}
		}
		var err error
		if t.now, err = t.lines.next(); err != nil {
			t.ended, t.now = true, nil // the end, or where it was cut off
		}
	}
	return nil
}

// lazy reads an object from when its first byte is asked for.
type lazy struct {
	ctx        context.Context
	repository *Repository
	id         string
	in         object.Reader
}

// Read implements io.Reader.
func (l *lazy) Read(buffer []byte) (int, error) {
	if l.in == nil {
		in, err := openObject(l.ctx, l.repository.kopia, l.id)
		if err != nil {
			return 0, err
		}
		l.in = in
	}
	n, err := l.in.Read(buffer)
	if errors.Is(err, io.EOF) {
		if err := l.in.Close(); err != nil {
			return n, err
		}
	}
	return n, err
}

func openObject(ctx context.Context, rep repo.Repository, id string) (object.Reader, error) {
	parsed, err := object.ParseID(id)
	if err != nil {
		return nil, err
	}
	return rep.OpenObject(ctx, parsed)
}
