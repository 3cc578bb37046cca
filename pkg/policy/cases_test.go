// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/knowngood/knowngood/pkg/release"
)

// TestSuppressionTable holds the truth table of testdata/suppressions.txt against decisions.
func TestSuppressionTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/suppressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Fields(line)
		switch {
		case len(cells) == 0 || strings.HasPrefix(line, "#"):
			continue
		case columns == nil:
			columns = cells[1:]
			continue
		case len(cells) != len(columns)+1:
			t.Fatalf("a row of %d cells: %s", len(cells), line)
		}
		rows++
		finding := made(suppressionsOf(t, cells[0])...)
		for i, column := range columns {
			setting := column
			if column == "required" {
				setting = "{count: all, justification: required}"
			}
			got := mustParse(t, "gate: {suppressions: "+setting+"}").Decide(one(finding))
			if (got.Outcome == pass) != (cells[i+1] == "yes") {
				t.Errorf("%s, %s: %s (%s), want suppressed: %s", cells[0], column, got.Outcome, got.Judgements[0].Because, cells[i+1])
			}
		}
	}
	if rows < 15 {
		t.Errorf("read %d rows", rows)
	}
}

func suppressionsOf(t *testing.T, text string) (all []change) {
	t.Helper()
	if text == "none" {
		return nil
	}
	for one := range strings.SplitSeq(text, ",") {
		kind, status, ok := strings.Cut(one, ":")
		if !ok {
			t.Fatalf("suppression %q", one)
		}
		bare, why := strings.TrimSuffix(status, "+"), ""
		if bare != status {
			why = "because"
		}
		all = append(all, suppressed(kind, bare, why))
	}
	return all
}

// TestCases decides testdata/decide/*.txtar: policy.yaml about scans.json, compared with
// baseline.json where there is one, is what want says.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]*txtar.File{}
			for i := range archive.Files {
				parts[archive.Files[i].Name] = &archive.Files[i]
			}
			p, err := Parse("policy.yaml", parts["policy.yaml"].Data)
			if err != nil {
				t.Fatal(err)
			}
			request := Request{Now: now, Commit: release.Commit(strings.Repeat("c", 40))}
			decode(t, parts["scans.json"].Data, &request.Scans)
			if old := parts["baseline.json"]; old != nil {
				var scans []release.Scan
				decode(t, old.Data, &scans)
				request.Baseline = BaselineFrom("release 1", scans, now.AddDate(0, 0, -10))
			}
			got := summary(p.Decide(request))
			if *update {
				parts["want"].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(parts["want"].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// summary is a decision for people, all of what was decided and none of what was given.
func summary(d release.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, risk %s, mode %s\n", d.Outcome, d.Risk, d.Mode)
	if d.Protect != "" {
		fmt.Fprintf(&b, "protect %s (%s)\n", d.Protect, d.ProtectBecause)
	}
	for _, reason := range d.Reasons {
		fmt.Fprintf(&b, "reason  %s\n", reason)
	}
	for _, w := range d.Waivers {
		fmt.Fprintf(&b, "waiver  %s of %s: %d findings, %d days left, expired %t\n", w.Waiver, w.Owner, w.Findings, w.DaysLeft, w.Expired)
	}
	for _, j := range d.Judgements {
		fmt.Fprintf(&b, "%-7s %s%s\n        %s\n", j.Verb, name(&j.Finding), at(j.Finding.Location), j.Because)
		if j.Finding.Baseline != "" {
			fmt.Fprintf(&b, "        %s: %s (%d), since %s, unseen %t\n", j.Finding.Baseline, j.Match, j.MatchScore, j.Since.Format(time.DateOnly), j.Unseen)
		}
	}
	return b.String()
}

// TestTheExampleOfTheREADMEIsAPolicy reads what a newcomer copies.
func TestTheExampleOfTheREADMEIsAPolicy(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n# yaml-language-server")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README shows no policy")
	}
	p, err := Parse("README.md", []byte("#"+example))
	if err != nil || len(p.rules) == 0 || len(p.waivers) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
