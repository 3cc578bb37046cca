// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/release"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func score(s float64) *float64 { return &s }

// finding returns an error-level finding without a score, changed by the given functions.
func finding(change ...func(*release.Finding)) release.Finding {
	f := release.Finding{
		Tool: "gosec", Rule: "G201", Message: "SQL", Level: release.LevelError, Kind: release.KindFail,
		Severity: release.SeverityUnknown, CWE: []int{89}, Location: release.Location{Path: "store/search.go", Line: 10},
		Fingerprint: "f1", FingerprintKind: "context",
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

func scored(s float64) func(*release.Finding) {
	return func(f *release.Finding) {
		f.Score, f.Severity, f.Level = score(s), release.SeverityOf(s), release.LevelNote
	}
}

func scan(findings ...release.Finding) release.Scan {
	return release.Scan{
		File: "gosec.sarif", Tool: "gosec", Completeness: release.ScanComplete, Rules: []string{"G201"},
		Ended: now.Add(-time.Hour), Findings: findings,
	}
}

func with(change func(*release.Scan), findings ...release.Finding) release.Scan {
	s := scan(findings...)
	change(&s)
	return s
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		policy  string
		request policy.Request
		want    release.Outcome
		risk    release.Risk
		because string // part of the first reason
	}{
		{"no scan", "", policy.Request{}, release.Fail, release.RiskNone, "no scan"},
		{"clean", "", policy.Request{Scans: []release.Scan{scan()}}, release.Pass, release.RiskNone, "1 scans, no findings"},
		{"score 7.0", "", policy.Request{Scans: []release.Scan{scan(finding(scored(7)))}}, release.Fail, release.RiskHigh, "built-in: score 7.0 is at least 7.0"},
		{"score 6.9", "", policy.Request{Scans: []release.Scan{scan(finding(scored(6.9)))}}, release.Warn, release.RiskMedium, "score 6.9 is at least 4.0"},
		{"score 3.9", "", policy.Request{Scans: []release.Scan{scan(finding(scored(3.9)))}}, release.Pass, release.RiskLow, "none above"},
		{"a score wins over the level", "", policy.Request{Scans: []release.Scan{scan(finding(scored(3), func(f *release.Finding) { f.Level = release.LevelError }))}}, release.Pass, release.RiskLow, ""},
		{"level error without a score", "", policy.Request{Scans: []release.Scan{scan(finding())}}, release.Fail, release.RiskHigh, "level error, and no score"},
		{"level warning without a score", "", policy.Request{Scans: []release.Scan{scan(finding(func(f *release.Finding) { f.Level = release.LevelWarning }))}}, release.Warn, release.RiskMedium, "level warning"},
		{"level note", "", policy.Request{Scans: []release.Scan{scan(finding(func(f *release.Finding) { f.Level = release.LevelNote }))}}, release.Pass, release.RiskLow, ""},
		{"kind pass", "", policy.Request{Scans: []release.Scan{scan(finding(func(f *release.Finding) { f.Kind, f.Level = release.KindPass, release.LevelNone }))}}, release.Pass, release.RiskNone, ""},
		{"kind review", "", policy.Request{Scans: []release.Scan{scan(finding(func(f *release.Finding) { f.Kind, f.Level = release.KindReview, release.LevelNone }))}}, release.Warn, release.RiskNone, "nobody knows"},
		{"suppressed", "", policy.Request{Scans: []release.Scan{scan(finding(suppressed))}}, release.Pass, release.RiskNone, ""},
		{"suppressions do not count", "gate: {suppressions: none}", policy.Request{Scans: []release.Scan{scan(finding(suppressed))}}, release.Fail, release.RiskNone, "level error"},
		{"only external suppressions count", "gate: {suppressions: external}", policy.Request{Scans: []release.Scan{scan(finding(suppressed))}}, release.Fail, release.RiskNone, "level error"},
		{"absent results", "", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanAbsent })}}, release.Fail, release.RiskNone, "the scan did not happen"},
		{"incomplete", "", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanIncomplete })}}, release.Fail, release.RiskMedium, "incomplete"},
		{"incomplete may warn", "gate: {incomplete: warn}", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanIncomplete })}}, release.Warn, release.RiskMedium, "p:1: gosec in gosec.sarif is incomplete"},
		{"unstated", "", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanUnknown })}}, release.Pass, release.RiskNone, ""},
		{"unstated may block", "gate: {unstated: block}", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanUnknown })}}, release.Fail, release.RiskNone, "does not say how it ended"},
		{"completeness of another world", "", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = "splendid" })}}, release.Fail, release.RiskNone, "not known"},
		{"audit lowers findings", "", policy.Request{Mode: release.Audit, Scans: []release.Scan{scan(finding())}}, release.Warn, release.RiskHigh, "audit: "},
		{"audit does not lower an unusable scan", "", policy.Request{Mode: release.Audit, Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanUnusable })}}, release.Fail, release.RiskNone, "unusable"},
		{"audit does not lower an incomplete scan", "gate: {mode: audit}", policy.Request{Scans: []release.Scan{with(func(s *release.Scan) { s.Completeness = release.ScanIncomplete })}}, release.Fail, release.RiskMedium, "incomplete"},
		{"another commit", "", policy.Request{Commit: release.Commit(strings.Repeat("a", 40)), Scans: []release.Scan{with(func(s *release.Scan) { s.Commit = release.Commit(strings.Repeat("b", 40)) })}}, release.Fail, release.RiskNone, "scanned commit bbbbbbbbbbbb, not aaaaaaaaaaaa"},
		{"required tool is missing", "gate: {require: [{tool: semgrep}]}", policy.Request{Scans: []release.Scan{scan()}}, release.Fail, release.RiskNone, "no scan is from it"},
		{"required tool in other letters", "gate: {require: [{tool: GoSec, rules: [G201], max-age: 2h}]}", policy.Request{Now: now, Scans: []release.Scan{scan()}}, release.Pass, release.RiskNone, ""},
		{"required rule was not on", "gate: {require: [{tool: gosec, rules: [G999]}]}", policy.Request{Scans: []release.Scan{scan()}}, release.Fail, release.RiskNone, "rule G999"},
		{"required scan is too old", "gate: {require: [{tool: gosec, max-age: 30m}]}", policy.Request{Now: now, Scans: []release.Scan{scan()}}, release.Fail, release.RiskNone, "ended 1h0m0s ago"},
		{"required scan without an age", "gate: {require: [{tool: gosec, max-age: 30m}]}", policy.Request{Now: now, Scans: []release.Scan{with(func(s *release.Scan) { s.Ended = time.Time{} })}}, release.Fail, release.RiskNone, "does not say when"},
		{"the first rule counts", "gate: {rules: [{cwe: 89, then: warn}, {tool: gosec, then: allow}]}", policy.Request{Scans: []release.Scan{scan(finding())}}, release.Warn, release.RiskHigh, "p:1"},
		{"a rule by path", "gate: {rules: [{path: 'store/**', then: allow, reason: old}]}", policy.Request{Scans: []release.Scan{scan(finding())}}, release.Pass, release.RiskHigh, ""},
		{"a rule by path and no place", "gate: {rules: [{path: '**', then: allow}]}", policy.Request{Scans: []release.Scan{scan(finding(func(f *release.Finding) { f.Location = release.Location{} }))}}, release.Fail, release.RiskHigh, "level error"},
		{"waived", waiver("2026-06-01"), policy.Request{Now: now, Scans: []release.Scan{scan(finding())}}, release.Pass, release.RiskHigh, ""},
		{"expired", waiver("2026-05-31"), policy.Request{Now: now, Scans: []release.Scan{scan(finding(scored(1)))}}, release.Fail, release.RiskLow, "expired on 2026-05-31"},
		{"within the budget", "gate: {budgets: [{severity: low, at-most: 1}]}", policy.Request{Scans: []release.Scan{scan(finding(scored(1)))}}, release.Pass, release.RiskLow, ""},
		{"over the budget", "gate: {budgets: [{severity: low, at-most: 0}]}", policy.Request{Scans: []release.Scan{scan(finding(scored(1)))}}, release.Fail, release.RiskLow, "at most 0"},
		{"new only, old finding", "gate: {new-only: true}", policy.Request{Baseline: &policy.Baseline{Name: "base", Findings: []release.Finding{finding()}}, Scans: []release.Scan{scan(finding())}}, release.Warn, release.RiskHigh, "not new: base had it"},
		{"new only, moved finding", "gate: {new-only: true}", policy.Request{Baseline: &policy.Baseline{Name: "base", Findings: []release.Finding{finding()}}, Scans: []release.Scan{scan(finding(func(f *release.Finding) { f.Location.Path, f.Location.Line = "shop/search.go", 40 }))}}, release.Warn, release.RiskHigh, "the same context fingerprint"},
		{"new only, a second copy", "gate: {new-only: true}", policy.Request{Baseline: &policy.Baseline{Name: "base", Findings: []release.Finding{finding()}}, Scans: []release.Scan{scan(finding(), finding())}}, release.Fail, release.RiskHigh, "level error"},
		{"new only without a baseline", "gate: {new-only: true}", policy.Request{Scans: []release.Scan{scan(finding())}}, release.Fail, release.RiskHigh, "level error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := policy.Parse("p", []byte(test.policy))
			if err != nil {
				t.Fatal(err)
			}
			if test.policy == "" {
				p = policy.Default()
			}
			got := p.Decide(test.request)
			if got.Outcome != test.want || got.Risk != test.risk || !strings.Contains(got.Reasons[0], test.because) {
				t.Errorf("%s, risk %s, because %q; want %s, risk %s, because %q",
					got.Outcome, got.Risk, got.Reasons, test.want, test.risk, test.because)
			}
		})
	}
}

func suppressed(f *release.Finding) {
	f.Suppressions = release.Suppressions{{Kind: release.SuppressionInSource, Status: release.SuppressionAccepted}}
	f.Suppressed = true
}

func waiver(expires string) string {
	return "gate: {waivers: [{rule: G2*, owner: anna, reason: tested, expires: " + expires + "}]}"
}

func TestWaiversTellWhatTheyDid(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse("p", []byte("gate:\n  waivers:\n  - {rule: G201, owner: anna, reason: a, expires: 2026-06-11}\n  - {rule: G999, owner: ben, reason: b, expires: 2026-05-30}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := p.Decide(policy.Request{Now: now, Scans: []release.Scan{scan(finding())}}).Waivers
	want := []release.WaiverUse{
		{Waiver: "p:3: rule G201", Owner: "anna", Findings: 1, DaysLeft: 10},
		{Waiver: "p:4: rule G999", Owner: "ben", DaysLeft: -2, Expired: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waivers (-want +got):\n%s", diff)
	}
}

func TestAbsentFindingsAreToldOfToolsThatScanned(t *testing.T) {
	t.Parallel()
	other := finding(func(f *release.Finding) { f.Tool = "semgrep" })
	got := policy.Default().Decide(policy.Request{
		Baseline: &policy.Baseline{Name: "base", Findings: []release.Finding{finding(), other}}, Scans: []release.Scan{scan()},
	})
	if got.Outcome != release.Pass || len(got.Judgements) != 1 || got.Judgements[0].Finding.Tool != "gosec" ||
		got.Judgements[0].Finding.Baseline != release.BaselineAbsent || got.Judgements[0].Scan != -1 {
		t.Errorf("%s, %+v", got.Outcome, got.Judgements)
	}
}

// TestTheOrderOfFilesDoesNotMatter decides the same scans in many orders.
func TestTheOrderOfFilesDoesNotMatter(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse("p", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var scans []release.Scan
		for i := range dice.IntN(5) {
			var findings []release.Finding
			for range dice.IntN(6) {
				findings = append(findings, finding(scored(float64(dice.IntN(11))), func(f *release.Finding) {
					f.Rule = []string{"G201", "G304", "G401"}[dice.IntN(3)]
					f.Location.Line = dice.IntN(4)
				}))
			}
			scans = append(scans, with(func(s *release.Scan) {
				s.File = string(rune('a'+i)) + ".sarif"
				s.Tool = []string{"gosec", "semgrep"}[dice.IntN(2)]
			}, findings...))
		}
		request := policy.Request{Now: now, Scans: scans}
		want := p.Decide(request)
		request.Scans = slices.Clone(scans)
		dice.Shuffle(len(scans), func(i, j int) {
			request.Scans[i], request.Scans[j] = request.Scans[j], request.Scans[i]
		})
		if diff := cmp.Diff(want, p.Decide(request)); diff != "" {
			t.Fatalf("another order, another decision (-want +got):\n%s", diff)
		}
	}
}
