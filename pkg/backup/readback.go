// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/kopia/kopia/repo"
)

// counter counts what is written to it.
type counter struct{ tally *tally }

// Write implements io.Writer.
func (c counter) Write(p []byte) (int, error) {
	c.tally.bytes.Add(int64(len(p)))
	return len(p), nil
}

// readWhole hands the content of a file on, and ends in ErrDamaged where it is not what the
// manifest says.
func readWhole(ctx context.Context, in repo.Repository, e *Entry, to io.Writer) error {
	reader, err := openObject(ctx, in, e.Object)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer reader.Close()
	digest := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, digest), cancelled{ctx, reader})
	switch {
	case err != nil:
		return err
	case n != e.Size, hex.EncodeToString(digest.Sum(nil)) != e.SHA256:
		return fmt.Errorf("%w: its content is not what was saved", ErrDamaged)
	}
	return nil
}

// readBack reads every content of a backup and holds it to its manifest, but for what the backup
// before, which was read already, shares with it.
func (r *Repository) readBack(ctx context.Context, id, before string) error {
	lines, in, err := r.manifestOf(ctx, id)
	if err != nil {
		return err
	}
	defer in.Close()
	known := &track{ended: true}
	if before != "" {
		earlier, in, err := r.manifestOf(ctx, before)
		if err != nil {
			return err
		}
		defer in.Close()
		known = &track{lines: earlier}
	}
	r.packs.keep(cacheBytes)
	defer r.packs.keep(0)
	var t tally
	defer t.tell(ctx, r.options, "reading back", nil)()
	for {
		e, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		t.entries.Add(1)
		old := known.at(e.Path)
		if e.Kind != File || e.Object == "" || old != nil && old.Object == e.Object && old.SHA256 == e.SHA256 {
			continue
		}
		if err := readWhole(ctx, r.kopia, e, counter{&t}); err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
	}
}

// cancelled reads until its context ends, and tells what cannot be read as damaged.
type cancelled struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return n, err
}
