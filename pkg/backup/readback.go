// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"

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

// same reads every content of a copy, but for what the copy before, which was read already,
// shares with it, and holds it to the manifest of the backup that it is a copy of: each entry
// is the same in all but the name of the object in which its content lies.
func (w *copying) same(ctx context.Context, of, id string) error {
	was, in, err := w.from.manifestOf(ctx, of)
	if err != nil {
		return original{err}
	}
	defer in.Close()
	lines, copied, err := w.to.manifestOf(ctx, id)
	if err != nil {
		return err
	}
	defer copied.Close()
	if was.Header.Label != lines.Header.Label || !was.Header.Began.Equal(lines.Header.Began) {
		return fmt.Errorf("%w: its manifest is that of another backup", ErrDamaged)
	}
	known := &track{ended: true}
	if w.proved != "" {
		earlier, in, err := w.to.manifestOf(ctx, w.proved)
		if err != nil {
			return err
		}
		defer in.Close()
		known = &track{lines: earlier}
	}
	w.to.packs.keep(cacheBytes)
	defer w.to.packs.keep(0)
	var t tally
	defer t.tell(ctx, w.to.options, "reading back", nil)()
	for {
		want, err := was.next()
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return original{err}
		}
		e, err := lines.next()
		switch {
		case ended && errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case ended || err != nil || !alike(want, e):
			return fmt.Errorf("%w: its manifest is not that of the backup", ErrDamaged)
		}
		t.entries.Add(1)
		old := known.at(e.Path)
		if e.Kind != File || e.Object == "" || old != nil && old.Object == e.Object && old.SHA256 == e.SHA256 {
			continue
		}
		if err := readWhole(ctx, w.to.kopia, e, counter{&t}); err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
	}
}

// alike tells whether two entries differ in nothing but where their content lies.
func alike(a, b *Entry) bool {
	x, y := *a, *b
	if (x.Object == "") != (y.Object == "") {
		return false
	}
	x.Object, y.Object = "", ""
	return reflect.DeepEqual(x, y)
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
