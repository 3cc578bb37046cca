// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	"github.com/knowngood/knowngood/pkg/release"
)

// Compare pairs the findings of two sides as a decision does with its baseline, and decides
// nothing.
func Compare(before, after *Baseline) release.Comparison {
	scans := make([]release.Scan, len(after.Scans))
	for i, s := range after.Scans {
		scans[i] = release.Scan{Tool: s.Tool, Category: s.Category, File: s.File, Completeness: s.Completeness, Rules: s.Rules}
	}
	there := map[finding]release.Judgement{}
	for _, j := range earlier(after.Judgements) {
		if j.Scan < 0 || j.Scan >= len(scans) || j.Finding.Baseline == release.BaselineAbsent {
			continue
		}
		s := &scans[j.Scan]
		there[finding{j.Scan, len(s.Findings)}] = j
		s.Findings = append(s.Findings, j.Finding)
	}
	d := &decider{policy: Default(), Request: Request{Scans: scans, Baseline: before}, decision: release.Decision{Scans: after.Scans}}
	d.compare()
	all := d.gone
	for at, j := range there {
		m := d.matches[at]
		j.Finding.Baseline, j.Match, j.MatchScore, j.Since = m.state, m.why, m.score, m.since
		all = append(all, j)
	}
	slices.SortFunc(all, d.byState)
	c := release.Comparison{Before: before.Name, After: after.Name, Scans: after.Scans, Judgements: all}
	for i := range all {
		count(&c, &all[i])
	}
	return c
}

func count(c *release.Comparison, j *release.Judgement) {
	switch j.Finding.Baseline {
	case release.BaselineNew:
		c.New++
	case release.BaselineUpdated:
		c.Updated++
	case release.BaselineUnchanged:
		c.Unchanged++
	case release.BaselineAbsent:
		c.Absent++
		if j.Unseen {
			c.Unseen++
		}
	}
}

// byState orders what is compared: what is new first, then the worse.
func (d *decider) byState(a, b release.Judgement) int {
	state := func(j release.Judgement) int {
		return slices.Index([]release.Baseline{
			release.BaselineNew, release.BaselineUpdated, release.BaselineAbsent, release.BaselineUnchanged,
		}, j.Finding.Baseline)
	}
	return cmp.Or(
		cmp.Compare(state(a), state(b)),
		cmp.Compare(severityRank(d.policy.severity(&b.Finding)), severityRank(d.policy.severity(&a.Finding))),
		order(&a.Finding, &b.Finding), cmp.Compare(a.Scan, b.Scan), cmp.Compare(a.Because, b.Because), cmp.Compare(a.Match, b.Match),
	)
}
