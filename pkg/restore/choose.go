// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Wish says which snapshots are wanted. Empty fields ask for any.
type Wish struct {
	// Namespace is that of the claims that were snapshotted.
	Namespace string
	Run       string
	// Commit is a commit or the beginning of one.
	Commit string
	// Claims are those whose data is wanted; none asks for the one that the run has snapshotted.
	Claims []string
	// Whole asks for all that the run has snapshotted.
	Whole bool
}

// A Choice is the snapshots to restore and the run that they belong to, and what was saved of them.
type Choice struct {
	Lineage   release.Lineage
	Snapshots []release.Snapshot
	Backups   []release.Backup
	// Late is true of snapshots that were taken after the run's deploy had begun.
	Late bool
	// Manifests are what was kept beside the snapshots, nil for nothing.
	Manifests *release.Manifests
}

// choices is how many runs an error offers.
const choices = 8

// Choose picks, of records of one application and environment, the snapshots that are wanted.
// Where no run and no commit is named it is the newest ones that were taken before their run
// deployed. Several that fit equally well are an error of usage that names them.
func Choose(records []release.Record, w Wish) (Choice, error) {
	var fit, unfit []Choice
	for i := range records {
		c, ok := candidate(records[i], w)
		switch {
		case !ok:
		case c.covers(w.Claims):
			fit = append(fit, c)
		default:
			unfit = append(unfit, c)
		}
	}
	newest := func(a, b Choice) int {
		return cmp.Or(b.Lineage.Taken.Compare(a.Lineage.Taken), cmp.Compare(a.Lineage.Run, b.Lineage.Run))
	}
	sort.Slice(fit, func(i, j int) bool { return newest(fit[i], fit[j]) < 0 })
	sort.Slice(unfit, func(i, j int) bool { return newest(unfit[i], unfit[j]) < 0 })
	switch {
	case len(fit) == 0:
		return Choice{}, noneFits(w, unfit)
	case len(fit) > 1 && (w.Commit != "" || w.Run != ""):
		return Choice{}, fault.Hint(fault.Usagef("%d runs have snapshots of commit %s", len(fit), w.Commit),
			"name one of them with --run: %s", offered(fit))
	}
	if w.Whole {
		return fit[0], nil
	}
	return fit[0].only(w.Claims)
}

// candidate returns what a record offers. Snapshots that were taken when the deploy had begun
// are offered only where the run is named.
func candidate(record release.Record, w Wish) (Choice, bool) {
	if w.Run != "" && record.Run != w.Run || !hasPrefix(record.Commit, w.Commit) {
		return Choice{}, false
	}
	c := Choice{Lineage: lineage(record)}
	late := Choice{Lineage: c.Lineage, Late: true}
	deployed := false
	for i := range record.Entries {
		e := &record.Entries[i]
		deployed = deployed || e.Step == "deploy-start" || e.Step == "deploy-finish"
		into := &c
		if deployed {
			into = &late
		}
		into.saved(e.Copies)
		if deployed && release.Upkeep(e.Step) {
			c.heard(e.Copies)
		}
		if e.Protection == nil {
			continue
		}
		into.add(e, w.Namespace)
		if e.Protection.Manifests != nil {
			into.Manifests = e.Protection.Manifests
		}
	}
	if len(c.Snapshots) == 0 && w.Run != "" {
		c = late
	}
	return c, len(c.Snapshots) > 0
}

func (c *Choice) add(e *release.Entry, namespace string) {
	for _, s := range e.Protection.Snapshots {
		if !s.Ready || namespace != "" && s.Namespace != namespace {
			continue
		}
		c.Snapshots = slices.DeleteFunc(c.Snapshots, func(other release.Snapshot) bool { return other.Claim == s.Claim })
		c.Snapshots = append(c.Snapshots, s)
		if taken := when(s, e); c.Lineage.Taken.IsZero() || taken.Before(c.Lineage.Taken) {
			c.Lineage.Taken = taken
		}
	}
}

// saved adds the backups of an entry; a newer one of the same volume stands for the one before,
// e.g. the same once it was proved.
func (c *Choice) saved(copies *release.Copies) {
	if copies == nil {
		return
	}
	for _, b := range copies.Backups {
		c.Backups = slices.DeleteFunc(c.Backups, func(other release.Backup) bool { return other.Volume == b.Volume })
		c.Backups = append(c.Backups, b)
		c.Lineage.Repository = copies.Given()
	}
}

// heard takes what later work tells of backups that are known: how their proof ended, and where they
// lie under another key.
func (c *Choice) heard(copies *release.Copies) {
	if copies == nil {
		return
	}
	for _, b := range copies.Backups {
		at := slices.IndexFunc(c.Backups, func(known release.Backup) bool { return known.ID == b.ID || known.ID == b.CopyOf })
		if at >= 0 {
			c.Backups[at], c.Lineage.Repository = b, copies.Repository
		}
	}
}

func when(s release.Snapshot, e *release.Entry) time.Time {
	if s.Cut.IsZero() {
		return e.Ended
	}
	return s.Cut
}

// lineage gathers what a record says of its run.
func lineage(record release.Record) release.Lineage {
	l := release.Lineage{Run: record.Run, Commit: record.Commit}
	if gate := record.Last("gate"); gate != nil && gate.Decision != nil {
		l.Decision = gate.Decision.Outcome
	}
	for i := range record.Entries {
		e := &record.Entries[i]
		if l.DeployBegan.IsZero() && (e.Step == "deploy-start" || e.Step == "deploy-finish") {
			l.DeployBegan = e.Began
		}
	}
	if finish := record.Last("deploy-finish"); finish != nil {
		l.Deployed = finish.State
	}
	return l
}

func (c Choice) covers(claims []string) bool {
	for _, claim := range claims {
		if !slices.ContainsFunc(c.Snapshots, func(s release.Snapshot) bool { return s.Claim == claim }) {
			return false
		}
	}
	return true
}

// only returns the choice with the snapshots of the claims alone, in the order of their names.
func (c Choice) only(claims []string) (Choice, error) {
	sort.Slice(c.Snapshots, func(i, j int) bool { return c.Snapshots[i].Claim < c.Snapshots[j].Claim })
	if len(claims) == 0 && len(c.Snapshots) > 1 {
		return Choice{}, fault.Hint(fault.Usagef("run %q has snapshotted %d claims", c.Lineage.Run, len(c.Snapshots)),
			"say which are to be restored, each with --claim: %s", strings.Join(c.claims(), ", "))
	}
	if len(claims) > 0 {
		c.Snapshots = slices.DeleteFunc(c.Snapshots, func(s release.Snapshot) bool { return !slices.Contains(claims, s.Claim) })
	}
	return c, nil
}

func (c Choice) claims() []string {
	var names []string
	for _, s := range c.Snapshots {
		names = append(names, s.Claim)
	}
	slices.Sort(names)
	return names
}

// offered names runs in one line, the newest first.
func offered(from []Choice) string {
	var all []string
	for i, c := range from {
		if i == choices {
			all = append(all, fmt.Sprintf("and %d older ones", len(from)-i))
			break
		}
		all = append(all, fmt.Sprintf("%s (commit %s, %s, %s)", c.Lineage.Run, c.Lineage.Commit.Short(),
			c.Lineage.Taken.UTC().Format("2006-01-02 15:04:05"), strings.Join(c.claims(), " ")))
	}
	return strings.Join(all, "; ")
}

func noneFits(w Wish, unfit []Choice) error {
	what := "no run"
	if w.Run != "" {
		what = fmt.Sprintf("run %q", w.Run)
	}
	if w.Commit != "" {
		what += " of commit " + w.Commit
	}
	if len(unfit) > 0 {
		return fault.Hint(fault.Usagef("%s has a snapshot of all of: %s", what, strings.Join(w.Claims, ", ")),
			"what there is: %s", offered(unfit))
	}
	return fault.Hint(fault.Usagef("%s has left a snapshot in namespace %s that is ready and was taken before its deploy", what, w.Namespace),
		"see what there is with knowngood history; check --app, --environment, --namespace and --catalog, "+
			"and give --from-namespace or --from-environment where it had another name when the snapshot was taken")
}
