// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"time"
)

// Skew writes an object of a few bytes and returns by how much the bucket's clock is ahead of
// this machine's. It proves on the way that the bucket can be written to.
func (r *Repository) Skew(ctx context.Context) (time.Duration, error) {
	key := ownPrefix + "clock"
	before := r.options.Now()
	if err := r.bucket.Put(ctx, key, []byte("clock\n"), contentType); err != nil {
		return 0, fmt.Errorf("the repository cannot be written to: %w", err)
	}
	after := r.options.Now()
	found, err := r.bucket.Look(ctx, key)
	if err != nil {
		return 0, err
	}
	// The bucket's time lies between the two; many buckets tell whole seconds.
	switch {
	case found.Written.Before(before):
		return -before.Sub(found.Written).Truncate(time.Second), nil
	case found.Written.After(after):
		return found.Written.Sub(after).Truncate(time.Second), nil
	}
	return 0, nil
}

// tellClock tells by how much the bucket's clock is ahead. It proves on the way that the bucket
// can be written to.
func (r *Repository) tellClock(ctx context.Context) error {
	skew, err := r.Skew(ctx)
	if err == nil {
		r.tellSkew(skew)
	}
	return err
}

// mostSkew is from which difference on kopia refuses to maintain a repository; someSkew is
// from where it is worth a warning.
const (
	mostSkew = 5 * time.Minute
	someSkew = time.Minute
)

func (r *Repository) tellSkew(skew time.Duration) {
	if skew.Abs() < someSkew {
		r.options.Log.Info("clock compared with the bucket's", "bucket_ahead", skew)
		return
	}
	r.options.Log.Warn("the clocks of this machine and of the bucket differ; set this machine's",
		"bucket_ahead", skew, "maintenance_refuses_from", mostSkew)
}
