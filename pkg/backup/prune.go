// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/manifest"

	"github.com/knowngood/knowngood/pkg/fault"
)

// ErrPlan is the error of a plan that is no longer what it was when it was shown.
var ErrPlan = errors.New("the plan has changed")

// A Pruned is what a prune did.
type Pruned struct {
	Plan Plan `json:"plan"`
	// Done is true once all that the plan gives up is given up.
	Done   bool   `json:"done"`
	Upkeep Upkeep `json:"upkeep"`
}

// Prune makes a plan, and carries out exactly that: it gives up the backups that the rules do
// not keep, and maintains the repository. One prune is at work in a repository at a time.
//
// A backup that is given up is gone from the list at once. What only it held is freed by later
// prunes, after kopia's delays, in which saves and restores that run beside can end.
//
// It may be killed at any moment: what it gave up is given up, and the next prune goes on.
func (r *Repository) Prune(ctx context.Context, q Pruning) (Pruned, error) {
	ctx, held, err := r.begin(ctx, usePrune, "")
	if err != nil {
		return Pruned{}, err
	}
	did, err := r.prune(ctx, q, held)
	if err = errors.Join(held.finish(ctx, err), r.failed()); err != nil {
		return did, fmt.Errorf("prune %s: %w", r.Place(), err)
	}
	return did, nil
}

func (r *Repository) prune(ctx context.Context, q Pruning, held *lease) (Pruned, error) {
	uses, err := held.alone(ctx, q.Wait)
	if err != nil {
		return Pruned{}, err
	}
	r.packs.guard(held.held)
	defer r.packs.guard(nil)
	var did Pruned
	if did.Plan, err = r.plan(ctx, q, uses); err != nil {
		return did, err
	}
	if q.Plan != "" && q.Plan != did.Plan.Digest {
		return did, fault.Hint(fault.Exit(fault.Usage, fmt.Errorf("%w: it is %s, and was to be %.40q", ErrPlan, did.Plan.Digest, q.Plan)),
			"look at the plan again: knowngood prune without --dry-run=false")
	}
	if q.Before != nil {
		if err := q.Before(ctx, did.Plan); err != nil {
			return did, err
		}
	}
	if err := held.givesUp(ctx, true); err != nil {
		return did, err
	}
	if err := r.unclaimed(ctx, did.Plan, held); err != nil {
		return did, err
	}
	if err := r.giveUp(ctx, did.Plan, held); err != nil {
		return did, err
	}
	did.Done = true
	if err := held.givesUp(ctx, false); err != nil {
		return did, err
	}
	if did.Upkeep, err = r.maintain(ctx, held); err != nil {
		return did, err
	}
	did.Upkeep.Prolonged, err = r.prolong(ctx)
	return did, err
}

// unclaimed makes sure that nobody holds or reads by now what the plan gives up: it may have taken
// a while to show and to note.
func (r *Repository) unclaimed(ctx context.Context, p Plan, held *lease) error {
	gone := p.Gone()
	if len(gone) == 0 {
		return nil
	}
	if err := r.kopia.Refresh(ctx); err != nil {
		return err
	}
	holds, err := r.holds(ctx)
	if err != nil {
		return err
	}
	uses, err := held.others(ctx)
	if err != nil {
		return err
	}
	for _, b := range gone {
		b.Hold, b.Verified = holds[b.ID], nil
		if now := copyOf(b, uses, time.Time{}); now.Bound != "" {
			return fault.Hint(fault.Exit(fault.Usage, fmt.Errorf("%w: backup %s is %s", ErrPlan, b.ID, now.Bound)),
				"nothing was given up; look at the plan again: knowngood prune without --dry-run=false")
		}
	}
	return nil
}

// giveUp takes what the plan gives up out of the list, all of it in one step.
func (r *Repository) giveUp(ctx context.Context, p Plan, held *lease) error {
	var ids []manifest.ID
	for _, o := range p.Orphans {
		if o.Goes {
			ids = append(ids, manifest.ID(o.Name))
		}
	}
	gone := p.Gone()
	if len(gone) == 0 && len(ids) == 0 {
		return nil
	}
	var receipts []string
	for _, b := range gone {
		receipts = append(receipts, b.ID)
	}
	if err := errors.Join(held.held(), r.disown(ctx, receipts)); err != nil {
		return err
	}
	return repo.WriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "prune"}, func(ctx context.Context, w repo.RepositoryWriter) error {
		for _, b := range gone {
			ids = append(ids, manifest.ID(b.ID))
			if err := dropNotes(ctx, w, noteLabels(verificationType, b.ID)); err != nil {
				return err
			}
		}
		for _, id := range ids {
			if err := w.DeleteManifest(ctx, id); err != nil {
				return fmt.Errorf("give up %s: %w", id, err)
			}
		}
		return held.held()
	})
}

// guard lets allowed refuse deletions, nil none: a prune that was stopped for longer than its
// lease lasts must not go on where another is at work.
func (p *packs) guard(allowed func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = allowed
}

// DeleteBlob implements blob.Storage.
func (p *packs) DeleteBlob(ctx context.Context, id blob.ID) error {
	p.mu.Lock()
	allowed := p.allowed
	p.mu.Unlock()
	if allowed != nil {
		if err := allowed(); err != nil {
			return fmt.Errorf("delete %s: %w", id, err)
		}
	}
	if spared, err := p.locks.spare(ctx, id); spared || err != nil {
		return err
	}
	return p.Storage.DeleteBlob(ctx, id)
}
