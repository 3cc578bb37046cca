// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"strings"

	"github.com/kopia/kopia/repo/blob"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// listTries is how often a listing is begun anew. kopia's wrapper tries all calls again but
// this one, because what was listed has been handed on already.
const listTries = 5

// objects lists the objects of the bucket whose keys begin with the prefix: all of them, or an
// error.
func (r *Repository) objects(ctx context.Context, prefix string) ([]bucket.Object, error) {
	for try := 1; ; try++ {
		var all []bucket.Object
		var failed error
		for object, err := range r.bucket.Objects(ctx, prefix) {
			if failed = err; err == nil {
				all = append(all, object)
			}
		}
		if failed == nil || try == listTries || ctx.Err() != nil || bucket.IsForbidden(failed) || bucket.IsNotFound(failed) {
			return all, failed
		}
		r.options.Log.Warn("listing the bucket failed; trying again", "error", failed)
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// ListBlobs implements blob.Storage.
func (p *packs) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	found, err := p.list(ctx, string(prefix))
	if err != nil {
		return translate(err)
	}
	hidden := p.seen().hidden
	for _, object := range found {
		if strings.HasPrefix(object.Key, ownPrefix) || hidden != nil && hidden(blob.ID(object.Key)) {
			continue
		}
		if err := each(blob.Metadata{BlobID: blob.ID(object.Key), Length: object.Size, Timestamp: object.Written}); err != nil {
			return err
		}
	}
	return nil
}
