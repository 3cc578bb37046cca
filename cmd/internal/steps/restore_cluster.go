// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/protect"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/pkg/step"
)

// Restore puts the data of a run's snapshots or backups back into claims.
type Restore struct {
	place       place
	environment string
	config      string
	cluster     cluster
	carrying    carrying
	// filler is how backups come into claims; set by ready.
	filler protect.Request

	run    string
	commit string
	claims []string
	// from is the kind of copy; fromNamespace and fromEnvironment are where it was taken.
	from, fromNamespace, fromEnvironment string

	newClaim     string
	storageClass string
	inPlace      bool
	again        bool
	undo         bool
	confirm      bool
	dryRun       bool
	manifests    string
}

// Declare implements Step.
func (r *Restore) Declare(set *step.Set) {
	set.Name, set.Summary = "restore", "Put the data of a run's snapshots or backups back: into a new claim, or in place."
	set.Long = "Without --run and --commit it takes the newest snapshots in the catalog that were taken\n" +
		"before their run deployed. The plan is shown before anything is done; --dry-run ends there.\n" +
		"Where a snapshot is gone the backup that was saved of it takes its place: a Job brings it\n" +
		"into the claim and compares all of it. The Secrets with its key and with the credentials of\n" +
		"its bucket must be in the namespace; a new cluster needs nothing else.\n" +
		"With --in-place the workloads that mount the claim are scaled down, the claim is made\n" +
		"anew, and they are scaled up again. What the claim held is kept on its volume until\n" +
		"--confirm deletes it or --undo puts it back. Cut short at any moment, the same command\n" +
		"goes on from there."
	set.Example = "knowngood restore --app shop --namespace shop --claim data-db-0 --in-place --dry-run"
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	r.place.declare(set)
	set.Text(&r.environment, "environment", "", "Name of the environment, e.g. production; empty uses the namespace and the cluster.")
	set.Text(&r.config, "config", "", "Path of the configuration; empty uses .knowngood.yaml where it exists.")
	r.cluster.declare(set)
	set.Text(&r.run, "run", "", "Run whose snapshots are restored; with --undo or --confirm the restore that is meant.")
	set.Text(&r.commit, "commit", "", "Commit before whose deploy the snapshots were taken: its id, or the first digits of it.")
	set.List(&r.claims, "claim", "Claim whose data is restored; can be given more than once. Empty takes the one that the run has snapshotted.")
	set.Text(&r.from, "from", "", "Kind of copy to restore: snapshot or backup. Empty takes the snapshot where it can be restored from, else the backup.")
	set.Text(&r.fromNamespace, "from-namespace", "", "Namespace whose data is restored, of this cluster or another one; empty is the one restored to.")
	set.Text(&r.fromEnvironment, "from-environment", "", "Environment whose data is restored, as history shows it; empty is the one restored to.")
	set.Text(&r.newClaim, "new-claim", "", "Name of the claim that is made; empty derives one from the source.")
	set.Text(&r.storageClass, "storage-class", "", "StorageClass of the claim that is made; empty uses that of the claim which was snapshotted.")
	set.Bool(&r.inPlace, "in-place", false, "Make the claim itself anew instead of a new one; workloads are scaled down meanwhile, and what it held is kept.")
	set.Bool(&r.again, "again", false, "With --in-place: restore once more what was restored from the same snapshots already.")
	set.Bool(&r.undo, "undo", false, "Put back what a restore in place has kept; what the claim holds now is kept in its turn.")
	set.Bool(&r.confirm, "confirm", false, "Delete what a restore in place has kept: its result is good.")
	set.Bool(&r.dryRun, "dry-run", false, "Show the plan and do nothing.")
	set.Text(&r.manifests, "manifests", "", "Folder to write the objects to that were kept beside the snapshots; nothing else is done then.")
	r.carrying.declare(set)
	set.Output("run", "Name of this restore, as history shows it.")
	set.Output("claims", "Names of the claims that hold the restored data, separated by commas.")
	set.Output("kept-volumes", "Names of the PersistentVolumes with what was there before, separated by commas.")
	set.Output("record", "Where the entry of this step lies.")
	set.Output("record-digest", "Digest of that entry's bytes: sha256: and hexadecimal digits.")
	r.needs(set)
}

func (r *Restore) needs(set *step.Set) {
	set.Needs("get", "snapshot.storage.k8s.io/volumesnapshots", "tell whether the snapshot is there and can be restored")
	set.Needs("get,list,watch,create,delete", "persistentvolumeclaims", "make claims from snapshots, and in place delete those that are made anew")
	set.NeedsCluster("get", "storage.k8s.io/storageclasses", "tell when a claim of the class gets its volume")
	set.NeedsCluster("get,list,watch,patch", "persistentvolumes", "in place: keep the volume with what the claim held, find it again, and give it up when told to")
	set.Needs("list,watch", "pods", "in place: tell who uses the claim, and wait until nobody does")
	set.Needs("get", "apps/replicasets", "in place: follow a pod to its workload")
	set.Needs("get,list,watch,patch", "apps/deployments", "in place: scale down what uses the claim, and up again")
	set.Needs("get,list,watch,patch", "apps/statefulsets", "in place: scale down what uses the claim, and up again")
	set.Needs("list", "apps/daemonsets", "in place: refuse a claim whose users cannot be scaled down")
	set.Needs("get,list", "batch/jobs", "in place: refuse a claim whose users cannot be scaled down")
	set.Needs("list", "batch/cronjobs", "in place: refuse a claim whose users cannot be scaled down")
	set.Needs("list", "autoscaling/horizontalpodautoscalers", "in place: refuse workloads that would be scaled up again")
	set.Needs("list", "events", "tell the storage's warnings when a volume is late")
	// Whoever may make Jobs can read every Secret of the namespace through them.
	set.Extra("backup", "data comes from a backup", func() {
		needsJobs(set)
		set.Needs("patch", "persistentvolumeclaims", "note on a claim that all of a backup is in it")
	})
}

// way returns how to restore; inputs that say different things are an error of usage.
func (r *Restore) way() (release.RestoreWay, error) {
	var ways []release.RestoreWay
	var names []string
	for _, one := range []struct {
		given bool
		name  string
		way   release.RestoreWay
	}{
		{r.inPlace, "--in-place", release.RestoreInPlace}, {r.undo, "--undo", release.RestoreUndo}, {r.confirm, "--confirm", release.RestoreConfirm},
	} {
		if one.given {
			ways, names = append(ways, one.way), append(names, one.name)
		}
	}
	switch {
	case len(ways) > 1:
		return "", fault.Usagef("%s say different things: give one of them", strings.Join(names, " and "))
	case r.again && !r.inPlace:
		return "", fault.Usagef("--again goes with --in-place alone")
	case len(ways) == 0:
		return release.RestoreNew, r.check()
	case !r.inPlace && (r.from != "" || r.fromNamespace != "" || r.fromEnvironment != ""):
		return "", fault.Usagef("--from, --from-namespace and --from-environment do not go with %s: what was kept is put back or deleted as it is", names[0])
	case r.newClaim != "":
		return "", fault.Usagef("--new-claim does not go with %s", names[0])
	case !r.inPlace && (r.commit != "" || r.storageClass != ""):
		return "", fault.Usagef("--commit and --storage-class do not go with %s: what was kept is put back or deleted as it is", names[0])
	}
	return ways[0], r.check()
}

var claimName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func (r *Restore) check() error {
	if r.commit = strings.ToLower(r.commit); r.commit != "" && !digits.MatchString(r.commit) {
		return fault.Usagef("commit %.80q: want the first 4 to 64 hexadecimal digits of its id", r.commit)
	}
	for _, name := range append(slices.Clone(r.claims), r.newClaim) {
		if name != "" && !claimName.MatchString(name) {
			return fault.Usagef("claim %.80q: that is no name of a claim", name)
		}
	}
	if from := restore.From(r.from); from != restore.FromAny && from != restore.FromSnapshot && from != restore.FromBackup {
		return fault.Usagef("from %.80q: want snapshot or backup", r.from)
	}
	slices.Sort(r.claims)
	r.claims = slices.Compact(r.claims)
	return named(r.place.application())
}

// Run implements Step. Until the plan is made nothing was touched, and no entry is left.
func (r *Restore) Run(ctx context.Context, run *Run) error {
	way, err := r.way()
	if err != nil {
		return err
	}
	if r.manifests != "" {
		return r.show(ctx, run, way)
	}
	connected, err := r.cluster.connect(ctx, run)
	if err != nil {
		return err
	}
	about := subject{place: r.place, environment: r.environment, config: r.config, looked: true}
	if err := about.inCluster(ctx, connected.Namespace, connected.UID); err != nil {
		return err
	}
	request := restore.Request{
		Way: way, Name: catalog.NewRun(run.Now()), App: r.place.application(), Environment: about.environment,
		NewClaim: r.newClaim, StorageClass: r.storageClass, Again: r.again, Claims: r.claims, Timeout: r.cluster.timeout,
		From: restore.From(r.from),
	}
	if way == release.RestoreUndo || way == release.RestoreConfirm {
		request.Earlier = r.run
	} else if err := r.source(ctx, run, connected, &request); err != nil {
		return err
	}
	plan, err := restore.Make(ctx, connected, request)
	if err != nil {
		return err
	}
	if err := r.ready(ctx, run, connected, plan); err != nil {
		return err
	}
	if r.dryRun {
		run.Result(plan.Result())
		run.Show(report.Plan(plan.Result()))
		return nil
	}
	run.Tell(report.Plan(plan.Result()))
	about.run, about.commit = plan.Name, string(plan.Commit())
	return about.record(ctx, run, "restore", func(ctx context.Context, e *release.Entry) error {
		return r.carryOut(ctx, run, connected, plan, e)
	})
}

// carryOut does what the plan says and leaves what was done in the entry, also of a part.
func (r *Restore) carryOut(ctx context.Context, run *Run, connected *kube.Cluster, plan *restore.Plan, e *release.Entry) error {
	before := connected.Waited()
	done, err := plan.Do(ctx)
	e.Restoration, e.Waited = &done, (connected.Waited() - before).Seconds()
	var names, kept []string
	for _, c := range done.Claims {
		names = append(names, c.Claim)
		if c.Kept != "" && !c.Removed {
			kept = append(kept, c.Kept)
		}
	}
	run.Tell(report.Restoration(done))
	return errors.Join(err, run.Host.Output("claims", strings.Join(names, ",")), run.Host.Output("kept-volumes", strings.Join(kept, ",")))
}
