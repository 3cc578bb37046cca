// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
)

// told returns "state fingerprint@line was line" of each judgement, for the tables below.
func told(d release.Decision) []string {
	var all []string
	for _, j := range d.Judgements {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s:%d %s", j.Finding.Baseline, j.Finding.Location.Path, j.Finding.Location.Line, j.Match)))
	}
	slices.Sort(all)
	return all
}

func alike(path string, lines ...int) (all []release.Finding) {
	for i, line := range lines {
		print := "h-" + path
		if i > 0 {
			print = fmt.Sprintf("h-%s-%d", path, i+1)
		}
		all = append(all, made(printed(print, "l"), withPath(path), moved(line)))
	}
	return all
}

func TestTheNearestOfManyAlikeIsTheSame(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		old, now []int
		want     []string
	}{
		{"the first is mended", []int{10, 50, 90}, []int{48, 88}, []string{
			"absent a.go:10", "unchanged a.go:48 the same fingerprint, at line 50 before", "unchanged a.go:88 the same fingerprint, at line 90 before",
		}},
		{"one comes before", []int{10, 50}, []int{3, 10, 50}, []string{
			"new a.go:3 not in release 1", "unchanged a.go:10 the same fingerprint", "unchanged a.go:50 the same fingerprint",
		}},
		{"one comes after", []int{10}, []int{12, 99}, []string{
			"new a.go:99 not in release 1", "unchanged a.go:12 the same fingerprint, at line 10 before",
		}},
		{"the earlier one is nearer", []int{10, 30}, []int{12}, []string{
			"absent a.go:30", "unchanged a.go:12 the same fingerprint, at line 10 before",
		}},
		{"the later one is as near", []int{10, 20}, []int{15}, []string{
			"absent a.go:10", "unchanged a.go:15 the same fingerprint, at line 20 before",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := told(Default().Decide(against(before(alike("a.go", test.old...)...), alike("a.go", test.now...)...)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A file is taken for a renamed one only where nothing speaks against it: a copy of old code
// in a second file is a new finding.
func TestRenames(t *testing.T) {
	t.Parallel()
	was, is := alike("old.go", 1), alike("b/new.go", 1)
	other := func(path string) release.Finding {
		return made(withRule("G304"), printed("x-"+path, ""), withPath(path))
	}
	for _, test := range []struct {
		name     string
		old, now []release.Finding
		there    []string
		want     string
	}{
		{"renamed", was, is, nil, "unchanged b/new.go:1 the same code, in old.go before"},
		{"the old file is in the checkout", was, is, []string{"old.go"}, "new b/new.go:1 not in release 1"},
		{"the new file is in the checkout", was, is, []string{"b/new.go"}, "unchanged b/new.go:1 the same code, in old.go before"},
		{"the old file has findings", was, slices.Concat(is, []release.Finding{other("old.go")}), nil, "new b/new.go:1 not in release 1"},
		{"the new file had findings", slices.Concat(was, []release.Finding{other("b/new.go")}), is, nil, "new b/new.go:1 not in release 1"},
		{"of two the one of the same name", slices.Concat(alike("a/first.go", 1), alike("a/new.go", 1)), is, nil, "unchanged b/new.go:1 the same code, in a/new.go before"},
		{"copied", was, slices.Concat(is, alike("c/more.go", 1)), nil, "new c/more.go:1 not in release 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := against(before(test.old...), test.now...)
			request.There = func(path string) bool { return slices.Contains(test.there, path) }
			if got := told(Default().Decide(request)); !slices.Contains(got, test.want) {
				t.Errorf("%q, want %q among them", got, test.want)
			}
		})
	}
}

func TestTheSurestSignHasTheHighestScore(t *testing.T) {
	t.Parallel()
	last := 101
	for _, s := range signs {
		if s.score >= last || s.score < 1 {
			t.Errorf("a score of %d after %d", s.score, last)
		}
		last = s.score
	}
	got := Default().Decide(against(before(made(), made(printed("f2", "l2"), moved(1))), made(), made(printed("f3", "l2"), moved(7)), made(printed("f4", "l4"))))
	scores := map[release.Baseline][]int{}
	for _, j := range got.Judgements {
		scores[j.Finding.Baseline] = append(scores[j.Finding.Baseline], j.MatchScore)
	}
	if diff := cmp.Diff(map[release.Baseline][]int{"unchanged": {95, 100}, "new": {0}}, scores); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What nobody looked for in one release is known again in the next, with its age.
func TestWhatNobodyLookedForIsNotForgotten(t *testing.T) {
	t.Parallel()
	first := Default().Decide(against(before(made(withRule("G999"))), made()))
	second := Default().Decide(Request{Now: now.AddDate(0, 0, 1), Scans: one(made(withRule("G999"))).Scans, Baseline: BaselineOf("release 2", first, now)})
	at := slices.IndexFunc(second.Judgements, func(j release.Judgement) bool { return j.Finding.Rule == "G999" })
	if j := second.Judgements[at]; j.Finding.Baseline != "unchanged" || !j.Since.Equal(now.AddDate(0, 0, -10)) {
		t.Errorf("%s since %v", j.Finding.Baseline, j.Since)
	}
	gone := second.Judgements[slices.IndexFunc(second.Judgements, func(j release.Judgement) bool { return j.Scan < 0 })]
	third := Default().Decide(Request{Now: now.AddDate(0, 0, 2), Scans: one(made()).Scans, Baseline: BaselineOf("release 3", second, now)})
	if gone.Unseen || third.Judgements[0].Finding.Baseline != "new" {
		t.Errorf("what was looked for and not found came back as %q (unseen %t)", third.Judgements[0].Finding.Baseline, gone.Unseen)
	}
}

func TestABaselineOfScansIsAsOldAsTheySay(t *testing.T) {
	t.Parallel()
	b := BaselineFrom("old.sarif", []release.Scan{scanned(made()), with(func(s *release.Scan) { s.Ended = now.Add(-1); s.Tool = "x" })}, now)
	if b.Name != "old.sarif" || len(b.Scans) != 2 || len(b.Judgements) != 1 || !b.Judgements[0].Since.Equal(now.Add(-60*60*1e9)) {
		t.Errorf("%+v", b)
	}
}
