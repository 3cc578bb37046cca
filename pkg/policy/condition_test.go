// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	rank := 50.0
	ranked := func(f *release.Finding) { f.Rank = &rank }
	for _, test := range []struct {
		when    string
		finding release.Finding
		fits    bool
	}{
		{`tool == "gosec" && rule.startsWith("G2")`, made(), true},
		{`tool == "Gosec"`, made(), false},
		{`path.matches("^store/.*[.]go$") && line == 10`, made(), true},
		{`path == "" && line == 0`, made(func(f *release.Finding) { f.Location = release.Location{} }), true},
		{`message.contains("SQL")`, made(), true},
		{`cwe.exists(c, c in [22, 89])`, made(), true},
		{`cwe.exists(c, c in [22, 89])`, made(func(f *release.Finding) { f.CWE = nil }), false},
		{`score.orValue(10.0) >= 7.5`, made(withScore(7.5)), true},
		{`score.orValue(10.0) >= 7.5`, made(withScore(7.4)), false},
		{`score.orValue(10.0) >= 7`, made(), true},
		{`score.hasValue()`, made(withScore(0)), false},
		{`score.hasValue()`, made(withScore(0.1)), true},
		{`rank.orValue(-1.0) > 40`, made(ranked), true},
		{`rank.hasValue()`, made(), false},
		{`severity == "high" && level == "error"`, made(), true},
		{`severity == "medium"`, made(withScore(5)), true},
		{`kind == "review"`, made(withKind("review", "none")), true},
		{`baseline == "new"`, made(), true},
		{`baseline == "unchanged"`, made(withBaseline("unchanged")), true},
		{`fingerprint == "f1" && !secret`, made(), true},
		{`secret`, made(func(f *release.Finding) { f.Secret = true }), true},
		{`category == "go"`, made(), true},
		{`category == "g"`, made(), false},
	} {
		p := mustParse(t, fmt.Sprintf("gate: {rules: [{when: %q, then: block, reason: fits}], fail: {severity: off, level: off}, warn: {severity: off, level: off}, open: allow}", test.when))
		got := p.Decide(scans(with(func(s *release.Scan) { s.Category = "go" }, test.finding)))
		want := release.Allow
		if test.fits {
			want = release.Block
		}
		if j := got.Judgements[0]; j.Verb != want {
			t.Errorf("%s: %s (%s), want %s", test.when, j.Verb, j.Because, want)
		}
	}
}

func TestConditionsStandBesideOtherKeys(t *testing.T) {
	t.Parallel()
	check(t, []verdict{
		{"both fit", `gate: {rules: [{rule: G201, when: "line < 20", then: allow}]}`, one(made()), pass, "none", ""},
		{"the key does not", `gate: {rules: [{rule: G1, when: "line < 20", then: allow}]}`, one(made()), fail, "high", "built-in"},
		{"the condition does not", `gate: {rules: [{rule: G201, when: "line > 20", then: allow}]}`, one(made()), fail, "high", "built-in"},
		{"it is told", `gate: {rules: [{when: "line  <  20", then: block}]}`, one(made()), fail, "high", "p:1: when line < 20: gosec G201"},
		{"in a waiver", `gate: {waivers: [{rule: G201, when: "line < 20", owner: a, reason: b, expires: 2027-01-01}]}`, one(made()), pass, "high", ""},
		{"in a waiver that does not fit", `gate: {waivers: [{rule: G201, when: "line > 20", owner: a, reason: b, expires: 2027-01-01}]}`, one(made()), fail, "high", "built-in"},
		{"in a budget", `gate: {budgets: [{when: "line < 20", at-most: 1}]}`, one(made(withScore(1)), made(withScore(2)), made(withScore(3), moved(30))), fail, "low", "p:1: 2 findings of when line < 20, at most 1 are allowed"},
	})
}

// What a condition cannot answer is not known to be fine, wherever it stands.
func TestAConditionThatCannotBeEvaluatedFails(t *testing.T) {
	t.Parallel()
	two := []release.Finding{made(withLevel("note")), made(withLevel("note"), moved(11))}
	check(t, []verdict{
		{"in a rule", `gate: {rules: [{when: "cwe[5] == 1", then: allow}]}`, one(two...), fail, "low", "p:1: when cwe[5] == 1: index out of bounds: 5: not known to be fine: gosec G201"},
		{"in a rule, in audit mode", `gate: {mode: audit, rules: [{when: "cwe[5] == 1", then: allow}]}`, one(two...), warn, "low", "audit: would block: p:1: when"},
		{"in a waiver", `gate: {waivers: [{rule: G201, when: "cwe[5] == 1", owner: a, reason: b, expires: 2027-01-01}]}`, one(made()), fail, "high", "p:1: when cwe[5] == 1: index out of bounds: 5"},
		{"in a waiver, in audit mode", `gate: {mode: audit, waivers: [{rule: G201, when: "cwe[5] == 1", owner: a, reason: b, expires: 2027-01-01}]}`, one(made()), fail, "high", "p:1: when cwe[5] == 1: index out of bounds: 5"},
		{"in a budget", `gate: {budgets: [{when: "cwe[5] == 1", at-most: 9}]}`, one(two...), fail, "high", "p:1: when cwe[5] == 1: index out of bounds: 5"},
	})
	got := mustParse(t, `gate: {budgets: [{when: "cwe[5] == 1", at-most: 9}]}`).Decide(one(two...))
	if len(got.Reasons) != 1 {
		t.Errorf("the same is said %d times: %q", len(got.Reasons), got.Reasons)
	}
}

// A message of a size that no estimate foresaw is bounded when it comes.
func TestWhatConditionsCostIsBounded(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `gate: {rules: [{when: 'message.matches("(`+strings.Repeat("abcd|", 40)+`x)d$")', then: allow}]}`)
	long := made(func(f *release.Finding) { f.Message = strings.Repeat("abc", 100_000) })
	got := p.Decide(one(long))
	if j := got.Judgements[0]; j.Verb != release.Block || !strings.Contains(j.Because, "cost limit exceeded") {
		t.Errorf("%s: %s", j.Verb, j.Because)
	}
	spent := &purse{spent: maxTotal + 1}
	if _, err := p.rules[0].match(&sighting{Finding: &long}, spent); err == nil || !strings.Contains(err.Error(), "p:1: the conditions of this policy take too long") {
		t.Errorf("with an empty purse: %v", err)
	}
	used := &purse{}
	short := made()
	if _, err := p.rules[0].match(&sighting{Finding: &short}, used); err != nil || used.spent <= entry {
		t.Errorf("spent %d, %v", used.spent, err)
	}
}

func BenchmarkCondition(b *testing.B) {
	p, err := Parse("p", []byte(`gate: {rules: [{when: 'tool == "gosec" && score.orValue(10.0) >= 7.0 && cwe.exists(c, c in [22, 79, 89]) && !path.startsWith("test/")', then: block}]}`))
	if err != nil {
		b.Fatal(err)
	}
	f := made()
	var spent purse
	for b.Loop() {
		spent.spent = 0
		if fits, err := p.rules[0].match(&sighting{&f, "go", "high"}, &spent); !fits || err != nil {
			b.Fatal(fits, err)
		}
	}
	b.ReportMetric(float64(spent.spent), "cost/op")
}
