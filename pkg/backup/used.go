// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"

	"github.com/knowngood/knowngood/pkg/fault"
)

// usedPacks are the objects of the bucket in which the content of a backup lies.
type usedPacks map[blob.ID]bool

func (u usedPacks) add(ctx context.Context, rep repo.DirectRepository, id string) error {
	if id == "" {
		return nil
	}
	contents, err := contentsOf(ctx, rep, id)
	if err != nil {
		return err
	}
	u.have(packsOf(contents))
	return nil
}

func (u usedPacks) have(packs []blob.ID) {
	for _, pack := range packs {
		u[pack] = true
	}
}

// there makes sure that the bucket still has all of them. An object that it lost would
// otherwise be missed by the next restore.
func (u usedPacks) there(ctx context.Context, st blob.Reader) error {
	missing := maps.Clone(u)
	delete(missing, "")
	for _, prefix := range []blob.ID{"p", "q"} {
		if err := st.ListBlobs(ctx, prefix, func(m blob.Metadata) error { delete(missing, m.BlobID); return nil }); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(missing))
	return fault.Hint(fmt.Errorf("%w: the bucket has lost %d objects that it needs, the first is %s", ErrDamaged, len(names), names[0]),
		"save again: what the lost objects held is then stored anew; backup verify tells which older backups stay damaged")
}
