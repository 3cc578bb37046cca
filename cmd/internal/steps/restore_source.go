// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"fmt"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
)

// source chooses what is restored: that of a restore which was cut short, or what the catalog
// has.
func (r *Restore) source(ctx context.Context, run *Run, connected *kube.Cluster, request *restore.Request) error {
	wish := restore.Wish{Namespace: cmp.Or(r.fromNamespace, connected.Namespace), Run: r.run, Commit: r.commit, Claims: r.claims}
	if request.Way == release.RestoreInPlace {
		begun, ok, err := restore.Pending(ctx, connected, wish)
		if err != nil {
			return err
		}
		if ok {
			run.Log.Info("a restore that was cut short goes on", "claims", len(begun.Snapshots))
			request.Lineage, request.Snapshots, request.Backups = begun.Lineage, begun.Snapshots, begun.Backups
			return nil
		}
	}
	store, chosen, err := r.choose(ctx, run, cmp.Or(r.fromEnvironment, request.Environment), wish)
	if err != nil {
		return err
	}
	store.Close()
	if chosen.Late {
		run.Log.Warn("these snapshots were taken when the deploy of their run had begun: its code may have written to them")
	}
	request.Lineage, request.Snapshots, request.Backups = chosen.Lineage, chosen.Snapshots, chosen.Backups
	r.carrying.repository = cmp.Or(r.carrying.repository, chosen.Lineage.Repository)
	request.Fill = r.filler.Filler(connected)
	return nil
}

// ready refuses, before anything is touched, a backup that a Job could not reach.
func (r *Restore) ready(ctx context.Context, run *Run, connected *kube.Cluster, plan *restore.Plan) error {
	id, fills := plan.Fills()
	if !fills {
		return nil
	}
	if err := r.carrying.reaches(fmt.Sprintf("the data comes from backup %s", id)); err != nil {
		return err
	}
	var err error
	if r.filler, err = r.carrying.request(run, connected.Namespace, r.cluster.timeout); err != nil {
		return err
	}
	return r.filler.Ready(ctx, connected)
}

// choose reads what the catalog has of the application in an environment, and chooses of it.
// What cannot be read is an error: it may be the newest. The catalog is open where there is no
// error.
func (r *Restore) choose(ctx context.Context, run *Run, environment string, wish restore.Wish) (*catalog.Catalog, restore.Choice, error) {
	url, err := r.place.url(run)
	if err != nil {
		return nil, restore.Choice{}, err
	}
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	if err != nil {
		return nil, restore.Choice{}, fault.Hint(err, "give --catalog: snapshots are found by the records of their runs")
	}
	app := r.place.application()
	records, err := store.Records(ctx, catalog.Query{App: app, Environment: environment, Run: r.run, Commit: r.commit})
	if err != nil {
		store.Close()
		return nil, restore.Choice{}, fault.Hint(fmt.Errorf("read the records in %s: %w", bucket.Redact(url), err), "name a run whose record is sound with --run")
	}
	chosen, err := restore.Choose(records, wish)
	if err == nil {
		if err = store.Verify(ctx, app, environment, chosen.Lineage.Run); err != nil {
			err = fmt.Errorf("check the record of run %q in %s: %w", chosen.Lineage.Run, bucket.Redact(url), err)
		}
	}
	if err != nil {
		store.Close()
		return nil, restore.Choice{}, err
	}
	return store, chosen, nil
}

// show writes the manifests beside the snapshots that a restore would take. It asks a cluster
// only for what is not given.
func (r *Restore) show(ctx context.Context, run *Run, way release.RestoreWay) error {
	if way != release.RestoreNew || r.newClaim != "" || r.dryRun {
		return fault.Usagef("--manifests restores nothing, and does not go with what says how to restore")
	}
	about := subject{environment: r.environment}
	if r.environment == "" {
		connected, err := r.cluster.connect(ctx, run)
		if err != nil {
			return fault.Hint(err, "or name the environment with --environment: then no cluster is asked")
		}
		if err := about.inCluster(ctx, connected.Namespace, connected.UID); err != nil {
			return err
		}
	}
	wish := restore.Wish{Namespace: cmp.Or(r.fromNamespace, r.cluster.namespace), Run: r.run, Commit: r.commit, Claims: r.claims, Whole: true}
	store, chosen, err := r.choose(ctx, run, cmp.Or(r.fromEnvironment, about.environment), wish)
	if err != nil {
		return err
	}
	defer store.Close()
	return r.writeManifests(ctx, run, store, chosen)
}
