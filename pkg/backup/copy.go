// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Copied says what CopyTo did.
type Copied struct {
	// Backups is how many backups the other repository holds of this one, Before how many of
	// them an earlier copy had brought whole, and Resent how many an earlier copy had brought
	// that were damaged there, or not locked as they should be, and were sent again.
	Backups int `json:"backups"`
	Before  int `json:"before"`
	Resent  int `json:"resent,omitempty"`
	// Proved and Held are how many of the copies have the proof, and the hold, of what they are
	// copies of. Unlocked ones are copies of locked backups in a bucket that keeps no locks.
	Proved   int   `json:"proved"`
	Held     int   `json:"held"`
	Unlocked int   `json:"unlocked,omitempty"`
	Bytes    int64 `json:"bytes"`
	Stored   int64 `json:"stored_bytes"`
	// Copies are the backups in the other repository.
	Copies []release.Backup `json:"copies"`
}

// CopyTo brings every backup into another repository, where it is encrypted under that one's
// own master key. Each copy is read back whole and held to this repository's manifest, line by
// line; then it has the newest verification of what it is a copy of, which says that it was
// carried over. Holds go along, and locks where the other bucket keeps them. This repository
// stays as it is.
//
// A copy that was cut short is finished by another: what has arrived is not sent again, and
// what was damaged since is. The id of a copy is a new one; Find knows it by the old one too. A
// backup that is damaged here is not copied, and is an error of ErrDamaged that names it and
// comes after all others are.
func (r *Repository) CopyTo(ctx context.Context, to *Repository) (Copied, error) {
	w := &copying{from: r, to: to, did: Copied{Copies: []release.Backup{}}, copies: map[string]bool{}}
	if string(r.kopia.UniqueID()) == string(to.kopia.UniqueID()) {
		return w.did, fmt.Errorf("copy %s to %s: they are one repository", r.Place(), to.Place())
	}
	if _, err := to.Probe(ctx); err != nil {
		return w.did, err
	}
	ctx, reads, err := r.begin(ctx, useRestore, "")
	if err != nil {
		return w.did, err
	}
	ctx, w.held, err = to.begin(ctx, useCopy, "")
	if err == nil {
		err = w.held.finish(ctx, w.all(ctx))
	}
	return w.did, reads.finish(ctx, err)
}

// all copies and tells of the copies, alone: of two at once each would take the other's copies
// for those that are one too many. One that was killed is waited for until its lease ends.
func (w *copying) all(ctx context.Context) error {
	if _, err := w.held.alone(ctx, w.to.lasts()+time.Minute); err != nil {
		return err
	}
	copied := w.each(ctx)
	if len(w.copies) == 0 {
		return copied
	}
	made, err := w.to.List(context.WithoutCancel(ctx), Query{})
	for _, one := range made {
		if w.copies[one.ID] {
			w.did.Copies = append(w.did.Copies, one)
		}
	}
	return errors.Join(copied, err)
}

// A copying is one CopyTo at work.
type copying struct {
	from, to *Repository
	did      Copied
	// held is the lease on the repository that is written to.
	held *lease
	// copies are the ids of those that are there, whole.
	copies map[string]bool
	// locked is until when backups are locked here, and locks whether the other bucket can.
	locked map[string]time.Time
	locks  bool
	// label and proved are of which volume a copy was proved last, and its id: what it shares
	// with the next needs no second proof.
	label  Label
	proved string
}

func (w *copying) each(ctx context.Context) error {
	all, err := w.from.List(ctx, Query{})
	if err != nil && len(all) == 0 {
		return err
	}
	errs := []error{err}
	if _, err := w.to.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType}); err != nil {
		return fault.Hint(fmt.Errorf("list the copies in %s: %w", w.to.Place(), err),
			"bring the lost object back from the bucket's own versions, or copy to another place that is empty")
	}
	if err := w.lookAtLocks(ctx); err != nil {
		return err
	}
	// Each after the one before it of the same volume, with which it shares most.
	slices.SortStableFunc(all, func(a, b release.Backup) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Volume, b.Volume), a.Taken.Compare(b.Taken))
	})
	for i, b := range all {
		w.from.options.Log.Info("copying a backup", "backup", b.ID, "taken", b.Taken, "volume", b.Volume, "number", i+1, "of", len(all))
		err := w.one(ctx, b)
		switch {
		case err == nil:
			w.did.Backups++
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			err = fmt.Errorf("copy backup %s to %s: %w", b.ID, w.to.Place(), err)
			if !errors.Is(err, ErrDamaged) {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// one makes sure that one whole copy of a backup is there, with all that belongs to it.
func (w *copying) one(ctx context.Context, b release.Backup) error {
	if label := (Label{App: b.App, Environment: b.Environment, Volume: b.Volume}); w.label != label {
		w.label, w.proved = label, ""
	}
	lock, err := w.lockOf(ctx, b.ID)
	if err != nil {
		return err
	}
	id, spoiled, err := w.there(ctx, b, lock)
	if err != nil {
		return err
	}
	switch {
	case id != "":
		w.did.Before++
	default:
		if id, err = w.send(ctx, b, lock); err != nil {
			return err
		}
		if len(spoiled) > 0 {
			w.did.Resent++
		}
	}
	w.proved, w.copies[id] = id, true
	return w.carry(ctx, b, id, spoiled)
}

// tagCopied names the backup that one is a copy of.
const tagCopied = "tag:copied-from"

// there returns the id of the copy of a backup that is whole and locked as long as it, "" where
// there is none, and the ids of those that are not. What is damaged in them is marked, so that
// it is stored anew.
func (w *copying) there(ctx context.Context, b release.Backup, lock bucket.Lock) (id string, spoiled []string, err error) {
	notes, err := w.to.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType, tagCopied: b.ID})
	if err != nil {
		return "", nil, err
	}
	for _, note := range notes {
		one := string(note.ID)
		if until, err := time.Parse(time.RFC3339, note.Labels[tagLocked]); id != "" || !lock.Until.IsZero() && (err != nil || until.Before(lock.Until)) {
			spoiled = append(spoiled, one)
			continue
		}
		switch err := w.same(ctx, b.ID, one); {
		case err == nil:
			id = one
		case errors.As(err, new(original)) || !errors.Is(err, ErrDamaged) || ctx.Err() != nil:
			return "", nil, err
		default:
			w.to.options.Log.Warn("the copy is damaged and is sent again", "backup", b.ID, "copy", one, "error", err)
			if err := w.to.suspect(ctx, one); err != nil {
				return "", nil, err
			}
			spoiled = append(spoiled, one)
		}
	}
	return id, spoiled, nil
}

// send copies a backup, once more when the other bucket turned out to have lost what the copy
// counts on, and reads the copy back.
func (w *copying) send(ctx context.Context, b release.Backup, lock bucket.Lock) (string, error) {
	w.to.locks.least.Store(&lock)
	defer w.to.locks.least.Store(nil)
	id, err := w.copyOne(ctx, b)
	if lost := errors.Is(err, ErrDamaged) || errors.Is(err, blob.ErrBlobNotFound); lost && ctx.Err() == nil && !errors.As(err, new(original)) {
		n, healing := w.to.renounce(ctx)
		if healing != nil || n == 0 {
			return "", errors.Join(healing, err)
		}
		id, err = w.copyOne(ctx, b)
	}
	if err != nil {
		return "", err
	}
	return id, w.same(ctx, b.ID, id)
}
