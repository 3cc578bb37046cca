// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/knowngood/knowngood/pkg/release"
)

// ErrBroken means that an entry of a run was removed or altered after another followed it.
var ErrBroken = errors.New("broken chain")

// together is how far apart two steps of a run may have written their entries without
// knowing of each other.
const together = time.Minute

// Verify reads all entries of a run and checks that each one's Previous is the digest of an
// entry before it. Steps that ran at the same time may follow the same entry, or both be
// first. The error names each entry whose predecessor is not there as it was (ErrBroken), and
// each object that cannot be read. The newest entries are vouched for by none.
func (c *Catalog) Verify(ctx context.Context, app, environment, run string) error {
	keys, strays, failed := c.keys(ctx, Query{App: app, Environment: environment, Run: run})
	problems := []error{strays, failed}
	if len(keys) == 0 && errors.Join(problems...) == nil {
		return fmt.Errorf("run %q of %q: %w", run, app, ErrNotFound)
	}
	var digests []string
	for _, k := range keys {
		entry, digest, err := c.read(ctx, k)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		problems = append(problems, c.follows(entry, keys[0].id, digests))
		digests = append(digests, digest)
	}
	return errors.Join(problems...)
}

func (c *Catalog) follows(entry release.Entry, first ulid.ULID, digests []string) error {
	id := keyOf(entry).id
	switch {
	case entry.Previous == "" && ulid.Time(id.Time()).Sub(ulid.Time(first.Time())) > together:
		return fmt.Errorf("%w: %s says that nothing was before it, and %s was", ErrBroken, c.Place(entry), first)
	case entry.Previous != "" && !slices.Contains(digests, entry.Previous):
		return fmt.Errorf("%w: %s follows an entry with digest %s, which is not there", ErrBroken, c.Place(entry), entry.Previous)
	}
	return nil
}
