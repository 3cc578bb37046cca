// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
)

// at is a time on the day of the records.
func at(hour int) time.Time { return time.Date(2026, 5, 1, hour, 0, 0, 0, time.UTC) }

// did is one run: what it did at which hours. A claim with a dash before it was not ready.
type did struct {
	run, commit           string
	snapshot, deploy      int
	claims                string
	decision              release.Outcome
	ended                 release.State
	afterwards, namespace string
}

func (d did) record() release.Record {
	r := release.Record{Subject: release.Subject{App: "shop", Environment: "production", Run: d.run, Commit: release.Commit(strings.Repeat(d.commit, 40))}}
	add := func(e release.Entry) { e.Subject = r.Subject; r.Entries = append(r.Entries, e) }
	if d.decision != "" {
		add(release.Entry{Step: "gate", Decision: &release.Decision{Outcome: d.decision}})
	}
	cut := func(names string, hour int) {
		p := &release.Protection{}
		for name := range strings.FieldsSeq(names) {
			ready := name[0] != '-'
			p.Snapshots = append(p.Snapshots, release.Snapshot{
				Namespace: "shop" + d.namespace, Claim: strings.Trim(name, "-"), Name: fmt.Sprintf("%s-%s-%d", name, d.run, hour), Ready: ready, Cut: at(hour),
			})
		}
		add(release.Entry{Step: "snapshot", Protection: p, Ended: at(hour)})
	}
	if d.claims != "" {
		cut(d.claims, d.snapshot)
	}
	if d.deploy > 0 {
		add(release.Entry{Step: "deploy-start", State: release.Started, Began: at(d.deploy)})
		if d.ended != "" {
			add(release.Entry{Step: "deploy-finish", State: d.ended, Began: at(d.deploy)})
		}
	}
	if d.afterwards != "" {
		cut(d.afterwards, 23)
	}
	return r
}

var history = []did{
	{run: "1", commit: "a", snapshot: 1, deploy: 2, claims: "db media", decision: release.Pass, ended: release.Done},
	{run: "2", commit: "b", snapshot: 3, deploy: 4, claims: "db", decision: release.Warn, ended: release.Failed},
	{run: "2-again", commit: "b", snapshot: 5, deploy: 6, claims: "db", decision: release.Warn, ended: release.Done},
	{run: "late", commit: "c", deploy: 7, afterwards: "db", decision: release.Fail, ended: release.Done},
	{run: "broken", commit: "d", snapshot: 8, claims: "-db"},
	{run: "elsewhere", commit: "e", snapshot: 9, claims: "db", namespace: "2"},
}

// The newest snapshots before a deploy are chosen, or those that are named; what is not one
// thing is an error that names what there is.
func TestChoose(t *testing.T) {
	t.Parallel()
	var records []release.Record
	for _, d := range history {
		records = append(records, d.record())
	}
	for name, test := range map[string]struct {
		wish restore.Wish
		want string // the snapshots, or the error
		says []string
	}{
		"the newest":         {restore.Wish{}, "db-2-again-5", nil},
		"a run":              {restore.Wish{Run: "2"}, "db-2-3", nil},
		"a commit":           {restore.Wish{Commit: "aaaa", Claims: []string{"media"}}, "media-1-1", nil},
		"several claims":     {restore.Wish{Run: "1", Claims: []string{"media", "db"}}, "db-1-1 media-1-1", nil},
		"a claim of few":     {restore.Wish{Claims: []string{"media"}}, "media-1-1", nil},
		"a late one by name": {restore.Wish{Run: "late"}, "db-late-23", nil},
		"which claim":        {restore.Wish{Run: "1"}, `run "1" has snapshotted 2 claims`, []string{"--claim", "db, media"}},
		"which run":          {restore.Wish{Commit: "bb"}, "2 runs have snapshots of commit bb", []string{"--run", "2-again (commit bbbbbbbbbbbb, 2026-05-01 05:00:00, db)", "2 (commit bbbbbbbbbbbb, 2026-05-01 03:00:00, db)"}},
		"a late one":         {restore.Wish{Commit: "cc"}, "no run of commit cc has left a snapshot in namespace shop", []string{"knowngood history"}},
		"not ready":          {restore.Wish{Run: "broken"}, `run "broken" has left a snapshot in namespace shop`, nil},
		"another namespace":  {restore.Wish{Run: "elsewhere"}, `run "elsewhere" has left`, nil},
		"absent claim":       {restore.Wish{Claims: []string{"x"}}, "no run has a snapshot of all of: x", []string{"2-again", "1 ("}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.wish.Namespace = "shop"
			got, err := restore.Choose(records, test.wish)
			if err != nil {
				if fault.StatusOf(err) != fault.Usage {
					t.Errorf("error %v, want one of usage", err)
				}
				mentions(t, "error", err.Error(), test.want)
				mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), test.says...)
				return
			}
			var names []string
			for _, s := range got.Snapshots {
				names = append(names, s.Name)
			}
			if diff := cmp.Diff(test.want, strings.Join(names, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Late != (test.wish.Run == "late") {
				t.Errorf("late: %v", got.Late)
			}
		})
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	got, err := restore.Choose([]release.Record{history[1].record()}, restore.Wish{})
	fatal(t, err)
	want := release.Lineage{Run: "2", Commit: release.Commit(strings.Repeat("b", 40)), Taken: at(3), Decision: release.Warn, DeployBegan: at(4), Deployed: release.Failed}
	if diff := cmp.Diff(want, got.Lineage); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What was saved of the snapshots comes with them, as the newest entry tells of it; what was saved
// once the deploy had begun does not.
func TestChooseKeepsWhatWasSaved(t *testing.T) {
	t.Parallel()
	record := did{run: "1", commit: "a", snapshot: 1, claims: "db"}.record()
	saved := func(id string, proved *release.Verification) release.Entry {
		return release.Entry{Copies: &release.Copies{Repository: "s3://backups", Backups: []release.Backup{{ID: id, Volume: "db", Verified: proved}}}}
	}
	proof := &release.Verification{Proved: true}
	record.Entries = append(record.Entries, saved("b1", nil), saved("b1", proof), release.Entry{Step: "deploy-start"}, saved("b2", nil))
	got, err := restore.Choose([]release.Record{record}, restore.Wish{})
	fatal(t, err)
	want := []release.Backup{{ID: "b1", Volume: "db", Verified: proof}}
	if diff := cmp.Diff(want, got.Backups); diff != "" || got.Lineage.Repository != "s3://backups" {
		t.Errorf("in %q (-want +got):\n%s", got.Lineage.Repository, diff)
	}
}

// What was found out of a backup after its run had deployed is told of it, too, and a copy under
// another key stands for it.
func TestChooseHearsOfWhatWasSavedLater(t *testing.T) {
	t.Parallel()
	record := did{run: "1", commit: "a", snapshot: 1, claims: "db"}.record()
	entry := func(step, place string, b release.Backup) release.Entry {
		b.Volume = "db"
		return release.Entry{Step: step, Copies: &release.Copies{Repository: place, Backups: []release.Backup{b}}}
	}
	record.Entries = append(record.Entries,
		entry("backup", "s3://old", release.Backup{ID: "b1"}), release.Entry{Step: "deploy-finish"},
		entry("backup-verify", "s3://old", release.Backup{ID: "b1", Verified: &release.Verification{}}))
	refuted, err := restore.Choose([]release.Record{record}, restore.Wish{})
	fatal(t, err)
	if len(refuted.Backups) != 1 || refuted.Backups[0].Verified == nil || refuted.Late {
		t.Errorf("that it is refuted is not told: %+v", refuted.Backups)
	}
	record.Entries = append(record.Entries, entry("key-rotate", "s3://new", release.Backup{ID: "c1", CopyOf: "b1"}),
		entry("backup-verify", "s3://new", release.Backup{ID: "x", Verified: &release.Verification{}}))
	rotated, err := restore.Choose([]release.Record{record}, restore.Wish{})
	fatal(t, err)
	if len(rotated.Backups) != 1 || rotated.Backups[0].ID != "c1" || rotated.Lineage.Repository != "s3://new" {
		t.Errorf("the copy is not told: %+v", rotated)
	}
}
