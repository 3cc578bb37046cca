// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

func TestTheConclusionIsTheDecisions(t *testing.T) {
	t.Parallel()
	all := cases(t)
	for name, want := range map[string]string{
		"fail": "failure: fail: shop must not ship to production", "audit": "success: warn: shop may ship to production",
		"deployed":         "success: deployed: shop to production",
		"deploying":        "success: deploying: shop to production, as far as this record goes",
		"deploy-failed":    "failure: deploy failed: shop in production (exit status 1)",
		"no-decision":      "failure: no decision: the gate could not judge shop for production, so it must not ship",
		"unusable-scan":    "failure: fail: shop must not ship to 6f1c2a44-1b1e-4a0e-9f53-0e7c1f2c9d11/shop",
		"snapshot-partial": "failure: snapshot incomplete: shop is not deployed to production by this run",
		"proof-failed":     "failure: deployed: shop to production, but rotate prove failed",
		"empty":            "",
	} {
		got := ""
		if check, ok := report.CheckOf(all[name], options); ok {
			got = check.Conclusion + ": " + check.Title
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		unverified := options
		unverified.Unverified = true
		if check, ok := report.CheckOf(all[name], unverified); ok != (want != "") || ok && check.Conclusion != "neutral" {
			t.Errorf("%s that is not verified: %q", name, check.Conclusion)
		}
	}
}

func TestAnUnverifiedRecordIsHearsay(t *testing.T) {
	t.Parallel()
	all := cases(t)
	unverified := options
	unverified.Unverified = true
	golden(t, "unverified.txt", report.Text(all["audit"], unverified))
	golden(t, "unverified.md", report.Comment(all["audit"], unverified))
	for name, record := range all {
		for _, text := range []string{report.Comment(record, unverified), report.Text(record, unverified)} {
			if strings.Contains(text, "✅") || strings.Contains(text, "✓") || strings.Contains(text, "may ship") || !strings.Contains(text, "not verified") {
				t.Errorf("%s:\n%s", name, text)
			}
		}
	}
}

func TestTheWorstFindingsAreAnnotated(t *testing.T) {
	t.Parallel()
	record := large(t)
	d := record.Entries[0].Decision
	notice := d.Judgements[len(d.Judgements)-1]
	notice.Verb, notice.Finding.Location = release.Notice, release.Location{Path: "a.go", Line: 3}
	waived := notice
	waived.Verb = release.Waive
	d.Judgements = append([]release.Judgement{notice, waived}, d.Judgements...)
	check, ok := report.CheckOf(record, options)
	if !ok || len(check.Annotations) != report.AnnotationLimit || len(check.Summary) >= report.CheckLimit {
		t.Fatalf("%d annotations, %d bytes", len(check.Annotations), len(check.Summary))
	}
	for i, a := range check.Annotations {
		if a.Level != "failure" || !strings.HasPrefix(a.Path, fmt.Sprintf("src/%04d/", i)) {
			t.Fatalf("annotation %d: %s %s", i, a.Level, a.Path)
		}
	}
	if says := "500 annotated in the source, the worst of 9,501 findings.\n"; !strings.Contains(check.Summary, says) {
		t.Errorf("the total is not said: %.600s", check.Summary)
	}
	if few, total := report.Annotations(d, 10); len(few) != 10 || total != 9501 {
		t.Errorf("%d of %d", len(few), total)
	}
}

func TestAFindingIsAnnotatedAtItsPlace(t *testing.T) {
	t.Parallel()
	judgement := func(verb release.Verb, where release.Location) release.Judgement {
		return release.Judgement{Verb: verb, Because: "severity is high", Finding: release.Finding{
			Tool: "gosec", Rule: "G202", Message: "SQL\nstring", Level: release.LevelError, Location: where,
		}}
	}
	for _, test := range []struct {
		name  string
		where release.Location
		want  string // path:line-end, or "" for none
	}{
		{"a line", release.Location{Path: "a/b.go", Line: 7}, "a/b.go:7-7"},
		{"lines", release.Location{Path: "a/b.go", Line: 7, EndLine: 9, Column: 3}, "a/b.go:7-9"},
		{"a file", release.Location{Path: "go.sum"}, "go.sum:1-1"},
		{"an end before its beginning", release.Location{Path: "a", Line: 7, EndLine: 2}, "a:7-7"},
		{"no line that a file has", release.Location{Path: "a", Line: 1 << 40}, "a:1-1"},
		{"nowhere", release.Location{}, ""},
		{"above the repository", release.Location{Path: "../etc/passwd"}, ""},
		{"elsewhere", release.Location{Path: "/etc/passwd"}, ""},
		{"an address", release.Location{Path: "https://evil.example/x"}, ""},
		{"marks that hide", release.Location{Path: "a\u202eb"}, ""},
	} {
		d := &release.Decision{Judgements: []release.Judgement{judgement(release.Block, test.where)}}
		shown, total := report.Annotations(d, 10)
		got := ""
		for _, a := range shown {
			got = fmt.Sprintf("%s:%d-%d", a.Path, a.Line, a.EndLine)
			want := report.Annotation{
				Path: a.Path, Line: a.Line, EndLine: a.EndLine, Level: "failure",
				Title: "error gosec G202", Message: "SQL string (blocks: severity is high)",
			}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
		if got != test.want || total != 1 {
			t.Errorf("%s: %q of %d, want %q", test.name, got, total, test.want)
		}
	}
	lowered := &release.Decision{Mode: release.Audit, Judgements: []release.Judgement{judgement(release.Block, release.Location{Path: "a"})}}
	if shown, _ := report.Annotations(lowered, 10); len(shown) != 1 || shown[0].Level != "warning" {
		t.Errorf("audit mode: %+v", shown)
	}
	d := &release.Decision{Judgements: []release.Judgement{
		judgement(release.Waive, release.Location{Path: "a"}), judgement(release.Notice, release.Location{Path: "b"}),
		judgement(release.Allow, release.Location{Path: "c"}), judgement(release.Block, release.Location{Path: "d"}),
	}}
	shown, total := report.Annotations(d, 10)
	if total != 2 || len(shown) != 2 || shown[0].Path != "d" || shown[1].Path != "b" || shown[1].Level != "warning" {
		t.Errorf("%+v of %d: want what blocks, then what is noticed", shown, total)
	}
}

// A check run shows annotations as they are; the other texts of it are Markdown.
func FuzzCheckIsHarmless(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	filled := filler(f, "testdata/hostile-small.json")
	f.Fuzz(func(t *testing.T, hostile string) {
		record := filled(hostile)
		record.Entries[0].Decision.Judgements[0].Finding.Location.Path = hostile
		for _, unverified := range []bool{false, true} {
			check, ok := report.CheckOf(record, report.Options{Server: "https://github.com", Record: hostile, Unverified: unverified})
			if !ok {
				t.Fatal("no check")
			}
			if o := outlineOf(check.Summary); len(o.faults) > 0 || len(check.Summary) > report.CheckLimit {
				t.Errorf("%q: %d bytes, live: %v", hostile, len(check.Summary), o.faults)
			}
			plainLine(t, check.Title, 255)
			for _, a := range check.Annotations {
				plainLine(t, a.Title, 255)
				plainLine(t, a.Message, 4096)
				plainLine(t, a.Path, 1000)
			}
		}
		if d, ok := report.DeploymentOf(record); ok {
			plainLine(t, d.Environment, 255)
			plainLine(t, d.Description, 140)
		}
	})
}

func plainLine(t *testing.T, text string, most int) {
	t.Helper()
	if utf8.RuneCountInString(text) > most || text == "" || !utf8.ValidString(text) {
		t.Errorf("%d characters of at most %d: %q", utf8.RuneCountInString(text), most, text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			t.Errorf("%U in %q", r, text)
		}
	}
}

func TestDeployments(t *testing.T) {
	t.Parallel()
	all := cases(t)
	for name, want := range map[string]report.Deployment{
		"deployed":      {Environment: "production", State: "success", Description: "deployed"},
		"deploying":     {Environment: "production", State: "in_progress", Description: "deploying"},
		"deploy-failed": {Environment: "production", State: "failure", Description: "deploy failed: exit status 1"},
		"proof-failed":  {Environment: "production", State: "failure", Description: "deployed, but rotate prove failed"},
		"fail":          {},
		"empty":         {},
	} {
		got, ok := report.DeploymentOf(all[name])
		if diff := cmp.Diff(want, got); diff != "" || ok != (want.State != "") {
			t.Errorf("%s: %t (-want +got):\n%s", name, ok, diff)
		}
	}
	nowhere := all["deployed"]
	nowhere.Environment = release.NoEnvironment
	if d, ok := report.DeploymentOf(nowhere); ok {
		t.Errorf("a deploy to no environment: %+v", d)
	}
}
