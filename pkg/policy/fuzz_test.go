// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

// A tape hands out the bytes of a fuzzed input as choices; at its end all choices are the first.
type tape struct{ left []byte }

func (t *tape) below(n int) int {
	if len(t.left) == 0 {
		return 0
	}
	b := t.left[0]
	t.left = t.left[1:]
	return int(b) % n
}

func pick[T any](t *tape, values ...T) T { return values[t.below(len(values))] }

// world is a request and the two halves of the policy that decides about it.
type world struct {
	request       Request
	gate, waivers string
}

func (t *tape) world() world {
	w := world{request: Request{Now: now, Commit: "c", Mode: pick[release.Mode](t, "", "audit")}}
	w.gate = "gate:\n  " + strings.Join([]string{
		pick(t, "new-only: true", "new-only: false"),
		pick(t, "fail: {score: 7}", "fail: {severity: medium, level: off}"),
		pick(t, "grace: {high: 5d, medium: 20d}", "grace: {}"),
		pick(t, "budgets: []", "budgets: [{severity: medium, at-most: 1}, {path: a.go, at-most: 2}]"),
		pick(t, "rules: []", "rules: [{rule: G304, then: block}]", "rules: [{when: 'line > 1', then: allow}, {baseline: new, fail: {score: 3}}]"),
		pick(t, "incomplete: block", "incomplete: warn"),
		pick(t, "require: []", "require: [{tool: gosec, max-age: 1d}]"),
	}, "\n  ") + "\n"
	w.waivers = "  waivers:\n" +
		fmt.Sprintf("    - {rule: %s, path: %s, owner: a, reason: b, expires: 2027-01-01}\n", pick(t, "G201", "G304"), pick(t, "a.go", "b.go")) +
		fmt.Sprintf("    - {fingerprint: %s, owner: a, reason: b, expires: %s}\n", pick(t, "f1", "f2", "nosuch"), pick(t, "2027-01-01", "2026-01-01"))
	for range t.below(4) {
		s := scanned(t.findings()...)
		s.Tool, s.Category = pick(t, "gosec", "semgrep"), pick(t, "", "go")
		s.Completeness = pick[release.Completeness](t, "complete", "unknown", "incomplete", "absent", "unusable")
		s.Commit = pick[release.Commit](t, "", "c", "d")
		s.File = fmt.Sprintf("%d.sarif", len(w.request.Scans))
		w.request.Scans = append(w.request.Scans, s)
	}
	if t.below(4) > 0 {
		w.request.Baseline = before(t.findings()...)
	}
	// What a finding bears in Help, which decides nothing, names it below.
	for s := range w.request.Scans {
		for i := range w.request.Scans[s].Findings {
			w.request.Scans[s].Findings[i].Help = fmt.Sprintf("%d.%d", s, i)
		}
	}
	return w
}

func (t *tape) findings() (all []release.Finding) {
	for range t.below(7) {
		f := made(withScore(float64(t.below(11))), withRule(pick(t, "G201", "G304", "G201/a")), withPath(pick(t, "a.go", "b.go", "c/a.go", "")), moved(t.below(5)))
		f.Fingerprint, f.Likeness = pick(t, "f1", "f2", "f3"), pick(t, "l1", "l2", "")
		f.FingerprintKind = pick(t, "context", "weak")
		f.Message = pick(t, "SQL", "more")
		f.Kind = pick(t, release.KindFail, release.KindFail, release.KindPass, release.KindOpen, release.KindInformational)
		f.Level = pick(t, release.LevelNote, release.LevelError, release.LevelNone)
		f.Baseline = pick[release.Baseline](t, "", "", "", "unchanged", "absent")
		if t.below(5) == 4 {
			suppressed(pick(t, "inSource", "external", "magic"), pick(t, "accepted", "rejected"), "")(&f)
		}
		all = append(all, f)
	}
	return all
}

// FuzzDecide holds decisions to what must be true of all of them.
func FuzzDecide(f *testing.F) {
	dice := rand.New(rand.NewPCG(7, 7))
	for range 60 {
		seed := make([]byte, 40+dice.IntN(400))
		for i := range seed {
			seed[i] = byte(dice.IntN(256))
		}
		f.Add(seed)
	}
	known := policies{} // there are few, and reading one costs as much as deciding
	f.Fuzz(func(t *testing.T, data []byte) {
		w := (&tape{data}).world()
		p := known.parse(t, w.gate+w.waivers)
		was, err := json.Marshal(w.request.Scans)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Decide(w.request)
		if is, err := json.Marshal(w.request.Scans); err != nil || string(is) != string(was) {
			t.Fatalf("the request was changed (%v):\n%s\n%s", err, was, is)
		}
		inAnyOrder(t, p, w.request, got)
		failsClosed(t, w.request, got)
		waiversHideOnlyWhatTheyName(t, w, known.parse(t, w.gate), got)
		baselineHidesOnlyWhatItHas(t, w.request, got)
	})
}

// policies are those that were read already, by their text.
type policies map[string]*Policy

func (known policies) parse(t *testing.T, text string) *Policy {
	t.Helper()
	if known[text] == nil {
		known[text] = mustParse(t, text)
	}
	return known[text]
}

func inAnyOrder(t *testing.T, p *Policy, request Request, want release.Decision) {
	t.Helper()
	other := request
	other.Scans = slices.Clone(request.Scans)
	slices.Reverse(other.Scans)
	if request.Baseline != nil {
		turned := *request.Baseline
		turned.Judgements = slices.Clone(turned.Judgements)
		slices.Reverse(turned.Judgements)
		other.Baseline = &turned
	}
	if got := p.Decide(other); !reflect.DeepEqual(want, got) {
		t.Fatalf("another order, another decision (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func failsClosed(t *testing.T, request Request, got release.Decision) {
	t.Helper()
	unusable := len(request.Scans) == 0
	for _, s := range request.Scans {
		unusable = unusable || s.Completeness == release.ScanAbsent || s.Completeness == release.ScanUnusable
	}
	blocks, present := false, 0
	for _, j := range got.Judgements {
		blocks = blocks || j.Verb == release.Block
		if j.Scan >= 0 {
			present++
		}
		if j.Because == "" || j.Verb == "" || j.Scan < -1 || j.Scan >= len(request.Scans) {
			t.Fatalf("a judgement without a reason, a verb or a scan: %+v", j)
		}
	}
	want := 0
	for _, s := range request.Scans {
		want += len(s.Findings)
	}
	if present != want {
		t.Fatalf("%d findings were judged, %d were there", present, want)
	}
	if (unusable || blocks) && got.Outcome != release.Fail || got.Outcome == "" || len(got.Reasons) == 0 {
		t.Fatalf("%s (unusable %t, blocks %t): %q", got.Outcome, unusable, blocks, got.Reasons)
	}
}

// waiversHideOnlyWhatTheyName decides again by the policy without the waivers: what none of
// them names is judged as before.
func waiversHideOnlyWhatTheyName(t *testing.T, w world, bare *Policy, got release.Decision) {
	t.Helper()
	without := map[string]release.Judgement{}
	for _, j := range bare.Decide(w.request).Judgements {
		without[j.Finding.Help] = j
	}
	for _, j := range got.Judgements {
		f, before := j.Finding, without[j.Finding.Help]
		named := strings.Contains(w.waivers, "fingerprint: "+f.Fingerprint+",") ||
			strings.Contains(w.waivers, fmt.Sprintf("rule: %s, path: %s,", strings.TrimSuffix(f.Rule, "/a"), f.Location.Path))
		if j.Scan >= 0 && !named && (j.Verb != before.Verb || j.Because != before.Because) {
			t.Fatalf("no waiver names %+v, and it is judged %s (%s) instead of %s (%s)", f, j.Verb, j.Because, before.Verb, before.Because)
		}
		if j.Verb == release.Waive && !named {
			t.Fatalf("waived and not named: %+v", f)
		}
	}
}

// baselineHidesOnlyWhatItHas looks for a twin of each finding that is taken for an old one,
// by rules of its own, and counts: no old finding stands for two.
func baselineHidesOnlyWhatItHas(t *testing.T, request Request, got release.Decision) {
	t.Helper()
	if request.Baseline == nil {
		return
	}
	old, known := map[string]int{}, map[string]int{}
	for _, j := range request.Baseline.Judgements {
		if j.Finding.Baseline != release.BaselineAbsent {
			old[j.Finding.Tool+j.Finding.Rule]++
		}
	}
	for _, j := range got.Judgements {
		f := j.Finding
		if j.Scan < 0 || f.Baseline != release.BaselineUnchanged && f.Baseline != release.BaselineUpdated {
			continue
		}
		known[f.Tool+f.Rule]++
		if !slices.ContainsFunc(request.Baseline.Judgements, func(o release.Judgement) bool { return twins(f, o.Finding) }) {
			t.Fatalf("taken for an old one (%s), and none is like it: %+v", j.Match, f)
		}
	}
	for name, n := range known {
		if n > old[name] {
			t.Fatalf("%s: %d taken for old ones, and the baseline has %d", name, n, old[name])
		}
	}
}

func twins(a, b release.Finding) bool {
	accusing := func(f release.Finding) bool {
		return f.Kind == release.KindFail || f.Kind == release.KindOpen ||
			f.Kind == release.KindInformational && f.Level != release.LevelNone || f.Kind == release.KindPass && f.Level == release.LevelError
	}
	return a.Tool == b.Tool && a.Rule == b.Rule && accusing(a) == accusing(b) && b.Baseline != release.BaselineAbsent &&
		(a.Fingerprint == b.Fingerprint || a.Likeness != "" && a.Likeness == b.Likeness || a.Message == b.Message && a.Location.Path == b.Location.Path)
}

// FuzzCondition compiles any text and evaluates what compiles.
func FuzzCondition(f *testing.F) {
	for _, text := range []string{
		`true`, `score.orValue(1.0) > 3`, `cwe.exists(c, c == 89)`, `message.matches("a+")`, `path.startsWith("a") && !secret`,
		`cwe.map(c, c * 2).filter(c, c > 10).size() > 0`, `cwe[7] == 1`, `1 / line == 1`, `"a" + tool == "agosec"`, `score.value() > 1.0`, `'`, `[[[`, `optional.none()`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := json.Marshal(map[string]any{"gate": map[string]any{"rules": []any{map[string]any{"when": text, "then": "allow"}}}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse("p", rule)
		if err != nil {
			return
		}
		first, second := p.Decide(one(made())), p.Decide(one(made()))
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("not the same twice:\n%s", diff)
		}
	})
}
