// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/pkg/retire"
	"github.com/knowngood/knowngood/pkg/step"
)

// planSeparator stands between the digest of the backups' plan and that of the snapshots'.
const planSeparator = "."

func (p *Prune) declareSnapshots(set *step.Set) {
	set.Bool(&p.snapshots, "volume-snapshots", false, "Prune the VolumeSnapshots of the namespace as well; without it the cluster is not looked at.")
	set.Bool(&p.orphans, "orphans", false, "With --volume-snapshots: give up those, too, that bear knowngood's labels and that no record in the catalog names, after a day.")
	set.Bool(&p.stored, "retained-contents", false,
		"With --volume-snapshots: delete, too, what the storage keeps of a snapshot because its class has the policy Retain.")

	set.NeedsCluster("get", "namespaces", "tell the cluster from others, by the uid of kube-system")
	set.Needs("list,watch,delete", "snapshot.storage.k8s.io/volumesnapshots", "find the snapshots, and delete those that nothing keeps")
	set.NeedsCluster("list", "snapshot.storage.k8s.io/volumesnapshotcontents", "tell which snapshots are good, and which contents have none any more")
	set.Needs("get,list", "persistentvolumeclaims", "spare the snapshots that claims are being made from")
	set.NeedsCluster("list", "persistentvolumes", "spare the snapshots that restores need")
	set.Needs("list,delete", "batch/jobs", "take away the Jobs that killed runs left")
	set.Needs("get,create,update", "coordination.k8s.io/leases", "be the only prune at work in the namespace")
	set.Extra("contents", "what the storage keeps is to go as well", func() {
		set.NeedsCluster("watch,patch,delete", "snapshot.storage.k8s.io/volumesnapshotcontents", "delete what the storage keeps of snapshots that were given up")
	})
}

// check refuses inputs that say nothing together.
func (p *Prune) check(query backup.Query) error {
	switch {
	case !p.snapshots && (p.orphans || p.stored):
		return fault.Usagef("--orphans and --retained-contents are of snapshots: give --volume-snapshots as well")
	case p.snapshots && query.Volume != "":
		return fault.Usagef("--volume does not go with --volume-snapshots: a release is kept or given up whole")
	}
	return nil
}

// plans parts the digest that was given into that of the backups and that of the snapshots.
func (p *Prune) plans() (ofBackups, ofSnapshots string, err error) {
	first, second, both := strings.Cut(p.plan, planSeparator)
	switch {
	case p.plan == "":
		return "", "", nil
	case !p.snapshots && !both:
		return first, "", nil
	case p.snapshots && p.wanted.repository == "" && !both:
		return "", first, nil
	case p.snapshots && p.wanted.repository != "" && both:
		return first, second, nil
	}
	return "", "", fault.Hint(fault.Usagef("plan %.40q: that is not the plan of what is looked at now", p.plan),
		"give it with the inputs with which the dry run showed it")
}

// inCluster plans or prunes the snapshots of the namespace. The error may come with what was done.
func (p *Prune) inCluster(ctx context.Context, run *Run, records *copyBook, rules backup.Pruning, plan string, did *pruned) error {
	connected, err := p.wanted.from.connect(ctx, run)
	if err != nil {
		return err
	}
	q := retire.Request{
		App: records.place.application(), Environment: rules.Query.Environment, Rules: rules.Rules, Zone: rules.Zone,
		Orphans: p.orphans, Stored: p.stored, Plan: plan, Wait: p.timeout, Timeout: p.timeout,
		Uses: func(ctx context.Context) (map[string]string, error) { return restore.Sources(ctx, connected) },
	}
	if q.Records, err = records.read(ctx, run); err != nil {
		return err
	}
	if did.Pruned != nil {
		for i, f := range did.Plan.Fates {
			if f.Keep {
				q.Backups = append(q.Backups, did.Plan.Backups[i])
			}
		}
	}
	if p.dryRun {
		plan, err := retire.Look(ctx, connected, q)
		if err == nil {
			did.Cluster = &retire.Done{Plan: plan}
		}
		return err
	}
	q.Before = func(ctx context.Context, plan retire.Plan) error { return records.noteSnapshots(ctx, run, plan) }
	done, err := retire.Retire(ctx, connected, q)
	if done.Plan.Digest != "" {
		did.Cluster = &done
	}
	return err
}

// noteSnapshots writes into the record of each run what the plan gives up of it, before that is
// done, and what of it was found to be gone.
func (b *copyBook) noteSnapshots(ctx context.Context, run *Run, plan retire.Plan) error {
	n := notes{}
	for _, f := range plan.Given() {
		of := n.of(f.Subject)
		of.Snapshots = append(of.Snapshots, f.Name())
	}
	for _, o := range plan.Orphans {
		if o.Goes && o.Run != "" {
			of := n.of(o.Subject)
			of.Snapshots = append(of.Snapshots, plan.Namespace+"/"+o.Name)
		}
	}
	for _, c := range plan.Gone {
		of := n.of(c.Subject)
		of.Gone = append(of.Gone, c.Name())
	}
	return b.write(ctx, run, n, plan.Digest)
}

func tellSnapshots(did retire.Done, told *report.Pruning) {
	told.Snapshots = &report.Fates{Kind: "snapshot", Done: did.Done}
	told.Done = told.Done && did.Done
	for _, f := range did.Plan.Fates {
		why := f.Why
		switch {
		case f.Stored:
			why += "; what its class would keep goes, too"
		case f.Retained && !f.Keep:
			why += "; its class keeps the content and what the storage has of it"
		}
		told.Snapshots.All = append(told.Snapshots.All, report.Fate{
			App: f.App, Environment: f.Environment, Of: f.Snapshot.Claim, ID: string(f.Commit), Run: f.Run, Name: f.Snapshot.Name,
			Taken: f.Taken, Keep: f.Keep, Why: why,
		})
	}
	for _, o := range did.Plan.Orphans {
		told.Orphans = append(told.Orphans, report.Orphan{Kind: o.Kind, Name: o.Name, Why: o.Why, Goes: o.Goes})
	}
	for _, c := range did.Plan.Gone {
		told.Orphans = append(told.Orphans, report.Orphan{Kind: "recorded snapshot that is gone", Name: c.Name(), Why: "run " + c.Run})
	}
	if n := did.Plan.Elsewhere; n > 0 {
		told.Unseen = append(told.Unseen, fmt.Sprintf("%d recorded snapshots of other namespaces or clusters", n))
	}
}
