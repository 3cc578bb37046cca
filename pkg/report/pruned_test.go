// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

// Nobody is told the way back to a snapshot that is not there any more.
func TestASnapshotThatIsGoneIsNoWayBack(t *testing.T) {
	t.Parallel()
	for want, pruned := range map[string]*release.Pruned{
		"a prune gave it up":                  {Snapshots: []string{"shop/cut"}},
		"it is gone, and no prune gave it up": {Gone: []string{"shop/cut"}},
	} {
		record := release.Record{Entries: []release.Entry{
			{Step: "snapshot", State: release.Done, Protection: &release.Protection{Snapshots: []release.Snapshot{
				{Namespace: "shop", Claim: "data", Name: "cut", Ready: true, Consistency: release.ConsistencyCrash},
			}}},
			{Step: "prune", State: release.Done, Pruned: pruned},
		}}
		text, page := report.Text(record, report.Options{}), report.Comment(record, report.Options{})
		if !strings.Contains(strings.Join(strings.Fields(text), " "), "! no way back shop/cut claim data, "+want) {
			t.Errorf("told as %s", text)
		}
		if !strings.Contains(page, want) || strings.Contains(page, "knowngood restore") {
			t.Errorf("commented as %s", page)
		}
		if text := report.History([]release.Record{record}); !strings.Contains(text, " 0/1 ") {
			t.Errorf("listed as %s", text)
		}
	}
}

// A plan says what was not looked at, and stays within a terminal's width whatever names it has.
func TestAPlanIsReadOnATerminal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a-very-long-name-", 20) + "\x1b[31m"
	text := report.PrunePlan(report.Pruning{
		Snapshots: &report.Fates{Kind: "snapshot", All: []report.Fate{
			{App: "shop", Environment: long, Of: long, ID: long, Run: long, Name: long, Taken: time.Unix(0, 0), Why: long},
		}},
		Orphans: []report.Orphan{{Kind: "snapshot that no record names", Name: long, Why: long}},
		Unseen:  []string{"backups: no repository is given"}, Plan: "012345678901",
	})
	for line := range strings.Lines(text) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
			t.Errorf("%d columns: %s", len([]rune(line))-1, line)
		}
	}
	for _, want := range []string{"! not looked at", "0 snapshots kept, 1 snapshot given up", "Nothing is"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("%q is not said: %s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("a name obeys")
	}
}
