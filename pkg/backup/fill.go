// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kopia/kopia/repo/manifest"

	"github.com/knowngood/knowngood/pkg/release"
)

// Fill brings a backup to the root of a volume, or onto a raw one, that holds nothing but what an
// earlier Fill of the same backup put there, and compares all of it with the manifest. Killed at any point, it can be
// called again: what lies there whole is compared alone, what does not is begun anew. Proved is
// true once all is there as it was saved; the error says what is not.
func (r *Repository) Fill(ctx context.Context, t Target) (release.Verification, error) {
	v := release.Verification{At: r.options.Now()}
	ctx, held, err := r.begin(ctx, useRestore, t.ID)
	if err != nil {
		return v, err
	}
	err = r.fill(ctx, t, &v)
	v.Proved = err == nil
	v.Seconds = r.options.Now().Sub(v.At).Seconds()
	if ctx.Err() == nil && errors.Is(err, ErrDamaged) {
		err = errors.Join(err, r.suspect(ctx, t.ID))
	}
	if err = held.finish(ctx, err); err != nil {
		return v, fmt.Errorf("restore backup %s to %s: %w", t.ID, t.to(), err)
	}
	return v, nil
}

// fill is Fill under a lease.
func (r *Repository) fill(ctx context.Context, t Target, v *release.Verification) error {
	lies := r.lies
	if t.Device != "" {
		lies, t.Overwrite = r.liesOn, true // a new volume may come with what was there before
	}
	whole, err := lies(ctx, t)
	if err != nil {
		return err
	}
	if !whole {
		_, err := r.verify(ctx, Proof{ID: t.ID}, t, v)
		return err
	}
	r.options.Log.Info("all of it is there already, from an earlier attempt", "backup", t.ID)
	known, err := r.load(ctx, manifest.ID(t.ID))
	v.Files, v.Bytes = known.Files, known.Bytes
	return err
}

// lies tells whether a folder holds the backup whole. Where it holds something else that was not
// being moved into place, that is taken away.
func (r *Repository) lies(ctx context.Context, t Target) (bool, error) {
	p := &placement{target: t}
	left, err := p.leftover()
	if err != nil || left.Moving {
		return false, err
	}
	names, err := p.names()
	if err != nil || len(names) == 0 {
		return false, err
	}
	differences, err := r.compare(ctx, t.ID, t.Folder)
	if err != nil || len(differences) == 0 {
		return err == nil, err
	}
	r.options.Log.Warn("what an earlier attempt has left is not the backup: it is begun anew", "entries", len(names), "first", differences[0])
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(t.Folder, string(name))); err != nil {
			return false, err
		}
	}
	return false, nil
}
