// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/knowngood/knowngood/pkg/release"
)

// A tally counts the judgements of a decision as people read them. What only the baseline had is
// no finding of this commit, whatever the policy says of it.
type tally struct {
	found        int // by the scans
	of           map[release.Verb]int
	gone, unseen int // of the baseline: looked for and not found, and not looked for
}

func tallyOf(d *release.Decision) tally {
	t := tally{of: map[release.Verb]int{}}
	for i := range d.Judgements {
		switch j := &d.Judgements[i]; {
		case !ofBaseline(j):
			t.found++
			t.of[j.Verb]++
		case j.Unseen:
			t.unseen++
		default:
			t.gone++
		}
	}
	return t
}

// ofBaseline tells whether no scan has the finding.
func ofBaseline(j *release.Judgement) bool {
	return j.Scan < 0 && j.Finding.Baseline == release.BaselineAbsent
}

// before tells what became of the baseline's findings that no scan has, "" for none of them.
func (t tally) before() string {
	switch {
	case t.gone > 0 && t.unseen > 0:
		return fmt.Sprintf("%s of the baseline gone, %s not looked for", thousands(t.gone), thousands(t.unseen))
	case t.gone > 0:
		return thousands(t.gone) + " of the baseline gone"
	case t.unseen > 0:
		return thousands(t.unseen) + " of the baseline not looked for"
	}
	return ""
}
