// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"crypto/rand"
)

// Probe tells whether the bucket can be listed and written to, by doing both: it writes an
// object of a few bytes under the prefix, with a name never used before, and takes it away
// again. Credentials that may not delete are good credentials for an append-only bucket, so
// a refused deletion is no error; the object then stays.
func (b *Bucket) Probe(ctx context.Context, prefix string) error {
	for _, err := range b.Keys(ctx, prefix) {
		if err != nil {
			return err
		}
		break
	}
	key := prefix + rand.Text()
	if err := b.Put(ctx, key, []byte("probe\n"), "text/plain"); err != nil {
		return err
	}
	if err := b.Remove(ctx, key); err != nil && !IsForbidden(err) {
		return err
	}
	return nil
}
