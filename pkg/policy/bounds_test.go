// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

// TestTheFormOfAFileIsBounded looks at the last form that is read and the first that is not.
func TestTheFormOfAFileIsBounded(t *testing.T) {
	t.Parallel()
	r := &reader{name: "p"}
	for name, forms := range map[string][2]string{
		"size":       {strings.Repeat("#", maxSize), strings.Repeat("#", maxSize+1)},
		"depth":      {strings.Repeat("[", maxNesting), strings.Repeat("[", maxNesting+1)},
		"indicators": {strings.Repeat("-", maxIndicators), strings.Repeat("-", maxIndicators+1)},
	} {
		if err := r.checkForm([]byte(forms[0])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.checkForm([]byte(forms[1])); err == nil {
			t.Errorf("%s: one more is taken", name)
		}
	}
}

func TestErrorsOfUnknownFormAreTold(t *testing.T) {
	t.Parallel()
	r := &reader{name: "p"}
	r.syntax(errors.New("odd\nand more"))
	if got := fmt.Sprint(r.err()); got != "p: odd" {
		t.Errorf("%q", got)
	}
	if at := start(&ast.MappingNode{BaseNode: &ast.BaseNode{}}); at != nil {
		t.Errorf("an empty mapping begins at %v", at)
	}
	if text := strings.Repeat("a", 60); clip(text) != text || clip(text+"a") != text+"…" {
		t.Errorf("%q, %q", clip(text), clip(text+"a"))
	}
}

func TestThePurseIsEmptyBeyondItsLimit(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `gate: {rules: [{when: "line > 0", then: allow}]}`)
	f := made()
	for spent, known := range map[uint64]bool{maxTotal: true, maxTotal + 1: false} {
		if _, err := p.rules[0].match(&sighting{Finding: &f}, &purse{spent}); (err == nil) != known {
			t.Errorf("with %d spent: %v", spent, err)
		}
	}
}

func TestTenFindingsAreNamed(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{maxReasons: maxReasons, maxReasons + 1: maxReasons + 1} {
		var findings []release.Finding
		for i := range n {
			findings = append(findings, made(moved(i+1)))
		}
		got := Default().Decide(one(findings...)).Reasons
		if more := slices.Contains(got, "and 1 more"); len(got) != want || more != (n > maxReasons) {
			t.Errorf("%d findings: %d reasons, the last is %q", n, len(got), got[len(got)-1])
		}
	}
}

// TestOnlySoManyAreTried lets old findings whose file is still there stand nearer than the one
// whose file is gone.
func TestOnlySoManyAreTried(t *testing.T) {
	t.Parallel()
	for inTheWay, want := range map[int]release.Baseline{maxTried - 1: "unchanged", maxTried: "new"} {
		var old []release.Finding
		for i := range inTheWay {
			old = append(old, alike(fmt.Sprintf("there%d.go", i), i+1)...)
		}
		old = append(old, alike("gone.go", 999)...)
		request := against(before(old...), alike("now.go", 1)...)
		request.There = func(path string) bool { return path != "gone.go" }
		got := Default().Decide(request).Judgements
		at := slices.IndexFunc(got, func(j release.Judgement) bool { return j.Scan == 0 })
		if got[at].Finding.Baseline != want {
			t.Errorf("%d in the way: %s (%s), want %s", inTheWay, got[at].Finding.Baseline, got[at].Match, want)
		}
	}
}

func TestWhoHasLookedForARule(t *testing.T) {
	t.Parallel()
	missing := made(withRule("G999"))
	listing := func(c release.Completeness, tool string) Request {
		r := scans(with(func(s *release.Scan) { s.Completeness, s.Tool, s.Rules = c, tool, []string{"G999"} }))
		r.Baseline = before(missing)
		return r
	}
	for name, test := range map[string]struct {
		request Request
		unseen  bool
	}{
		"the tool, to its end":       {listing("complete", "gosec"), false},
		"the tool, it does not say":  {listing("unknown", "gosec"), false},
		"the tool, not to its end":   {listing("incomplete", "gosec"), true},
		"another tool with the rule": {listing("complete", "semgrep"), true},
	} {
		if j := Default().Decide(test.request).Judgements[0]; j.Unseen != test.unseen {
			t.Errorf("%s: unseen %t (%s)", name, j.Unseen, j.Because)
		}
	}
	parent := listing("complete", "gosec")
	parent.Baseline = before(made(withRule("G999/sub")))
	if j := Default().Decide(parent).Judgements[0]; j.Unseen {
		t.Errorf("the parent was evaluated: %s", j.Because)
	}
}

func TestRequirementsAtTheirBounds(t *testing.T) {
	t.Parallel()
	silent := scans(with(func(s *release.Scan) { s.Ended = time.Time{} }))
	check(t, []verdict{
		{"no age is asked for", "gate: {require: [gosec]}", silent, pass, "none", ""},
		{"two hours", "gate: {require: [{tool: gosec, max-age: 1h}]}", scans(with(func(s *release.Scan) { s.Ended = now.Add(-2 * time.Hour) })), fail, "high", "p:1: required scan: gosec in gosec.sarif ended 2 hours ago"},
		{"no stated commit beside a head", "", Request{Commit: "c", Head: "h", Now: now, Scans: scans(scanned()).Scans}, pass, "none", ""},
		{"a stated commit where none is known", "", Request{Now: now, Scans: scans(with(func(s *release.Scan) { s.Commit = "d" })).Scans}, pass, "none", ""},
	})
	for _, state := range []release.Completeness{"absent", "unusable"} {
		got := mustParse(t, "gate: {require: [gosec]}").Decide(scans(with(func(s *release.Scan) { s.Completeness = state })))
		if !slices.Contains(got.Reasons, "p:1: required scan: gosec in gosec.sarif holds no results") {
			t.Errorf("%s: %q", state, got.Reasons)
		}
	}
}
