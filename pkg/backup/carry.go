// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
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
	hold := b.Hold
	for _, one := range spoiled {
		if hold == nil {
			hold = held[one]
		}
	}
	if held[id] != nil {
		hold = nil
	}
	proof := b.Verified
	if own := verified[id]; own != nil && (!own.Carried || proof != nil && !proof.At.After(own.At)) {
		proof = nil
	}
	if err := errors.Join(w.held.held(), w.to.disown(ctx, spoiled)); err != nil {
		return err
	}
	if hold != nil || proof != nil || len(spoiled) > 0 {
		err = repo.WriteSession(ctx, w.to.kopia, repo.WriteSessionOptions{Purpose: "copy"}, func(ctx context.Context, writer repo.RepositoryWriter) error {
			return w.note(ctx, writer, id, hold, proof, spoiled)
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

// note writes what carry found, all of it in one step.
func (w *copying) note(ctx context.Context, writer repo.RepositoryWriter, id string, hold *release.Hold, proof *release.Verification, spoiled []string) error {
	var errs []error
	if hold != nil {
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
