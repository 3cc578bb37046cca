// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// A copyBook is what the catalog knows of backups.
type copyBook struct {
	place place
	// found are what the catalog and the repository do not both know.
	found []backup.Orphan
}

// Kinds of orphans that the catalog shows.
const (
	orphanUnrecorded = "backup without a record"
	orphanLost       = "recorded backup that is gone"
)

// compare adds to the plan what the catalog and the repository do not both know. A backup that
// was recorded and is gone without having been pruned is an error that names it.
func (b *copyBook) compare(ctx context.Context, run *Run, plan *backup.Plan) error {
	records, err := b.read(ctx, run)
	if err != nil {
		return err
	}
	recorded, pruned := map[string]release.Backup{}, map[string]bool{}
	for _, record := range records {
		for _, e := range record.Entries {
			if e.Copies != nil && e.Copies.Repository == plan.Repository {
				for _, one := range e.Copies.Backups {
					recorded[one.ID] = one
				}
			}
			if e.Pruned != nil && e.Pruned.Repository == plan.Repository {
				for _, id := range e.Pruned.Backups {
					pruned[id] = true
				}
			}
		}
	}
	for _, one := range plan.Backups {
		if _, ok := recorded[one.ID]; !ok {
			b.found = append(b.found, backup.Orphan{Kind: orphanUnrecorded, Name: one.ID})
		}
	}
	var lost []error
	for id, one := range recorded {
		if !plan.Known[id] && !pruned[id] {
			b.found = append(b.found, backup.Orphan{Kind: orphanLost, Name: id})
			lost = append(lost, fmt.Errorf("backup %s of %q, taken %s, is recorded and not in %s", id, one.Volume, one.Taken.UTC().Format("2006-01-02 15:04 UTC"), plan.Repository))
		}
	}
	plan.Orphans = append(plan.Orphans, b.found...)
	if len(lost) > 0 {
		return fault.Hint(errors.Join(lost...), "nobody pruned it: look at the bucket's own versions of deleted objects, and at who may delete there")
	}
	return nil
}

// read returns the records of the application. Where there is no catalog, nothing is recorded.
func (b *copyBook) read(ctx context.Context, run *Run) ([]release.Record, error) {
	app := b.place.application()
	if err := named(app); err != nil {
		return nil, err
	}
	url, err := b.place.url(run)
	if err != nil {
		return nil, err
	}
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	if errors.Is(err, catalog.ErrNotFound) {
		run.Log.Warn("there is no catalog: what is recorded is not known", "error", err)
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer store.Close()
	return store.Records(ctx, catalog.Query{App: app})
}

// note writes into the record of each run whose backups the plan gives up that they are, before
// they are: one that is missing and has no such entry was lost.
func (b *copyBook) note(ctx context.Context, run *Run, plan backup.Plan) error {
	n := notes{}
	for _, one := range plan.Gone() {
		of := n.of(release.Subject{App: one.App, Environment: one.Environment, Run: one.Run, Commit: one.Commit})
		of.Repository, of.Backups = plan.Repository, append(of.Backups, one.ID)
	}
	return b.write(ctx, run, n, plan.Digest)
}

// notes are what is to be written into the record of each run, in the order of their first mention.
type notes struct {
	runs []release.Subject
	by   map[name]*release.Pruned
}

// A name tells runs apart.
type name struct {
	app, environment, run string
	commit                release.Commit
}

// of returns what is noted of a run.
func (n *notes) of(s release.Subject) *release.Pruned {
	key := name{s.App, s.Environment, s.Run, s.Commit}
	if n.by == nil {
		n.by = map[name]*release.Pruned{}
	}
	if n.by[key] == nil {
		n.by[key] = &release.Pruned{}
		n.runs = append(n.runs, s)
	}
	return n.by[key]
}

// write stores an entry for each run.
func (b *copyBook) write(ctx context.Context, run *Run, n notes, plan string) error {
	if len(n.runs) == 0 {
		return nil
	}
	url, err := b.place.url(run)
	if err != nil {
		return err
	}
	store, err := catalog.Open(ctx, url, run.Now)
	if err != nil {
		return err
	}
	defer store.Close()
	for _, s := range n.runs {
		what := n.of(s)
		what.Plan = plan
		if catalog.Check(s) != nil {
			run.Log.Warn("there is no record to note an end in", "backups", what.Backups, "snapshots", what.Snapshots)
			continue
		}
		_, err := store.Append(ctx, release.Entry{
			Subject: s, Step: "prune", State: release.Done, Began: run.Now(), Ended: run.Now(), Version: run.Version, Pruned: what,
		})
		if err != nil {
			return fmt.Errorf("note what is pruned: %w", err)
		}
	}
	return nil
}
