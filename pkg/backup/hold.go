// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/release"
)

// holdType is the type of the notes that keep a backup.
const holdType = "knowngood-hold"

func noteLabels(kind, id string) map[string]string {
	return map[string]string{manifest.TypeLabelKey: kind, "backup": id}
}

// Hold keeps a backup whatever the rules of retention say, until Unhold. A later hold takes
// the place of an earlier one.
func (r *Repository) Hold(ctx context.Context, id, reason string) (release.Hold, error) {
	h := release.Hold{At: r.options.Now().UTC(), Owner: r.owner(), Reason: reason}
	err := repo.WriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "hold"}, func(ctx context.Context, w repo.RepositoryWriter) error {
		_, err := w.ReplaceManifests(ctx, noteLabels(holdType, id), h)
		return err
	})
	if err == nil {
		// A prune that came in between has given the backup up.
		err = r.kopia.Refresh(ctx)
	}
	if err == nil {
		_, err = snapshot.LoadSnapshot(ctx, r.kopia, manifest.ID(id))
	}
	if errors.Is(err, snapshot.ErrSnapshotNotFound) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return h, fmt.Errorf("hold backup %s in %s: %w", id, r.Place(), err)
	}
	return h, nil
}

// Unhold lets the rules of retention count for a backup again. One that nobody holds is no
// error.
func (r *Repository) Unhold(ctx context.Context, id string) error {
	err := repo.WriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "hold"}, func(ctx context.Context, w repo.RepositoryWriter) error {
		return dropNotes(ctx, w, noteLabels(holdType, id))
	})
	if err != nil {
		return fmt.Errorf("end the hold of backup %s in %s: %w", id, r.Place(), err)
	}
	return nil
}

// dropNotes takes notes of ours away.
func dropNotes(ctx context.Context, w repo.RepositoryWriter, labels map[string]string) error {
	notes, err := w.FindManifests(ctx, labels)
	if err != nil {
		return err
	}
	for _, note := range notes {
		if err := w.DeleteManifest(ctx, note.ID); err != nil {
			return err
		}
	}
	return nil
}

// holds returns the hold of each backup that has one.
func (r *Repository) holds(ctx context.Context) (map[string]*release.Hold, error) {
	notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: holdType})
	if err != nil {
		return nil, err
	}
	found := map[string]*release.Hold{}
	for _, note := range notes {
		var h release.Hold
		if _, err := r.kopia.GetManifest(ctx, note.ID, &h); err != nil {
			return nil, fmt.Errorf("read the hold of backup %s: %w", note.Labels["backup"], err)
		}
		found[note.Labels["backup"]] = &h
	}
	return found, nil
}
