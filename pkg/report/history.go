// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// History returns a table of records for a terminal, one line each in the order given: when the
// run began, its commit, what the gate decided, how many snapshots and backups it kept, what it came to, and
// its name. Records of one application and environment stand under one heading.
func History(records []release.Record) string {
	p := &page{}
	if len(records) == 0 {
		return "no records\n"
	}
	p.line(historyLine("began (UTC)", "commit", "decision", "kept", "outcome", "run"))
	place := ""
	for _, record := range records {
		s := tell(record)
		here := name(record.App)
		if e := record.Environment; e != "" && e != release.NoEnvironment {
			here += " in " + name(e)
		}
		if here != place {
			place = here
			p.line(here)
		}
		began := "not known"
		if len(record.Entries) > 0 && !record.Entries[0].Began.IsZero() {
			began = record.Entries[0].Began.UTC().Format("2006-01-02 15:04")
		}
		p.line(historyLine(began, Clean(record.Commit.Short()), s.decisionText(), kept(record),
			s.mark.letter()+" "+s.word, cutFront(Clean(record.Run), 15)))
	}
	return p.String()
}

func historyLine(began, commit, decision, kept, outcome, run string) string {
	return "  " + strings.Join([]string{pad(began, 16), pad(commit, 12), pad(decision, 8), pad(kept, 5), pad(outcome, 17), run}, " ")
}

func (s story) decisionText() string {
	if o := s.outcome(); o != "" {
		return outcomeWord(o)
	}
	return "none"
}

// kept is how many of a run's snapshots are ready and of its backups whole, of how many.
func kept(record release.Record) string {
	good, all := 0, 0
	if e := record.Last("snapshot"); e != nil && e.Protection != nil {
		for _, t := range there(record, e.Protection.Snapshots) {
			if all++; t.Ready {
				good++
			}
		}
	}
	if e := record.Last("backup-save"); e != nil && e.Copies != nil {
		gone := givenUp(record)
		for _, b := range e.Copies.Backups {
			if all++; b.Whole() && !gone[b.ID] {
				good++
			}
		}
	}
	if all == 0 && record.Last("snapshot") == nil {
		return "–"
	}
	return fmt.Sprintf("%d/%d", good, all)
}
