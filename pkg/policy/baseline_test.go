// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

func before(findings ...release.Finding) *Baseline {
	b := &Baseline{Name: "release 1", At: now.AddDate(0, 0, -10), Scans: []release.ScanSummary{
		{Tool: "gosec", Completeness: release.ScanComplete, Rules: []string{"G201", "G202", "G304"}},
		{Tool: "other", Completeness: release.ScanUnknown, Rules: []string{"G201"}},
	}}
	for _, f := range findings {
		b.Judgements = append(b.Judgements, release.Judgement{Finding: f, Verb: release.Notice})
	}
	return b
}

func against(b *Baseline, findings ...release.Finding) Request {
	request := one(findings...)
	request.Baseline = b
	return request
}

func moved(line int) change { return func(f *release.Finding) { f.Location.Line = line } }

func printed(fingerprint, likeness string) change {
	return func(f *release.Finding) { f.Fingerprint, f.Likeness = fingerprint, likeness }
}

func weak(fingerprint string) change {
	return func(f *release.Finding) { f.Fingerprint, f.FingerprintKind, f.Likeness = fingerprint, "weak", "" }
}

// TestBaseline pairs one finding of the baseline with one of the scan.
func TestBaseline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		old, now release.Finding
		want     release.Baseline
		why      string
	}{
		{"the same", made(), made(), "unchanged", "the same fingerprint"},
		{"moved", made(), made(moved(40)), "unchanged", "the same fingerprint, at line 10 before"},
		{"said otherwise", made(), made(func(f *release.Finding) { f.Message = "more" }), "updated", "the same fingerprint"},
		{"worse", made(withLevel("warning")), made(), "updated", "the same fingerprint"},
		{"of another score", made(withScore(5)), made(withScore(8)), "updated", "the same fingerprint"},
		{"counted otherwise in its file", made(printed("f1-2", "l1")), made(printed("f1", "l1")), "unchanged", "the same fingerprint"},
		{"renamed", made(printed("f1", "l1")), made(printed("f2", "l1"), withPath("shop/find.go")), "unchanged", "the same code, in store/search.go before"},
		{"in another folder", made(printed("f1", "l1")), made(printed("f2", "l1"), withPath("shop/search.go")), "unchanged", "the same code, in store/search.go before"},
		{"of the tool's own sign, renamed", made(), made(withPath("shop/find.go")), "unchanged", "the same fingerprint, in store/search.go before"},
		{"with a place now", made(withPath("")), made(), "unchanged", "the same fingerprint, without a place before"},
		{"said of the code, then against it", made(withKind("pass", "none")), made(), "new", "not in release 1"},
		{"noted, then with a level", made(withKind("informational", "none")), made(withKind("informational", "error")), "new", "not in release 1"},
		{"read beside its source now, and moved", made(weak("w1")), made(printed("f2", "l2"), moved(12)), "unchanged", "the same message, at line 10 before"},
		{"read beside its source now", made(weak("w1")), made(printed("f2", "l2")), "unchanged", "the same message"},
		{"nobody had looked for it", made(withRule("G304")), made(withRule("G999")), "new", "not in release 1, of which no scan says that it evaluated the rule"},
		{"another rule", made(), made(withRule("G202")), "new", "not in release 1"},
		{"another tool", made(), made(func(f *release.Finding) { f.Tool = "other" }), "new", "not in release 1"},
		{"other code", made(printed("f1", "l1")), made(printed("f2", "l2")), "new", "not in release 1"},
		{"weak and moved", made(weak("w1")), made(weak("w2"), moved(12)), "unchanged", "the same message, at line 10 before"},
		{"weak and renamed", made(weak("w1")), made(weak("w2"), withPath("b.go")), "new", "not in release 1"},
		{"weak and said otherwise", made(weak("w1")), made(weak("w2"), func(f *release.Finding) { f.Message = "x" }), "new", "not in release 1"},
		{"gone in the baseline already", made(withBaseline("absent")), made(), "new", "not in release 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Default().Decide(against(before(test.old), test.now))
			j := got.Judgements[slices.IndexFunc(got.Judgements, func(j release.Judgement) bool { return j.Scan == 0 })]
			if j.Finding.Baseline != test.want || j.Match != test.why {
				t.Errorf("%s (%s), want %s (%s)", j.Finding.Baseline, j.Match, test.want, test.why)
			}
			if got.Baseline != "release 1" {
				t.Errorf("baseline %q", got.Baseline)
			}
			since := now.AddDate(0, 0, -10)
			if test.want == "new" {
				since = now
			}
			if !j.Since.Equal(since) {
				t.Errorf("since %v, want %v", j.Since, since)
			}
		})
	}
}

func TestEachOldFindingCountsOnce(t *testing.T) {
	t.Parallel()
	got := Default().Decide(against(before(made()), made(), made(moved(11)), made(moved(12))))
	states := map[release.Baseline]int{}
	for _, j := range got.Judgements {
		states[j.Finding.Baseline]++
	}
	if diff := cmp.Diff(map[release.Baseline]int{"unchanged": 1, "new": 2}, states); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsGoneIsTold(t *testing.T) {
	t.Parallel()
	got := Default().Decide(against(before(made(), made(withRule("G999")))))
	if got.Outcome != release.Pass || len(got.Judgements) != 2 {
		t.Fatalf("%s, %+v", got.Outcome, got.Judgements)
	}
	for i, want := range []string{
		"built-in: gone since release 1",
		"built-in: not found, and no whole scan says that it evaluated gosec G999",
	} {
		j := got.Judgements[i]
		if j.Because != want || j.Verb != release.Allow || j.Scan != -1 || j.Finding.Baseline != release.BaselineAbsent || j.Unseen != (i == 1) {
			t.Errorf("%+v, want %q", j, want)
		}
	}
}

func TestNewOnlyAndGrace(t *testing.T) {
	t.Parallel()
	old := before(made())
	aged := before(made())
	aged.Judgements[0].Since = now.AddDate(0, 0, -20)
	coming := before(made())
	coming.Judgements[0].Since = now.Add(time.Hour)
	check(t, []verdict{
		{"new only, known", "gate: {new-only: true}", against(old, made()), warn, "high", "p:1: not new: built-in: level error"},
		{"new only, new", "gate: {new-only: true}", against(old, made(), made(printed("f2", "l2"))), fail, "high", "built-in: level error"},
		{"new only, worse", "gate: {new-only: true}", against(before(made(withScore(6.9))), made(withScore(7))), fail, "high", "p:1: not new, and worse than before, when it was medium: built-in: score 7.0"},
		{"new only, worse within its severity", "gate: {new-only: true}", against(before(made(withScore(7))), made(withScore(8.9))), warn, "high", "p:1: not new"},
		{"new only, better", "gate: {new-only: true}", against(before(made(withScore(9))), made(withScore(7))), warn, "high", "p:1: not new"},
		{"new only, passed before", "gate: {new-only: true}", against(before(made(withKind("pass", "none"))), made()), fail, "high", "built-in: level error"},
		{"new only, a second copy", "gate: {new-only: true}", against(old, made(), made()), fail, "high", "built-in: level error"},
		{"new only, as the tool says", "gate: {new-only: true}", one(made(withBaseline("updated"))), warn, "high", "p:1: not new"},
		{"the baseline wins over the tool", "gate: {new-only: true}", against(before(), made(withBaseline("unchanged"))), fail, "high", "built-in: level error"},
		{"new only without a baseline", "gate: {new-only: true}", one(made()), fail, "high", "built-in: level error"},
		{"not new only", "", against(old, made()), fail, "high", "built-in: level error"},
		{"in grace", "gate: {grace: {high: 11d}}", against(old, made()), warn, "high", "p:1: 1 of 11 days left to mend it: built-in: level error"},
		{"grace is over", "gate: {grace: {high: 10d}}", against(old, made()), fail, "high", "p:1: 10 days to mend it have passed: built-in"},
		{"seen earlier than the baseline", "gate: {grace: {high: 11d}}", against(aged, made()), fail, "high", "p:1: 11 days to mend it have passed"},
		{"grace of another severity", "gate: {grace: {critical: 11d}}", against(old, made()), fail, "high", "built-in: level error"},
		{"a new finding has all of its grace", "gate: {grace: {high: 2d}}", against(before(), made()), warn, "high", "p:1: 2 of 2 days left"},
		{"no grace without a baseline", "gate: {grace: {high: 2d}}", one(made()), fail, "high", "built-in: level error"},
		{"no grace from a day to come", "gate: {grace: {high: 11d}}", against(coming, made()), fail, "high", "p:1: since when it is there is not known: built-in"},
		{"no grace for what a rule blocks", "gate: {grace: {high: 11d}, rules: [{rule: G201, then: block}]}", against(old, made()), fail, "high", "p:1: rule G201"},
	})
	asked := one(made())
	asked.Unbased = "it is lost"
	for text, reason := range map[string]string{
		"":                       "built-in: there is no baseline (it is lost): every finding counts as new",
		"gate: {new-only: true}": "p:1: there is no baseline (it is lost): every finding counts as new",
	} {
		if got := mustParse(t, text).Decide(asked); !slices.Contains(got.Reasons, reason) {
			t.Errorf("%q: reasons %q", text, got.Reasons)
		}
	}
	if got := mustParse(t, "gate: {new-only: true}").Decide(one(made())); !slices.Contains(got.Reasons, "p:1: there is no baseline: every finding counts as new") {
		t.Errorf("reasons %q", got.Reasons)
	}
}

// TestTheOrderOfFilesDoesNotMatter decides made-up scans in many orders, by a policy that
// uses all it can.
func TestTheOrderOfFilesDoesNotMatter(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `gate:
  warn: {score: 2.5}
  new-only: true
  incomplete: warn
  require: [{tool: gosec, rules: [G201]}]
  rules: [{tool: gosec, cwe: 22, then: block}]
  budgets: [{severity: medium, at-most: 1}]
  grace: {high: 12d}
  waivers:
    - {rule: G304, owner: a, reason: b, expires: 2027-03-31}
    - {path: "b.go", owner: a, reason: b, expires: 2026-03-31}
`)
	dice := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		request := Request{Now: now, Baseline: before(some(dice)...)}
		for i := range dice.IntN(5) {
			request.Scans = append(request.Scans, with(func(s *release.Scan) {
				s.File = string(rune('a'+i)) + ".sarif"
				s.Tool = []string{"gosec", "semgrep"}[dice.IntN(2)]
				s.Completeness = []release.Completeness{"complete", "unknown", "incomplete"}[dice.IntN(3)]
			}, some(dice)...))
		}
		want := p.Decide(request)
		shuffled := request
		shuffled.Scans = slices.Clone(request.Scans)
		dice.Shuffle(len(shuffled.Scans), func(i, j int) {
			shuffled.Scans[i], shuffled.Scans[j] = shuffled.Scans[j], shuffled.Scans[i]
		})
		kept := *before()
		kept.Judgements = slices.Clone(request.Baseline.Judgements)
		dice.Shuffle(len(kept.Judgements), func(i, j int) {
			kept.Judgements[i], kept.Judgements[j] = kept.Judgements[j], kept.Judgements[i]
		})
		shuffled.Baseline = &kept
		if diff := cmp.Diff(want, p.Decide(shuffled)); diff != "" {
			t.Fatalf("another order, another decision (-want +got):\n%s", diff)
		}
	}
}

// some makes up a few findings that resemble each other.
func some(dice *rand.Rand) (findings []release.Finding) {
	for range dice.IntN(6) {
		findings = append(findings, made(withScore(float64(dice.IntN(11))), func(f *release.Finding) {
			f.Rule = []string{"G201", "G304", "G401"}[dice.IntN(3)]
			f.Location.Path = []string{"a.go", "b.go"}[dice.IntN(2)]
			f.Location.Line = dice.IntN(3)
			f.Fingerprint = []string{"f1", "f2", "f3"}[dice.IntN(3)]
			f.Likeness = []string{"l1", "l2"}[dice.IntN(2)]
			f.CWE = []int{[]int{22, 89}[dice.IntN(2)]}
		}))
	}
	return findings
}

// A gate of a monorepo compares tens of thousands of findings that all look alike.
func TestComparingManyAlikeEnds(t *testing.T) {
	t.Parallel()
	n := 20_000
	if testing.Short() {
		n = 1000
	}
	alike := func(offset int) (all []release.Finding) {
		for i := range n {
			all = append(all, made(weak("w"), moved(offset+i)))
		}
		return all
	}
	began := time.Now()
	got := Default().Decide(against(before(alike(0)...), alike(n)...))
	if len(got.Judgements) != n || time.Since(began) > 30*time.Second {
		t.Errorf("%d judgements after %v", len(got.Judgements), time.Since(began))
	}
}
