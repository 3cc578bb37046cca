// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

func TestThresholdsOfARule(t *testing.T) {
	t.Parallel()
	known := before(made(withScore(8)))
	check(t, []verdict{
		{"by tool", "gate: {rules: [{tool: gosec, fail: {score: 8.5}}]}", one(made(withScore(8))), warn, "high", "built-in: score 8.0 ≥ 4.0"},
		{"by tool, reached", "gate: {rules: [{tool: gosec, fail: {score: 8.5}}]}", one(made(withScore(8.5))), fail, "high", "p:1: score 8.5 ≥ 8.5"},
		{"of another tool", "gate: {rules: [{tool: trivy, fail: {score: 8.5}}]}", one(made(withScore(8))), fail, "high", "built-in: score 8.0 ≥ 7.0"},
		{"stricter by path", "gate: {rules: [{path: store/, fail: {severity: low}}]}", one(made(withScore(1))), fail, "low", "p:1: severity low (score 1.0)"},
		{"by cwe and level", "gate: {rules: [{cwe: 89, fail: {level: note}}]}", one(made(withLevel("note"))), fail, "low", "p:1: level note"},
		{"only a warning of its own", "gate: {rules: [{rule: G201, warn: {score: 1}}]}", one(made(withScore(2))), warn, "low", "p:1: score 2.0 ≥ 1.0"},
		{"what it does not say is as the gate says", "gate: {rules: [{rule: G201, warn: {score: 1}}], fail: {score: 1.5}}", one(made(withScore(2))), fail, "low", "p:1: score 2.0 ≥ 1.5"},
		{"off", "gate: {rules: [{rule: G201, fail: {severity: off, level: off}, warn: {severity: off}}]}", one(made(withScore(10))), pass, "critical", ""},
		{"the first that fits counts", "gate: {rules: [{tool: gosec, fail: {severity: off}}, {rule: G201, then: block}]}", one(made(withScore(9))), warn, "critical", ""},
		{"the known is excused", "gate: {new-only: true, rules: [{tool: gosec, fail: {score: 7.5}}]}", against(known, made(withScore(8))), warn, "high", "p:1: not new: p:1: score 8.0 ≥ 7.5"},
		{"the waived is waived", "gate: {rules: [{tool: gosec, fail: {score: 1}}], waivers: [{rule: G201, owner: a, reason: b, expires: 2027-01-01}]}", one(made(withScore(2))), pass, "low", ""},
		{"below it, it counts for budgets", "gate: {rules: [{tool: gosec, fail: {score: 9}}], budgets: [{severity: high, at-most: 0}]}", one(made(withScore(8))), fail, "high", "p:1: 1 findings of severity high"},
	})
}

func TestBudgetsCountWhatFits(t *testing.T) {
	t.Parallel()
	medium := made(withScore(5))
	check(t, []verdict{
		{"by path", "gate: {budgets: [{path: store/, at-most: 1}]}", one(medium, medium, made(withPath("x.go"))), fail, "high", "p:1: 2 findings of in store/**, at most 1 are allowed"},
		{"by several severities", "gate: {budgets: [{severity: [low, medium], at-most: 1}]}", one(medium, made(withScore(1))), fail, "medium", "p:1: 2 findings of severity low, medium, at most 1"},
		{"new ones", "gate: {budgets: [{baseline: new, at-most: 1}]}", against(before(medium), medium, medium), warn, "medium", "built-in: score 5.0"},
		{"too many new ones", "gate: {budgets: [{baseline: new, at-most: 0}]}", against(before(medium), medium, medium), fail, "medium", "p:1: 1 findings of baseline new"},
		{"each by itself", "gate: {budgets: [{tool: gosec, at-most: 2}, {severity: medium, at-most: 1}]}", one(medium, medium), fail, "medium", "p:1: 2 findings of severity medium"},
	})
}

func TestRequirementsOfTimeAndCommit(t *testing.T) {
	t.Parallel()
	ended := func(at time.Duration) Request {
		return scans(with(func(s *release.Scan) { s.Ended = now.Add(at) }))
	}
	of := func(commit release.Commit) Request {
		r := scans(with(func(s *release.Scan) { s.Commit = commit }))
		r.Commit = "c"
		return r
	}
	aged, stated := "gate: {require: [{tool: gosec, max-age: 1h}]}", "gate: {require: [{tool: gosec, commit: required}]}"
	check(t, []verdict{
		{"clocks that differ a little", aged, ended(maxSkew), pass, "none", ""},
		{"from the future", aged, ended(maxSkew + time.Second), fail, "high", "p:1: required scan: gosec in gosec.sarif says that it ended in 10 minutes from now"},
		{"a second too old", aged, ended(-time.Hour - time.Second), fail, "high", "p:1: required scan: gosec in gosec.sarif ended 60 minutes ago"},
		{"three hours", aged, ended(-3 * time.Hour), fail, "high", "p:1: required scan: gosec in gosec.sarif ended 3 hours ago, more than 60 minutes"},
		{"two days", aged, ended(-48 * time.Hour), fail, "high", "p:1: required scan: gosec in gosec.sarif ended 2 days ago"},
		{"the age matters only where it is asked for", "gate: {require: [gosec]}", ended(-9999 * time.Hour), pass, "none", ""},
		{"the future matters only where age is asked for", "gate: {require: [gosec]}", ended(9999 * time.Hour), pass, "none", ""},
		{"of this commit", stated, of("c"), pass, "none", ""},
		{"of no stated commit", stated, of(""), fail, "high", "p:1: required scan: gosec in gosec.sarif does not say which commit"},
		{"of no stated commit may be", "gate: {require: [{tool: gosec, commit: optional}]}", of(""), pass, "none", ""},
	})
}

func TestProtect(t *testing.T) {
	t.Parallel()
	some := "protect: {low: snapshot, high: backup}\n"
	for _, test := range []struct {
		name, policy string
		risk         release.Finding
		want         release.Protect
		because      string
	}{
		{"nothing is said", "", made(withScore(9)), "", ""},
		{"below all that is said", some, made(withLevel("none")), "", ""},
		{"what is said", some, made(withScore(1)), "snapshot", "p:1: risk low"},
		{"as the highest below", some, made(withScore(5)), "snapshot", "p:1: risk medium"},
		{"more", some, made(withScore(7)), "backup", "p:1: risk high"},
		{"as the highest", some, made(withScore(9)), "backup", "p:1: risk critical"},
		{"nothing for nothing", "protect:\n  none: nothing\n  critical: verify\n", made(withLevel("none")), "nothing", "p:2: risk none"},
		{"all of it", "protect:\n  none: nothing\n  critical: verify\n", made(withScore(9)), "verify", "p:3: risk critical"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := mustParse(t, test.policy).Decide(one(test.risk))
			if got.Protect != test.want || got.ProtectBecause != test.because {
				t.Errorf("%s (%s), want %s (%s)", got.Protect, got.ProtectBecause, test.want, test.because)
			}
		})
	}
	unknown := mustParse(t, some).Decide(scans())
	if unknown.Protect != release.ProtectBackup {
		t.Errorf("what nobody has looked at is protected by %q", unknown.Protect)
	}
}
