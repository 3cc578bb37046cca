// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// spareKey is where a copy of kopia.repository lies. That one object holds the master key, sealed
// under the key of the repository: without it nothing can be read, and kopia keeps it once.
const spareKey = ownPrefix + "spare/kopia.repository"

// largestFormat is how many bytes kopia.repository has at most; it has about a thousand.
const largestFormat = 1 << 20

// keepSpare writes the copy where there is none. It never writes over one: whoever changes the key
// does, and must not be overtaken by a save that read the object before.
func (r *Repository) keepSpare(ctx context.Context) error {
	if _, err := r.bucket.Look(ctx, spareKey); err == nil || !bucket.IsNotFound(err) {
		return err
	}
	data, err := r.bucket.Get(ctx, format.KopiaRepositoryBlobID, largestFormat)
	if err != nil {
		return err
	}
	if err := r.bucket.PutNew(ctx, spareKey, data, contentType); err != nil && !errors.Is(err, bucket.ErrExists) {
		return fmt.Errorf("keep a copy of kopia.repository: %w", err)
	}
	return nil
}

// renewSpare writes the copy anew after the key was changed; dropSpare comes before that, so that
// no copy outlives a change which the old key opens.
func (r *Repository) renewSpare(ctx context.Context) error {
	data, err := r.bucket.Get(ctx, format.KopiaRepositoryBlobID, largestFormat)
	if err == nil {
		err = r.bucket.Put(ctx, spareKey, data, contentType)
	}
	if err != nil {
		return fmt.Errorf("keep a copy of kopia.repository: %w", err)
	}
	return nil
}

func (r *Repository) dropSpare(ctx context.Context) error {
	if err := r.bucket.Remove(ctx, spareKey); err != nil && !bucket.IsNotFound(err) {
		return fmt.Errorf("take the copy of kopia.repository away: %w", err)
	}
	return nil
}

// spareFor returns the copy of kopia.repository where that is lost, or damaged; else nothing. One
// that differs throughout was sealed anew under another key, and is not damaged.
func spareFor(ctx context.Context, b *bucket.Bucket) ([]byte, error) {
	spare, err := b.Get(ctx, spareKey, largestFormat)
	if bucket.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	now, err := b.Get(ctx, format.KopiaRepositoryBlobID, largestFormat)
	switch {
	case bucket.IsNotFound(err):
		return spare, nil
	case err != nil:
		return nil, err
	case bytes.Equal(now, spare):
		return nil, nil
	}
	if !json.Valid(now) || mostly(now, spare) {
		return spare, nil
	}
	return nil, nil
}

// mostly tells whether most of two texts is the same.
func mostly(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	differ := 0
	for i := range a {
		if a[i] != b[i] {
			differ++
		}
	}
	return differ < len(a)/4
}
