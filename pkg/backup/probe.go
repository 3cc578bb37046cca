// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// Probe tries what the repository needs of its bucket, and tells what a person should know of it;
// what it cannot do without is an error. It does so once for an open repository, and returns what
// it found then. A save and a copy begin with it.
func (r *Repository) Probe(ctx context.Context) (release.Probe, error) {
	r.mu.Lock()
	probed := r.probed
	r.mu.Unlock()
	if probed != nil {
		return *probed, nil
	}
	found, err := r.bucket.Examine(ctx, ownPrefix+"probe-", r.options.Now)
	if err != nil {
		return found, err
	}
	if skew := time.Duration(found.Ahead * float64(time.Second)); skew.Abs() >= someSkew {
		found.Concerns = append(found.Concerns, skewWords(skew))
	}
	r.options.Log.Info("bucket probed", "bucket_ahead", found.Ahead, "creates_once", found.Creates, "deletes", found.Deletes,
		"locks", found.Locks, "versions", found.Versions, "expiry", found.Expiry)
	for _, concern := range found.Concerns {
		r.options.Log.Warn("the bucket is not as it should be", "why", concern)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probed = &found
	return found, nil
}

// mostSkew is from which difference on kopia refuses to maintain a repository; someSkew is
// from where it is worth a warning.
const (
	mostSkew = 5 * time.Minute
	someSkew = time.Minute
)

func skewWords(skew time.Duration) string {
	words := "its clock is " + skew.Abs().String()
	if skew < 0 {
		words += " behind this machine's"
	} else {
		words += " ahead of this machine's"
	}
	words += ": set the one that is wrong"
	if skew.Abs() >= mostSkew {
		return words + ", from " + mostSkew.String() + " on nothing is maintained"
	}
	return words
}
