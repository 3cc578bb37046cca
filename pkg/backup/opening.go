// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// topOf returns the entry of the saved folder itself.
func (r *Repository) topOf(ctx context.Context, id string) (*Entry, error) {
	lines, in, err := r.manifestOf(ctx, id)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return lines.next()
}

// manifestOf opens the manifest of a backup.
func (r *Repository) manifestOf(ctx context.Context, id string) (*lines, io.Closer, error) {
	volume, err := r.volumeOf(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("open the manifest: %w: %w", ErrDamaged, err)
	}
	in, err := openObject(ctx, r.kopia, volume)
	if err != nil {
		return nil, nil, fmt.Errorf("open the manifest: %w: %w", ErrDamaged, err)
	}
	opened := paged{in, r.packs.keepPages()}
	l, err := readManifest(in)
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	return l, opened, nil
}

// paged is an object for which pages are kept.
type paged struct {
	io.Closer
	release func()
}

// Close implements io.Closer.
func (p paged) Close() error {
	p.release()
	return p.Closer.Close()
}
