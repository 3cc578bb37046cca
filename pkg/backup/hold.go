// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

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

// Hold keeps a backup whatever the rules of retention say, until Unhold. Holds add up: one for
// another reason stands beside those that are there, and one for the same reason is no second.
//
// A prune that gives backups up at the same moment either sees the hold, or the hold finds the
// backup gone: each writes first and looks then.
func (r *Repository) Hold(ctx context.Context, id, reason string) (release.Hold, error) {
	ctx, held, err := r.begin(ctx, useHold, id)
	if err != nil {
		return release.Hold{}, fmt.Errorf("hold backup %s: %w", id, err)
	}
	h, err := r.hold(ctx, id, reason, held)
	if errors.Is(err, snapshot.ErrSnapshotNotFound) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err = held.finish(ctx, err); err != nil {
		return h, fmt.Errorf("hold backup %s in %s: %w", id, r.Place(), err)
	}
	return h, nil
}

func (r *Repository) hold(ctx context.Context, id, reason string, held *lease) (release.Hold, error) {
	h := release.Hold{At: r.options.Now().UTC(), Owner: r.owner(), Reason: reason}
	notes, err := r.holdNotes(ctx)
	if err != nil {
		return h, err
	}
	if !slices.ContainsFunc(notes[id], func(n holdNote) bool { return n.Reason == reason }) {
		err = repo.WriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "hold"}, func(ctx context.Context, w repo.RepositoryWriter) error {
			_, err := w.PutManifest(ctx, noteLabels(holdType, id), h)
			return err
		})
	}
	if err == nil {
		err = held.past(ctx)
	}
	if err == nil {
		err = r.kopia.Refresh(ctx)
	}
	if err == nil {
		_, err = snapshot.LoadSnapshot(ctx, r.kopia, manifest.ID(id))
	}
	if err != nil {
		return h, err
	}
	all, err := r.holds(ctx)
	if now := all[id]; now != nil {
		h = *now
	}
	return h, err
}

// Unhold ends the holds of a backup that have the reason, all of them for "": the rules of retention
// count for it again once there is none. One that nobody holds is no error. What still holds the
// backup comes back, nil for nothing.
func (r *Repository) Unhold(ctx context.Context, id, reason string) (*release.Hold, error) {
	notes, err := r.holdNotes(ctx)
	if err == nil {
		err = repo.WriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "hold"}, func(ctx context.Context, w repo.RepositoryWriter) error {
			for _, n := range notes[id] {
				if reason != "" && n.Reason != reason {
					continue
				}
				if err := w.DeleteManifest(ctx, n.id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err == nil {
		err = r.kopia.Refresh(ctx)
	}
	all := map[string]*release.Hold{}
	if err == nil {
		all, err = r.holds(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("end the hold of backup %s in %s: %w", id, r.Place(), err)
	}
	return all[id], nil
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

// A holdNote is one hold as it is kept.
type holdNote struct {
	release.Hold
	id manifest.ID
}

// holdNotes returns the holds of each backup that has some, the oldest first.
func (r *Repository) holdNotes(ctx context.Context) (map[string][]holdNote, error) {
	notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: holdType})
	if err != nil {
		return nil, err
	}
	found := map[string][]holdNote{}
	for _, note := range notes {
		n := holdNote{id: note.ID}
		if _, err := r.kopia.GetManifest(ctx, note.ID, &n.Hold); err != nil {
			return nil, fmt.Errorf("read the hold of backup %s: %w", note.Labels["backup"], err)
		}
		id := note.Labels["backup"]
		found[id] = append(found[id], n)
	}
	for _, of := range found {
		sort.Slice(of, func(i, j int) bool { return cmp.Or(of[i].At.Compare(of[j].At), cmp.Compare(of[i].id, of[j].id)) < 0 })
	}
	return found, nil
}

// between stands between the reasons of several holds.
const between = "; "

// holds returns the hold of each backup that has one. Of several it is since the oldest, by all of
// their owners and for all of their reasons.
func (r *Repository) holds(ctx context.Context) (map[string]*release.Hold, error) {
	notes, err := r.holdNotes(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]*release.Hold{}
	for id, of := range notes {
		var owners, reasons []string
		for _, n := range of {
			if !slices.Contains(owners, n.Owner) {
				owners = append(owners, n.Owner)
			}
			if n.Reason != "" && !slices.Contains(reasons, n.Reason) {
				reasons = append(reasons, n.Reason)
			}
		}
		found[id] = &release.Hold{At: of[0].At, Owner: strings.Join(owners, " and "), Reason: strings.Join(reasons, between)}
	}
	return found, nil
}
