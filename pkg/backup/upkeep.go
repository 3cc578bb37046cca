// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/maintenance"
	"github.com/kopia/kopia/repo/maintenancestats"
	"github.com/kopia/kopia/snapshot/snapshotgc"

	"github.com/knowngood/knowngood/pkg/fault"
)

// An Upkeep is what maintenance did.
type Upkeep struct {
	// Ran is true when it ran to its end; Postponed says why it did not begin.
	Ran       bool   `json:"ran"`
	Postponed string `json:"postponed,omitempty"`
	// FreedObjects and FreedBytes are gone from the bucket.
	FreedObjects int64 `json:"freed_objects"`
	FreedBytes   int64 `json:"freed_bytes"`
	// LockedObjects were to be freed, and stay until their locks end, the last at LockedUntil;
	// the locks of Prolonged objects last longer than before.
	LockedObjects int64      `json:"locked_objects,omitempty"`
	LockedUntil   *time.Time `json:"locked_until,omitempty"`
	Prolonged     int64      `json:"prolonged_locks,omitempty"`
	// UnusedBytes are no longer needed by any backup, and are freed by later prunes.
	UnusedBytes int64 `json:"unused_bytes"`
}

// safety is how long kopia waits before it takes away what seems to be unused: content for a
// day after it was written, then until a later maintenance, at least four hours on, finds it
// unused again.
var safety = maintenance.SafetyFull //nolint:gochecknoglobals // a constant of kopia's, which is a variable there

// maintain runs kopia's full maintenance. It does not begin while anybody else is at work:
// a save may count on content that no backup needs yet, and a restore on packs that
// maintenance has emptied. That holds for saves of any length, which kopia's own delays do not.
func (r *Repository) maintain(ctx context.Context, held *lease) (Upkeep, error) {
	others, err := held.others(ctx)
	if err != nil {
		return Upkeep{}, err
	}
	for _, other := range others {
		if other.Work != usePrune && other.Work != useRepair { // another that prunes or repairs sees our lease, and waits
			return Upkeep{Postponed: other.String()}, nil
		}
	}
	folder, err := os.MkdirTemp("", "knowngood-prune-")
	if err != nil {
		return Upkeep{}, err
	}
	began := r.options.Now()
	err = repo.DirectWriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "prune"}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		at := located{w, filepath.Join(folder, "kopia")}
		return maintenance.RunExclusive(ctx, at, maintenance.ModeFull, true, func(ctx context.Context, p maintenance.RunParameters) error {
			if err := snapshotgc.Run(ctx, w, true, safety, p.MaintenanceStartTime); err != nil {
				return err
			}
			return maintenance.Run(ctx, p, safety)
		})
	})
	if err = errors.Join(err, os.RemoveAll(folder)); err != nil {
		return Upkeep{}, fault.Hint(fmt.Errorf("maintain the repository: %w", err),
			"nothing that a backup needs was taken away; a backup that is damaged ends maintenance: save again, prove that by backup verify, and a prune gives the damaged one up")
	}
	return r.kept(ctx, began)
}

// located is a repository with a file beside which kopia puts its lock. Ours is opened from
// memory, and the lease is what counts.
type located struct {
	repo.DirectRepositoryWriter
	file string
}

// ConfigFilename implements repo.DirectRepository.
func (l located) ConfigFilename() string { return l.file }

// kept reads what maintenance says of itself.
func (r *Repository) kept(ctx context.Context, began time.Time) (Upkeep, error) {
	spared := r.locks.forget()
	did := Upkeep{Ran: true, LockedObjects: spared.objects}
	if spared.objects > 0 {
		did.LockedUntil = &spared.until
	}
	schedule, err := maintenance.GetSchedule(ctx, r.kopia)
	if err != nil {
		return did, fmt.Errorf("read what maintenance did: %w", err)
	}
	for _, runs := range schedule.Runs {
		if len(runs) == 0 || runs[0].Start.Before(began) {
			continue
		}
		for _, extra := range runs[0].Extra {
			found, err := maintenancestats.BuildFromExtra(extra)
			if err != nil {
				continue // of a kind that is not counted
			}
			switch stats := found.(type) {
			case *maintenancestats.DeleteUnreferencedPacksStats:
				did.FreedObjects += max(0, int64(stats.DeletedPackCount)-spared.packs)
				did.FreedBytes += max(0, stats.DeletedTotalSize-spared.bytes)
			case *maintenancestats.SnapshotGCStats:
				did.UnusedBytes = stats.UnreferencedContentSize + stats.UnreferencedRecentContentSize
			}
		}
	}
	return did, nil
}
