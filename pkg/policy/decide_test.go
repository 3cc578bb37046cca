// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// made returns an error-level finding without a score, changed by the given functions.
func made(change ...func(*release.Finding)) release.Finding {
	f := release.Finding{
		Tool: "gosec", Rule: "G201", Message: "SQL", Level: release.LevelError, Kind: release.KindFail,
		Severity: release.SeverityUnknown, CWE: []int{89}, Location: release.Location{Path: "store/search.go", Line: 10},
		Fingerprint: "f1", FingerprintKind: "context", Likeness: "l1",
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

type change = func(*release.Finding)

func withScore(s float64) change {
	return func(f *release.Finding) { f.Score, f.Severity, f.Level = &s, release.SeverityOf(s), release.LevelNote }
}

func withLevel(l release.Level) change { return func(f *release.Finding) { f.Level = l } }

func withKind(k release.Kind, l release.Level) change {
	return func(f *release.Finding) { f.Kind, f.Level = k, l }
}

func withRule(id string) change { return func(f *release.Finding) { f.Rule = id } }

func withPath(path string) change { return func(f *release.Finding) { f.Location.Path = path } }

func withBaseline(b release.Baseline) change { return func(f *release.Finding) { f.Baseline = b } }

func suppressed(kind, status, why string) change {
	return func(f *release.Finding) {
		f.Suppressions = append(f.Suppressions, release.Suppression{Kind: kind, Status: status, Justification: why})
		f.Suppressed = f.Suppressions.Accepted()
	}
}

func scanned(findings ...release.Finding) release.Scan {
	return release.Scan{
		File: "gosec.sarif", Tool: "gosec", Completeness: release.ScanComplete, Rules: []string{"G201", "G304"},
		Ended: now.Add(-time.Hour), Findings: findings,
	}
}

func with(change func(*release.Scan), findings ...release.Finding) release.Scan {
	s := scanned(findings...)
	change(&s)
	return s
}

func state(c release.Completeness) func(*release.Scan) {
	return func(s *release.Scan) { s.Completeness = c }
}

func mustParse(t *testing.T, text string) *Policy {
	t.Helper()
	if text == "" {
		return Default()
	}
	p, err := Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func one(findings ...release.Finding) Request {
	return Request{Now: now, Scans: []release.Scan{scanned(findings...)}}
}

func scans(all ...release.Scan) Request { return Request{Now: now, Scans: all} }

const (
	pass = release.Pass
	warn = release.Warn
	fail = release.Fail
)

// A verdict is a row of the tables: what a policy decides about a request, and the beginning
// of the first reason.
type verdict struct {
	name    string
	policy  string
	request Request
	want    release.Outcome
	risk    release.Risk
	because string
}

func check(t *testing.T, tests []verdict) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := mustParse(t, test.policy).Decide(test.request)
			if got.Outcome != test.want || got.Risk != test.risk || !strings.HasPrefix(got.Reasons[0], test.because) {
				t.Errorf("%s, risk %s, because %q; want %s, risk %s, because %q…",
					got.Outcome, got.Risk, got.Reasons, test.want, test.risk, test.because)
			}
		})
	}
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	check(t, []verdict{
		{"no finding", "", one(), pass, "none", "built-in: nothing above the thresholds among 0 findings of 1 scans"},
		{"score 7.0", "", one(made(withScore(7))), fail, "high", "built-in: score 7.0 ≥ 7.0: gosec G201 at store/search.go:10"},
		{"score 6.9", "", one(made(withScore(6.9))), warn, "medium", "built-in: score 6.9 ≥ 4.0"},
		{"score 3.9", "", one(made(withScore(3.9))), pass, "low", "built-in: nothing"},
		{"score 9.0", "", one(made(withScore(9))), fail, "critical", "built-in: score 9.0 ≥ 7.0"},
		{"the score counts, not the level", "", one(made(withScore(3), withLevel("error"))), pass, "low", ""},
		{"score 0 says nothing", "", one(made(withScore(0), withLevel("error"))), fail, "high", "built-in: level error, the score 0 says nothing"},
		{"level error", "", one(made()), fail, "high", "built-in: level error, no score"},
		{"level warning", "", one(made(withLevel("warning"))), warn, "medium", "built-in: level warning, no score"},
		{"level note", "", one(made(withLevel("note"))), pass, "low", ""},
		{"level none", "", one(made(withLevel("none"))), pass, "none", ""},
		{"a finding without a place", "", one(made(func(f *release.Finding) { f.Location = release.Location{} })), fail, "high", "built-in: level error, no score: gosec G201"},
		{"a finding in a file", "", one(made(func(f *release.Finding) { f.Location.Line = 0 })), fail, "high", "built-in: level error, no score: gosec G201 at store/search.go"},
		{"own score", "gate: {fail: {score: 8.1}}", one(made(withScore(8))), warn, "high", "built-in: score 8.0 ≥ 4.0"},
		{"own score, reached", "gate: {fail: {score: 8.1}}", one(made(withScore(8.1))), fail, "high", "p:1: score 8.1 ≥ 8.1"},
		{"own severity", "gate: {fail: {severity: critical}}", one(made(withScore(8.9))), warn, "high", ""},
		{"own severity, reached", "gate: {fail: {severity: medium}}", one(made(withScore(4))), fail, "medium", "p:1: severity medium (score 4.0)"},
		{"own severity low", "gate: {fail: {severity: low}}", one(made(withScore(0.1))), fail, "low", "p:1: severity low (score 0.1)"},
		{"a score in the policy leaves the level", "gate: {fail: {score: 9}}", one(made()), fail, "high", "built-in: level error"},
		{"own level", "gate: {fail: {level: note}}", one(made(withLevel("note"))), fail, "low", "p:1: level note"},
		{"level off", "gate: {fail: {level: off}}", one(made()), warn, "high", "built-in: level error"},
		{"severity off", "gate: {fail: {severity: off}}", one(made(withScore(10))), warn, "critical", "built-in: score 10.0 ≥ 4.0"},
		{"severity off leaves the level", "gate: {fail: {severity: off}}", one(made()), fail, "high", "built-in: level error"},
		{"no warnings", "gate: {warn: {severity: off, level: off}}", one(made(withLevel("warning")), made(withScore(5))), pass, "medium", ""},
		{"what a level is worth", "gate: {severities: {error: critical}}", one(made()), fail, "critical", ""},
	})
}

func TestKindsAndStates(t *testing.T) {
	t.Parallel()
	check(t, []verdict{
		{"pass", "", one(made(withKind("pass", "none"))), pass, "none", ""},
		{"pass with its rule's score", "", one(made(withScore(9.8), withKind("pass", "none"))), pass, "none", ""},
		{"pass with a level that says otherwise", "", one(made(withKind("pass", "error"))), fail, "high", "built-in: level error"},
		{"pass with a warning", "", one(made(withKind("notApplicable", "warning"))), warn, "medium", "built-in: level warning"},
		{"pass with a note", "", one(made(withKind("pass", "note"))), pass, "none", ""},
		{"not applicable", "", one(made(withKind("notApplicable", "none"))), pass, "none", ""},
		{"informational", "", one(made(withKind("informational", "none"))), pass, "none", ""},
		{"informational with a level", "", one(made(withKind("informational", "error"))), fail, "high", "built-in: level error"},
		{"review", "", one(made(withKind("review", "none"))), warn, "none", "built-in: kind review: not known to be fine"},
		{"open may block", "gate: {open: block}", one(made(withKind("open", "none"))), fail, "none", "p:1: kind open"},
		{"open may be allowed", "gate: {open: allow}", one(made(withKind("open", "none"))), pass, "none", ""},
		{"open with a level", "gate: {open: allow}", one(made(withKind("open", "error"))), fail, "high", "built-in: level error"},
		{"absent", "", one(made(withBaseline("absent"))), pass, "none", ""},
		{"new", "", one(made(withBaseline("new"))), fail, "high", ""},
		{"unchanged", "", one(made(withBaseline("unchanged"))), fail, "high", ""},
	})
}

func TestSuppressions(t *testing.T) {
	t.Parallel()
	inSource, external := suppressed("inSource", "accepted", ""), suppressed("external", "accepted", "")
	justified := suppressed("external", "accepted", "a false alarm")
	check(t, []verdict{
		{"in source", "", one(made(inSource)), pass, "none", ""},
		{"external", "", one(made(external)), pass, "none", ""},
		{"rejected", "", one(made(suppressed("external", "rejected", ""))), fail, "high", ""},
		{"accepted and under review", "", one(made(inSource, suppressed("external", "underReview", ""))), fail, "high", ""},
		{"in source does not count", "gate: {suppressions: external}", one(made(inSource)), fail, "high", ""},
		{"external does not count", "gate: {suppressions: in-source}", one(made(external)), fail, "high", ""},
		{"external counts", "gate: {suppressions: external}", one(made(external)), pass, "none", ""},
		{"one of two counts", "gate: {suppressions: external}", one(made(inSource, external)), pass, "none", ""},
		{"a rejected one of a kind that does not count", "gate: {suppressions: external}", one(made(external, suppressed("inSource", "rejected", ""))), fail, "high", ""},
		{"none counts", "gate: {suppressions: none}", one(made(inSource, external)), fail, "high", ""},
		{"an unknown kind counts", "", one(made(suppressed("magic", "accepted", ""))), pass, "none", ""},
		{"an unknown kind needs all", "gate: {suppressions: external}", one(made(suppressed("magic", "accepted", ""))), fail, "high", ""},
		{"without a justification", "gate: {suppressions: {justification: required}}", one(made(inSource)), fail, "high", ""},
		{"with a justification", "gate: {suppressions: {justification: required}}", one(made(inSource, justified)), pass, "none", ""},
	})
}

func TestScans(t *testing.T) {
	t.Parallel()
	commit := release.Commit(strings.Repeat("a", 40))
	other := release.Commit(strings.Repeat("b", 40))
	of := func(c release.Commit, head release.Commit) Request {
		return Request{Commit: commit, Head: head, Now: now, Scans: []release.Scan{with(func(s *release.Scan) { s.Commit = c })}}
	}
	noted := func(s *release.Scan) { s.Completeness, s.Notes = "incomplete", []string{"out of memory"} }
	check(t, []verdict{
		{"no scan", "", Request{}, fail, "high", "built-in: no scan was given"},
		{"no scan in audit mode", "gate: {mode: audit}", Request{}, fail, "high", "built-in: no scan was given"},
		{"absent", "", scans(with(state("absent"))), fail, "high", "built-in: no results: gosec in gosec.sarif"},
		{"unusable", "", scans(with(state("unusable"))), fail, "high", "built-in: unusable scan: "},
		{"of another world", "", scans(with(state("splendid"))), fail, "high", "built-in: no results"},
		{"incomplete", "", scans(with(noted)), fail, "high", "built-in: incomplete scan: gosec in gosec.sarif: out of memory"},
		{"incomplete may warn", "gate: {incomplete: warn}", scans(with(noted)), warn, "none", "p:1: incomplete scan"},
		{"unstated", "", scans(with(state("unknown"))), pass, "none", ""},
		{"unstated may warn", "gate: {unstated: warn}", scans(with(state("unknown"))), warn, "none", "p:1: gosec in gosec.sarif does not say"},
		{"unstated may block", "gate: {unstated: block}", scans(with(state("unknown"))), fail, "high", "p:1: gosec in gosec.sarif does not say"},
		{"one good and one bad", "", scans(scanned(), with(state("absent"))), fail, "high", "built-in: no results"},
		{"audit lowers no unusable scan", "gate: {mode: audit}", scans(with(state("unusable"))), fail, "high", "built-in: unusable scan"},
		{"audit lowers no incomplete scan", "gate: {mode: audit}", scans(with(noted)), fail, "high", "built-in: incomplete scan"},
		{"of this commit", "", of(commit, ""), pass, "none", ""},
		{"of the head", "", of(other, other), pass, "none", ""},
		{"of another commit", "", of(other, ""), fail, "high", "built-in: gosec in gosec.sarif is of commit bbbbbbbbbbbb, not of this one"},
		{"of another commit may warn", "gate: {other-commit: warn}", of(other, ""), warn, "none", "p:1: gosec in gosec.sarif is of commit bbbbbbbbbbbb"},
		{"of another commit may be", "gate: {other-commit: allow}", of(other, ""), pass, "none", ""},
		{"with a category", "", scans(with(func(s *release.Scan) { s.Completeness, s.Category = "absent", "go" })), fail, "high", "built-in: no results: gosec (go) in gosec.sarif"},
	})
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	check(t, []verdict{
		{"missing", "gate: {require: [semgrep]}", one(), fail, "high", "p:1: required scan: no scan of semgrep"},
		{"missing in audit mode", "gate: {mode: audit, require: [semgrep]}", one(), fail, "high", "p:1: required scan"},
		{"there, in other letters", "gate: {require: [GoSec]}", one(), pass, "none", ""},
		{"by a pattern", "gate: {require: [{tool: 'go*'}]}", one(), pass, "none", ""},
		{"rules that were on", "gate: {require: [{tool: gosec, rules: [G201, 'G3*']}]}", one(), pass, "none", ""},
		{"a rule that was not on", "gate: {require: [{tool: gosec, rules: [G999]}]}", one(), fail, "high", "p:1: required scan: gosec in gosec.sarif has not evaluated rule G999"},
		{"young enough", "gate: {require: [{tool: gosec, max-age: 1h}]}", one(), pass, "none", ""},
		{"too old", "gate: {require: [{tool: gosec, max-age: 59m}]}", one(), fail, "high", "p:1: required scan: gosec in gosec.sarif ended 60 minutes ago, more than 59 minutes"},
		{"of no known age", "gate: {require: [{tool: gosec, max-age: 7d}]}", scans(with(func(s *release.Scan) { s.Ended = time.Time{} })), fail, "high", "p:1: required scan: gosec in gosec.sarif does not say when"},
		{"without results", "gate: {require: [gosec]}", scans(with(state("absent"))), fail, "high", "built-in: no results"},
		{"of a category", "gate: {require: [{tool: gosec, category: go}]}", scans(with(func(s *release.Scan) { s.Category = "go" })), pass, "none", ""},
		{"of another category", "gate: {require: [{tool: gosec, category: go}]}", one(), fail, "high", "p:1: required scan: no scan of gosec (go)"},
		{"one of two is enough", "gate: {require: [{tool: gosec, max-age: 2h}]}", scans(with(func(s *release.Scan) { s.Ended = time.Time{} }), scanned()), pass, "none", ""},
		{"of another commit is none", "gate: {other-commit: allow, require: [gosec]}", Request{Commit: "c", Now: now, Scans: []release.Scan{with(func(s *release.Scan) { s.Commit = "d" })}}, fail, "high", "p:1: required scan: gosec in gosec.sarif is of commit d"},
	})
}

func TestRules(t *testing.T) {
	t.Parallel()
	allow := func(condition string) string { return "gate: {rules: [{" + condition + ", then: allow}]}" }
	for condition, fits := range map[string]bool{
		"tool: gosec": true, "tool: GOSEC": true, "tool: 'go*'": true, "tool: semgrep": false,
		"rule: G201": true, "rule: 'G2*'": true, "rule: g201": false, "rule: [G1, G201]": true, "rule: G20": false,
		"path: store/search.go": true, "path: 'store/**'": true, "path: store/": true, "path: ./store/*.go": true, "path: '*.go'": false, "path: '**/*.go'": true, "path: stor": false,
		"cwe: 89": true, "cwe: CWE-89": true, "cwe: [1, cwe-89]": true, "cwe: 79": false,
		"severity: high": true, "severity: [low, high]": true, "severity: critical": false, "severity: unknown": true,
		"level: error": true, "level: warning": false, "kind: fail": true, "kind: open": false,
		"fingerprint: f1": true, "fingerprint: f": false, "secret: false": true, "secret: true": false,
		"category: go": true, "category: 'g*'": true, "category: java": false,
		"tool: gosec, rule: G201, cwe: 89": true, "tool: gosec, rule: G202": false, "tool: semgrep, rule: G201": false,
		"baseline: new": true, "baseline: unchanged": false,
	} {
		want := fail
		if fits {
			want = pass
		}
		request := scans(with(func(s *release.Scan) { s.Category = "go" }, made()))
		if got := mustParse(t, allow(condition)).Decide(request); got.Outcome != want {
			t.Errorf("%s: %s, want %s (%q)", condition, got.Outcome, want, got.Judgements[0].Because)
		}
	}
	nowhere := made(func(f *release.Finding) { f.Location = release.Location{} })
	check(t, []verdict{
		{"the first that fits counts", "gate: {rules: [{cwe: 89, then: warn}, {tool: gosec, then: allow}]}", one(made()), warn, "high", "p:1: CWE 89"},
		{"the reason is told", "gate: {rules: [{rule: G201, then: block, reason: 'never again'}]}", one(made(withScore(1))), fail, "low", "p:1: rule G201: never again: gosec G201"},
		{"no path fits no place", allow("path: '**'"), one(nowhere), fail, "high", "built-in"},
		{"a parent of the id fits", allow("rule: CA1000"), one(made(withRule("CA1000/1"))), pass, "none", ""},
		{"a rule is not excused", "gate: {new-only: true, rules: [{rule: G201, then: block}]}", one(made(withBaseline("unchanged"))), fail, "high", "p:1: rule G201"},
		{"an id with brackets", allow("rule: 'a[b]'"), one(made(withRule("a[b]"))), pass, "none", ""},
		{"allowed for being small still weighs", "", one(made(withScore(2))), pass, "low", ""},
		{"by its baseline", allow("baseline: unchanged"), one(made(withBaseline("unchanged"))), pass, "none", ""},
	})
}

func TestAudit(t *testing.T) {
	t.Parallel()
	check(t, []verdict{
		{"findings warn", "gate: {mode: audit}", one(made()), warn, "high", "audit: would block: built-in: level error"},
		{"the request wins over the file", "gate: {mode: audit}", Request{Mode: release.Enforce, Now: now, Scans: []release.Scan{scanned(made())}}, fail, "high", "built-in: level error"},
		{"the request sets it", "", Request{Mode: release.Audit, Now: now, Scans: []release.Scan{scanned(made())}}, warn, "high", "audit: would block"},
		{"budgets warn", "gate: {mode: audit, budgets: [{severity: low, at-most: 0}]}", one(made(withScore(1))), warn, "low", "audit: would fail: p:1: 1 findings of severity low"},
		{"expired waivers warn", "gate: {mode: audit, waivers: [{rule: G201, owner: a, reason: b, expires: 2026-05-31}]}", one(made()), warn, "high", "audit: would block: p:1: the waiver of a expired"},
	})
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	medium := made(withScore(5))
	check(t, []verdict{
		{"kept", "gate: {budgets: [{severity: medium, at-most: 2}]}", one(medium, medium), warn, "medium", "built-in: score 5.0"},
		{"exceeded", "gate: {budgets: [{severity: medium, at-most: 1}]}", one(medium, medium), fail, "medium", "p:1: 2 findings of severity medium, at most 1 are allowed"},
		{"by level", "gate: {budgets: [{severity: medium, at-most: 0}]}", one(made(withLevel("warning"))), fail, "medium", "p:1: 1 findings"},
		{"suppressed ones do not count", "gate: {budgets: [{severity: medium, at-most: 0}]}", one(made(withScore(5), suppressed("inSource", "accepted", ""))), pass, "none", ""},
		{"allowed ones do not count", "gate: {rules: [{rule: G201, then: allow}], budgets: [{severity: medium, at-most: 0}]}", one(medium), pass, "none", ""},
		{"small ones count", "gate: {budgets: [{severity: low, at-most: 0}]}", one(made(withScore(1))), fail, "low", "p:1: 1 findings of severity low"},
		{"waived ones do not count", "gate: {waivers: [{rule: G201, owner: a, reason: b, expires: 2027-01-01}], budgets: [{severity: medium, at-most: 0}]}", one(medium), pass, "medium", ""},
		{"of another severity", "gate: {budgets: [{severity: high, at-most: 0}]}", one(medium), warn, "medium", ""},
	})
}

func waiving(expires string) string {
	return "gate: {waivers: [{rule: G2*, owner: anna, reason: tested, expires: " + expires + "}]}"
}

func TestWaivers(t *testing.T) {
	t.Parallel()
	check(t, []verdict{
		{"holds on its last day", waiving("2026-06-01"), one(made()), pass, "high", "p: nothing above the thresholds"},
		{"has expired", waiving("2026-05-31"), one(made()), fail, "high", "p:1: the waiver of anna expired on 2026-05-31: tested: gosec G201"},
		{"expired blocks what would only warn", waiving("2026-05-31"), one(made(withScore(5))), fail, "medium", "p:1: the waiver of anna expired"},
		{"expired leaves alone what is allowed", waiving("2026-05-31"), one(made(withScore(1))), pass, "low", ""},
		{"one that holds wins over an expired one", "gate: {waivers: [{rule: G201, owner: a, reason: b, expires: 2026-01-01}, {path: store/, owner: c, reason: d, expires: 2026-07-01}]}", one(made()), pass, "high", ""},
		{"does not fit", waiving("2027-01-01"), one(made(withRule("G304"))), fail, "high", "built-in: level error"},
		{"unused is told, and no warning", waiving("2027-01-01"), one(), pass, "none", "unused waiver: rule G2* (p:1) of anna"},
	})
	p := mustParse(t, "gate:\n  waivers:\n  - {rule: G201, owner: anna, reason: a, expires: 2026-06-11}\n  - {rule: G999, owner: ben, reason: b, expires: 2026-05-30}\n")
	want := []release.WaiverUse{
		{Waiver: "rule G201 (p:3)", Owner: "anna", Findings: 1, DaysLeft: 10},
		{Waiver: "rule G999 (p:4)", Owner: "ben", DaysLeft: -2, Expired: true},
	}
	got := p.Decide(one(made()))
	if diff := cmp.Diff(want, got.Waivers); diff != "" {
		t.Errorf("waivers (-want +got):\n%s", diff)
	}
	if j := got.Judgements[0]; j.Verb != release.Waive || j.Because != "p:3: waived by anna until 2026-06-11: a" {
		t.Errorf("%s: %s", j.Verb, j.Because)
	}
}
