// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/retain"
	"github.com/knowngood/knowngood/pkg/step"
)

// Prune gives up the backups that the rules of retention do not keep.
type Prune struct {
	wanted  wanted
	catalog string
	rules   retain.Rules
	zone    string
	dryRun  bool
	plan    string
	timeout time.Duration
	locking locking
}

// Declare implements Step.
func (p *Prune) Declare(set *step.Set) {
	set.Name, set.Summary = "prune", "Give up the backups that the rules of retention do not keep, and free what only they held."
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
		"told; a backup that was recorded and is gone, without having been pruned, is an error."
	set.Example = "knowngood prune --app shop --repository s3://backups/shop\nknowngood prune --app shop --repository s3://backups/shop --dry-run=false --plan 3f2a9c0d11ee"
	set.Faces = []step.Face{step.CLI}
	p.wanted.declare(set)
	p.wanted.declareReach(set)
	set.Text(&p.catalog, "catalog", "",
		"Where the records lie: a folder, or s3://, gs:// or azblob:// with bucket and prefix; empty uses a folder of the user's own.", step.Fact())
	set.Int(&p.rules.Last, "keep-last", 7, "How many of the newest proved backups of a volume are kept.")
	set.Int(&p.rules.Daily, "keep-daily", 7, "For how many days that have a proved backup the newest of the day is kept.")
	set.Int(&p.rules.Weekly, "keep-weekly", 4, "The same for weeks, which begin on Monday.")
	set.Int(&p.rules.Monthly, "keep-monthly", 12, "The same for months.")
	set.Int(&p.rules.Yearly, "keep-yearly", 3, "The same for years.")
	set.Text(&p.zone, "time-zone", "UTC", "Where days begin at midnight, e.g. Europe/Berlin.")
	set.Bool(&p.dryRun, "dry-run", true, "Show the plan and change nothing.")
	set.Text(&p.plan, "plan", "", "Digest of the plan that may be carried out, as a dry run showed it; empty carries out the plan of the moment.")
	set.Duration(&p.timeout, "timeout", 10*time.Minute, "How long to wait for another prune of the repository to end.")
	p.locking.declare(set)
	set.Output("plan", "Digest of the plan.")
	set.Output("pruned", "How many backups the plan gives up, or gave up.")
}

// pruned is what the step prints as JSON.
type pruned struct {
	backup.Pruned
	DryRun bool `json:"dry_run"`
}

// Run implements Step.
func (p *Prune) Run(ctx context.Context, run *Run) error {
	query, err := p.wanted.query()
	if err != nil {
		return err
	}
	if query.Commit != "" {
		return fault.Usagef("commit %.80q: what is pruned is not chosen by commit", query.Commit)
	}
	zone, err := time.LoadLocation(p.zone)
	if err != nil {
		return fault.Hint(fault.Usagef("time-zone %.80q: %w", p.zone, err), "give one as UTC or Europe/Berlin")
	}
	if err := p.rules.Check(); err != nil {
		return err
	}
	if p.wanted.lock, err = p.locking.lock(); err != nil {
		return err
	}
	repository, err := p.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	q := backup.Pruning{Query: query, Rules: p.rules, Zone: zone, Plan: p.plan, Wait: p.timeout}
	records := &copyBook{place: place{app: query.App, source: p.wanted.source, catalog: p.catalog}}
	if p.dryRun {
		plan, err := repository.Plan(ctx, q)
		if err != nil {
			return err
		}
		missing := records.compare(ctx, run, &plan)
		return errors.Join(missing, p.tell(run, backup.Pruned{Plan: plan}))
	}
	var missing error
	q.Before = func(ctx context.Context, plan backup.Plan) error {
		missing = records.compare(ctx, run, &plan)
		return records.note(ctx, run, plan)
	}
	did, err := repository.Prune(ctx, q)
	if did.Plan.Digest == "" {
		return err
	}
	did.Plan.Orphans = append(did.Plan.Orphans, records.found...)
	return errors.Join(err, missing, p.tell(run, did))
}

func (p *Prune) tell(run *Run, did backup.Pruned) error {
	run.Result(pruned{did, p.dryRun})
	fates := make([]report.Fate, len(did.Plan.Fates))
	for i, f := range did.Plan.Fates {
		fates[i] = report.Fate{Backup: did.Plan.Backups[i], Keep: f.Keep, Why: f.Why}
	}
	told := report.Pruning{Fates: fates, Plan: did.Plan.Digest, Done: did.Done}
	for _, o := range did.Plan.Orphans {
		told.Orphans = append(told.Orphans, report.Orphan{Kind: o.Kind, Name: o.Name, Goes: o.Goes})
	}
	if u := did.Upkeep; u.Ran {
		told.Upkeep = &report.Upkeep{
			Objects: u.FreedObjects - u.LockedObjects, Freed: u.FreedBytes, Unused: u.UnusedBytes, Locked: u.LockedObjects, Prolonged: u.Prolonged,
		}
	} else {
		told.Postponed = u.Postponed
	}
	run.Show(report.PrunePlan(told))
	return errors.Join(
		run.Host.Output("plan", did.Plan.Digest),
		run.Host.Output("pruned", strconv.Itoa(len(did.Plan.Gone()))))
}
