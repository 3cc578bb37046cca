// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/knowngood/knowngood/pkg/release"
)

// textDifferences is how many findings of a state a comparison shows.
const textDifferences = 100

// Comparison returns a comparison as text for a terminal: how many findings are new, updated,
// gone and unchanged, and a table of those that differ, the worst first.
func Comparison(c release.Comparison) string {
	p := &page{}
	p.field("  before", Clean(c.Before))
	p.field("  after", Clean(c.After))
	p.field("  findings", fmt.Sprintf("%s new, %s updated, %s gone, %s unchanged",
		thousands(c.New), thousands(c.Updated), thousands(c.Absent-c.Unseen), thousands(c.Unchanged)))
	if c.Unseen > 0 {
		p.field("! not known", count(c.Unseen, "finding")+" not found now, and no whole scan says that it looked")
	}
	rows, shown := 0, map[release.Baseline]int{}
	for _, j := range c.Judgements {
		mark := map[release.Baseline]string{release.BaselineNew: "+", release.BaselineUpdated: "~", release.BaselineAbsent: "-"}[j.Finding.Baseline]
		if shown[j.Finding.Baseline]++; mark == "" || shown[j.Finding.Baseline] > textDifferences {
			continue
		}
		if j.Unseen {
			mark = "?"
		}
		rows++
		p.tableHead(rows)
		p.tableRow(mark, j.Finding)
		p.field("", cut(Clean(messageOf(j.Finding)), messageLength))
		if why := Clean(j.Match); why != "" && j.Finding.Baseline == release.BaselineUpdated {
			p.field("", "("+cut(why, messageLength)+")")
		}
	}
	if left := c.New + c.Updated + c.Absent - rows; left > 0 {
		p.blank()
		p.field("", "and "+thousands(left)+" more")
	}
	for _, s := range c.Scans {
		if s.Completeness != release.ScanComplete && s.Completeness != release.ScanUnknown {
			p.blank()
			p.scan(s)
		}
	}
	return p.String()
}
