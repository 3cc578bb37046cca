// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/retain"
	"github.com/knowngood/knowngood/pkg/retire"
	"github.com/knowngood/knowngood/pkg/step"
)

// Prune gives up the backups and snapshots that the rules of retention do not keep.
type Prune struct {
	wanted  wanted
	catalog string
	rules   retain.Rules
	zone    string
	dryRun  bool
	plan    string
	timeout time.Duration
	locking locking

	snapshots, orphans, stored bool
}

// Declare implements Step.
func (p *Prune) Declare(set *step.Set) {
	set.Name, set.Summary = "prune", "Give up the backups and VolumeSnapshots that the rules of retention do not keep, and free what only they held."
	set.Long = "Without --dry-run=false it shows the plan and changes nothing; with --plan and the\n" +
		"digest that it showed, that plan is carried out and no other.\n\n" +
		"Only backups that came back whole in a test restore fill the places that the rules\n" +
		"give. They are filled once more by those and the ones that nobody tried together:\n" +
		"an untried backup never pushes a proved one out. The newest proved backup of a\n" +
		"volume always stays, and all that is newer; where none is proved, all stay. So do backups on hold, and those that a restore or a verify reads.\n\n" +
		"A pruned backup is gone from the list at once. Its content is freed by later prunes:\n" +
		"with one a day about the third day after, because saves and restores that began\n" +
		"before may still count on it. Maintenance does not begin while anybody else is at\n" +
		"work in the repository. What the catalog and the repository do not both know is\n" +
		"told; a backup that was recorded and is gone, without having been pruned, is an error.\n\n" +
		"With --volume-snapshots the same rules decide of the VolumeSnapshots in the namespace\n" +
		"that the catalog names, for each claim apart; what proves one is that it is ready and\n" +
		"bound. Backups are then looked at where --repository is given. Besides what the rules\n" +
		"keep, those stay that are on hold, that a claim or a restore is made from, that a run\n" +
		"took which has not ended, that lead back behind a deploy that did not succeed, and\n" +
		"that are the only proved copy of a claim in a release of which other copies stay."
	set.Example = "knowngood prune --app shop --repository s3://backups/shop\n" +
		"knowngood prune --app shop --repository s3://backups/shop --dry-run=false --plan 3f2a9c0d11ee\n" +
		"knowngood prune --app shop --namespace shop --volume-snapshots --keep-last 3"
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	p.wanted.declareWhose(set)
	set.Text(&p.wanted.volume, "volume", "", volumeDoc)
	p.wanted.declareConfig(set)
	p.wanted.declareReach(set)
	set.Text(&p.catalog, "catalog", "",
		"Where the records lie: a folder, or s3://, gs:// or azblob:// with bucket and prefix; empty uses a folder of the user's own.", step.Fact())
	set.Int(&p.rules.Last, "keep-last", 7, "How many of the newest proved copies of a volume are kept.")
	set.Int(&p.rules.Daily, "keep-daily", 7, "For how many days that have a proved copy the newest of the day is kept.")
	set.Int(&p.rules.Weekly, "keep-weekly", 4, "The same for weeks, which begin on Monday.")
	set.Int(&p.rules.Monthly, "keep-monthly", 12, "The same for months.")
	set.Int(&p.rules.Yearly, "keep-yearly", 3, "The same for years.")
	set.Text(&p.zone, "time-zone", "UTC", "Where days begin at midnight, e.g. Europe/Berlin.")
	set.Bool(&p.dryRun, "dry-run", true, "Show the plan and change nothing.")
	set.Text(&p.plan, "plan", "", "Digest of the plan that may be carried out, as a dry run showed it; empty carries out the plan of the moment.")
	set.Duration(&p.timeout, "timeout", 10*time.Minute, "How long to wait for another prune to end, and for the cluster to delete what it is told to.")
	p.locking.declare(set)
	p.declareSnapshots(set)
	set.Output("plan", "Digest of the plan.")
	set.Output("pruned", "How many backups the plan gives up, or gave up.")
	set.Output("pruned-snapshots", "How many VolumeSnapshots the plan gives up, or gave up.")
}

// pruned is what the step prints as JSON; what nobody looked at is not in it.
type pruned struct {
	*backup.Pruned
	Cluster *retire.Done `json:"cluster,omitempty"`
	DryRun  bool         `json:"dry_run"`

	// unseen says what was not looked at.
	unseen []string
}

// Run implements Step.
func (p *Prune) Run(ctx context.Context, run *Run) error {
	query, err := p.wanted.query()
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(p.zone)
	if err != nil {
		return fault.Hint(fault.Usagef("time-zone %.80q: %w", p.zone, err), "give one as UTC or Europe/Berlin")
	}
	if p.wanted.lock, err = p.locking.lock(); err != nil {
		return err
	}
	ofBackups, ofSnapshots, err := p.plans()
	if err = errors.Join(p.rules.Check(), p.check(query), err); err != nil {
		return err
	}
	did := pruned{DryRun: p.dryRun}
	records := &copyBook{place: place{app: query.App, source: p.wanted.source, catalog: p.catalog}}
	q := backup.Pruning{Query: query, Rules: p.rules, Zone: zone, Plan: ofBackups, Wait: p.timeout}
	failed := p.backups(ctx, run, records, q, &did)
	if did.Pruned == nil && failed != nil {
		return failed
	}
	if p.snapshots && (failed == nil || p.dryRun) {
		failed = errors.Join(failed, p.inCluster(ctx, run, records, q, ofSnapshots, &did))
	} else if p.snapshots {
		did.unseen = append(did.unseen, "snapshots: while a backup is missing, or the prune of backups did not end well, they may be the last copies")
	} else {
		did.unseen = append(did.unseen, "the cluster's VolumeSnapshots: --volume-snapshots is not given")
	}
	return errors.Join(failed, p.tell(run, did))
}

// backups plans or prunes those in the repository. The error may come with what was done.
func (p *Prune) backups(ctx context.Context, run *Run, records *copyBook, q backup.Pruning, did *pruned) error {
	if p.snapshots && p.wanted.repository == "" {
		did.unseen = append(did.unseen, "backups: beside --volume-snapshots they are looked at where --repository is given")
		return nil
	}
	repository, err := p.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	if p.dryRun {
		plan, err := repository.Plan(ctx, q)
		if err != nil {
			return err
		}
		missing := records.compare(ctx, run, &plan)
		did.Pruned = &backup.Pruned{Plan: plan}
		return missing
	}
	var missing error
	q.Before = func(ctx context.Context, plan backup.Plan) error {
		missing = records.compare(ctx, run, &plan)
		return records.note(ctx, run, plan)
	}
	done, err := repository.Prune(ctx, q)
	if done.Plan.Digest == "" {
		return err
	}
	done.Plan.Orphans = append(done.Plan.Orphans, records.found...)
	did.Pruned = &done
	return errors.Join(err, missing)
}

// tell shows what was planned or done, and hands its numbers on.
func (p *Prune) tell(run *Run, did pruned) error {
	run.Result(did)
	told := report.Pruning{Unseen: did.unseen, Done: true}
	var plans []string
	var backups int
	if did.Pruned != nil {
		plans, backups = append(plans, did.Plan.Digest), len(did.Plan.Gone())
		p.tellBackups(*did.Pruned, &told)
	}
	snapshots := 0
	if did.Cluster != nil {
		plans, snapshots = append(plans, did.Cluster.Plan.Digest), len(did.Cluster.Plan.Given())
		tellSnapshots(*did.Cluster, &told)
	}
	told.Plan = strings.Join(plans, planSeparator)
	run.Show(report.PrunePlan(told))
	return errors.Join(
		run.Host.Output("plan", told.Plan),
		run.Host.Output("pruned", strconv.Itoa(backups)),
		run.Host.Output("pruned-snapshots", strconv.Itoa(snapshots)))
}

func (*Prune) tellBackups(did backup.Pruned, told *report.Pruning) {
	told.Backups = &report.Fates{Kind: "backup", Done: did.Done}
	told.Done = told.Done && did.Done
	for i, f := range did.Plan.Fates {
		b := did.Plan.Backups[i]
		told.Backups.All = append(told.Backups.All, report.Fate{
			App: b.App, Environment: b.Environment, Of: b.Volume, ID: b.ID, Taken: b.Taken, Keep: f.Keep, Why: f.Why,
		})
	}
	for _, o := range did.Plan.Orphans {
		told.Orphans = append(told.Orphans, report.Orphan{Kind: o.Kind, Name: o.Name, Goes: o.Goes})
	}
	if u := did.Upkeep; u.Ran {
		told.Upkeep = &report.Upkeep{
			Objects: u.FreedObjects, Freed: u.FreedBytes, Unused: u.UnusedBytes, Locked: u.LockedObjects, LockedUntil: u.LockedUntil, Prolonged: u.Prolonged,
		}
	} else {
		told.Postponed = u.Postponed
	}
}
