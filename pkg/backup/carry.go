// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/release"
)

// carry gives a copy, which was read back and is the same, what belongs to the backup: its hold,
// and its newest verification unless the copy has one of its own or a later one. Copies that it
// replaces go; a hold that one of them was given stays.
func (w *copying) carry(ctx context.Context, b release.Backup, id string, spoiled []string) error {
	held, err := w.to.holds(ctx)
	if err != nil {
		return err
	}
	verified, err := w.to.verifications(ctx, noteLabels(verificationType, id))
	if err != nil {
		return err
	}
	all := []*release.Hold{b.Hold}
	for _, one := range spoiled {
		all = append(all, held[one])
	}
	holds := missing(held[id], all)
	proof := b.Verified
	if own := verified[id]; own != nil && (!own.Carried || proof != nil && !proof.At.After(own.At)) {
		proof = nil
	}
	if err := errors.Join(w.held.held(), w.to.disown(ctx, spoiled)); err != nil {
		return err
	}
	if len(holds) > 0 || proof != nil || len(spoiled) > 0 {
		err = repo.WriteSession(ctx, w.to.kopia, repo.WriteSessionOptions{Purpose: "copy"}, func(ctx context.Context, writer repo.RepositoryWriter) error {
			return w.note(ctx, writer, id, holds, proof, spoiled)
		})
		if err != nil {
			return fmt.Errorf("note what belongs to the copy: %w", err)
		}
	}
	if b.Hold != nil {
		w.did.Held++
	}
	if b.Verified != nil && b.Verified.Proved {
		w.did.Proved++
	}
	return w.to.kopia.Refresh(ctx)
}

// missing returns those of the holds that a copy has not: that of the backup, whose own may have
// grown since, and those that copies were given which go.
func missing(has *release.Hold, all []*release.Hold) []*release.Hold {
	var more []*release.Hold
	var reasons []string
	if has != nil {
		reasons = strings.Split(has.Reason, between)
	}
	for _, hold := range all {
		if hold == nil {
			continue
		}
		wanted := strings.Split(hold.Reason, between)
		if has != nil && !slices.ContainsFunc(wanted, func(one string) bool { return one != "" && !slices.Contains(reasons, one) }) {
			continue
		}
		has, reasons = hold, append(reasons, wanted...)
		more = append(more, hold)
	}
	return more
}

// note writes what carry found, all of it in one step.
func (w *copying) note(ctx context.Context, writer repo.RepositoryWriter, id string, holds []*release.Hold, proof *release.Verification, spoiled []string) error {
	var errs []error
	for _, hold := range holds {
		_, err := writer.PutManifest(ctx, noteLabels(holdType, id), hold)
		errs = append(errs, err)
	}
	if proof != nil {
		carried := *proof
		carried.Carried = true
		_, err := writer.PutManifest(ctx, noteLabels(verificationType, id), carried)
		errs = append(errs, err)
	}
	for _, one := range spoiled {
		errs = append(errs,
			dropNotes(ctx, writer, noteLabels(verificationType, one)),
			dropNotes(ctx, writer, noteLabels(holdType, one)),
			writer.DeleteManifest(ctx, manifest.ID(one)))
	}
	return errors.Join(append(errs, w.held.held())...)
}

// lookAtLocks learns which backups are locked, and whether their copies can be.
func (w *copying) lookAtLocks(ctx context.Context) error {
	var err error
	if w.locked, err = w.from.lockedUntil(ctx); err != nil || len(w.locked) == 0 {
		return err
	}
	err = w.to.bucket.KeepsLocks(ctx)
	if errors.Is(err, bucket.ErrNoLocks) {
		w.to.options.Log.Warn("the bucket keeps no locks: copies of locked backups can be deleted there", "repository", w.to.Place(), "locked", len(w.locked))
		return nil
	}
	w.locks = err == nil
	return err
}

// lockOf returns the lock that the copy of a backup needs: until the backup's own ends, and as
// strict. It is none where the backup has none, or the other bucket keeps none.
func (w *copying) lockOf(ctx context.Context, id string) (bucket.Lock, error) {
	until, locked := w.locked[id]
	if locked && !w.locks {
		w.did.Unlocked++
	}
	if !locked || !w.locks {
		return bucket.Lock{}, nil
	}
	lock, err := w.from.lockAt(ctx, id)
	if err != nil {
		return lock, original{err}
	}
	lock.Until = until.UTC().Truncate(time.Second)
	return lock, nil
}

// lockAt returns the lock of the object in which the manifest of a backup begins.
func (r *Repository) lockAt(ctx context.Context, id string) (bucket.Lock, error) {
	volume, err := r.volumeOf(ctx, id)
	if err != nil {
		return bucket.Lock{}, fmt.Errorf("open the manifest: %w: %w", ErrDamaged, err)
	}
	parsed, err := object.ParseID(volume)
	if err != nil {
		return bucket.Lock{}, err
	}
	contents, err := r.kopia.VerifyObject(ctx, parsed)
	if err != nil || len(contents) == 0 {
		return bucket.Lock{}, fmt.Errorf("open the manifest: %w: %w", ErrDamaged, err)
	}
	info, err := r.kopia.ContentInfo(ctx, contents[0])
	if err != nil {
		return bucket.Lock{}, err
	}
	return r.bucket.Locked(ctx, string(info.PackBlobID))
}
