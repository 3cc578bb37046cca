// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"
)

// past is what earlier saves of a volume know: the newest backup, and how far a save came that
// was killed. Both are read beside the walk, in the same order, so that no size of a folder
// costs memory.
type past struct {
	tracks []*track
	// entries and bytes are what the newest backup has, 0 where there is none.
	entries, bytes int64
}

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
	before, volume, err := r.newest(ctx, l)
	if err != nil || volume == "" {
		return p, err
	}
	p.entries, p.bytes = before.Entries, before.Bytes
	p.follow(&lazy{ctx: ctx, repository: r, id: volume})
	return p, nil
}

// follow begins a track. A manifest that cannot be read is none: all is then read again.
func (p *past) follow(in io.Reader) {
	if lines, err := readManifest(in); err == nil {
		p.tracks = append(p.tracks, &track{lines: lines})
	}
}

// A known is an earlier entry with the content that a file must have.
type known struct {
	entry *Entry
	// line is the entry as the earlier manifest has it, and packs are where the content lies.
	line  string
	packs []blob.ID
}

// find returns what is known of a file, nil where nothing is.
func (p *past) find(ctx context.Context, r *Repository, e *Entry) (*known, error) {
	for _, t := range p.tracks {
		old := t.at(e.Path)
		if old == nil || !old.sameFile(e) || old.Changed.Time().After(t.lines.Header.Began.Add(-racy)) {
			continue
		}
		// What no backup needs may have been taken out of the repository meanwhile, and what is
		// marked as deleted may be lost or about to go.
		if contents, err := contentsOf(ctx, r.kopia, old.Object); err == nil && !slices.ContainsFunc(contents, isMarked) {
			return &known{old, t.lines.raw, packsOf(contents)}, nil
		}
	}
	return nil, ctx.Err()
}

func isMarked(i content.Info) bool { return i.Deleted }

func packsOf(contents []content.Info) []blob.ID {
	packs := make([]blob.ID, len(contents))
	for i, one := range contents {
		packs[i] = one.PackBlobID
	}
	return packs
}

// contentsOf returns the contents of an object. Most objects are one content, which is looked up
// once: a save asks for each file that it does not read.
func contentsOf(ctx context.Context, rep repo.DirectRepository, name string) ([]content.Info, error) {
	id, err := object.ParseID(name)
	if err != nil {
		return nil, err
	}
	if only, _, ok := id.ContentID(); ok {
		info, err := rep.ContentInfo(ctx, only)
		return []content.Info{info}, err
	}
	ids, err := rep.VerifyObject(ctx, id)
	if err != nil {
		return nil, err
	}
	contents := make([]content.Info, len(ids))
	for i, id := range ids {
		if contents[i], err = rep.ContentInfo(ctx, id); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

func (e *Entry) sameFile(now *Entry) bool {
	return e.Kind == File && e.Object != "" && e.Unread == "" && !e.Torn && e.Size == now.Size && e.Sparse == now.Sparse &&
		e.Inode == now.Inode && e.Modified == now.Modified && e.Changed == now.Changed &&
		e.Mode == now.Mode && e.UID == now.UID && e.GID == now.GID
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
