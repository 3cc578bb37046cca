// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

// receiptPrefix is where the receipts lie: one object for each backup that was acknowledged, whose
// name is all that it says. The list of backups is kept where kopia's index finds it, and an index
// that lost an object names less than before without knowing it; a receipt has no part in that.
const receiptPrefix = ownPrefix + "backup/"

var receiptName = regexp.MustCompile(`^[0-9a-f]{16,64}$`)

// acknowledge writes the receipt of a backup that is in the list.
func (r *Repository) acknowledge(ctx context.Context, id string) error {
	if err := r.bucket.Put(ctx, receiptPrefix+id, []byte("{}\n"), "application/json"); err != nil {
		return fmt.Errorf("write the receipt of backup %s: %w", id, err)
	}
	return nil
}

// disown takes receipts away. It comes before their backups are taken out of the list: killed in
// between it leaves a backup without a receipt, and never the reverse.
func (r *Repository) disown(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := r.bucket.Remove(ctx, receiptPrefix+id); err != nil && !bucket.IsNotFound(err) {
			return fmt.Errorf("take the receipt of backup %s away: %w", id, err)
		}
	}
	return nil
}

// receipts returns the ids of the backups that have one.
func (r *Repository) receipts(ctx context.Context) ([]string, error) {
	objects, err := r.objects(ctx, receiptPrefix)
	if err != nil {
		return nil, fmt.Errorf("read the receipts in %s: %w", r.Place(), err)
	}
	var ids []string
	for _, object := range objects {
		if id := strings.TrimPrefix(object.Key, receiptPrefix); receiptName.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// listed returns the ids of all backups in kopia's list.
func listed(ctx context.Context, of repo.Repository) (map[string]bool, error) {
	notes, err := of.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType})
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, note := range notes {
		ids[string(note.ID)] = true
	}
	return ids, nil
}

// missing returns which backups were acknowledged, given up by nobody, and are not in the list. The
// receipts are read first: what has one was in the list before.
func (r *Repository) missing(ctx context.Context) ([]string, error) {
	acknowledged, err := r.receipts(ctx)
	if err != nil {
		return nil, err
	}
	known, err := listed(ctx, r.kopia)
	if err != nil {
		return nil, err
	}
	lacks := func(id string) bool { return !known[id] }
	if !slices.ContainsFunc(acknowledged, lacks) {
		return nil, nil
	}
	// Others may have saved since the index was read, or given up since the receipts were.
	if err := r.kopia.Refresh(ctx); err != nil {
		return nil, err
	}
	if known, err = listed(ctx, r.kopia); err != nil {
		return nil, err
	}
	var gone []string
	for _, id := range slices.DeleteFunc(acknowledged, func(id string) bool { return known[id] }) {
		if _, err := r.bucket.Look(ctx, receiptPrefix+id); err == nil {
			gone = append(gone, id)
		} else if !bucket.IsNotFound(err) {
			return nil, err
		}
	}
	return gone, nil
}

// repairHint is the cure of what repair heals.
const repairHint = "see what can be brought back: knowngood backup repair"

// absent is the error that names backups which were acknowledged and are not in the list.
func absent(ids []string) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, fmt.Errorf("backup %s was saved, nobody gave it up, and it is not in the list: %w", id, ErrDamaged))
	}
	if len(errs) == 0 {
		return nil
	}
	return fault.Hint(errors.Join(errs...), repairHint)
}
