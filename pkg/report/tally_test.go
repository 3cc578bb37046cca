// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
)

// TestWhatOnlyTheBaselineHadIsNoFinding: 0 findings of a scan and 2 that are allowed contradict
// each other.
func TestWhatOnlyTheBaselineHadIsNoFinding(t *testing.T) {
	t.Parallel()
	gone := release.Judgement{Finding: release.Finding{Tool: "t", Rule: "R1", Baseline: release.BaselineAbsent}, Scan: -1, Verb: release.Allow, Because: "built-in: gone since release 1"}
	unseen := gone
	unseen.Unseen = true
	there := release.Judgement{Finding: release.Finding{Tool: "t", Rule: "R2"}, Verb: release.Allow}
	told := there // the tool itself says that it is there no more
	told.Finding.Baseline = release.BaselineAbsent
	for name, test := range map[string]struct {
		judgements        []release.Judgement
		words, text, page string
	}{
		"gone":     {[]release.Judgement{gone}, "no findings", "1 of the baseline gone", "Findings: 1 of the baseline gone"},
		"unseen":   {[]release.Judgement{unseen, unseen}, "no findings", "2 of the baseline not looked for", "Findings: 2 of the baseline not looked for"},
		"of both":  {[]release.Judgement{gone, unseen}, "no findings", "1 of the baseline gone, 1 not looked for", "Findings: 1 of the baseline gone, 1 not looked for"},
		"and more": {[]release.Judgement{there, gone}, "1 finding, none blocks", "1 allowed, 1 of the baseline gone", "1 finding that does not block: 1 allowed, 1 of the baseline gone"},
		"a tool's": {[]release.Judgement{told}, "1 finding, none blocks", "1 allowed", "1 finding that does not block: 1 allowed"},
	} {
		d := &release.Decision{Outcome: release.Pass, Judgements: test.judgements}
		if _, words := decisionWords(d); !strings.HasSuffix(words, "scans, "+test.words) {
			t.Errorf("%s: in words %q", name, words)
		}
		record := release.Record{Entries: []release.Entry{{Step: "gate", State: release.Done, Decision: d}}}
		if text := Text(record, Options{}); !strings.Contains(text, "  besides         "+test.text+"\n") {
			t.Errorf("%s: lacks %q:\n%s", name, test.text, text)
		}
		page := Comment(record, Options{})
		if !strings.Contains(page, "<summary>"+test.page+"</summary>") {
			t.Errorf("%s: lacks %q:\n%s", name, test.page, page)
		}
		if strings.Contains(page, "allowed: built-in: gone") {
			t.Errorf("%s: what is gone is allowed:\n%s", name, page)
		}
	}
}
