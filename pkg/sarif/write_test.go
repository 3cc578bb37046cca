// SPDX-License-Identifier: Apache-2.0

package sarif_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
)

func decided() release.Decision {
	score := 8.1
	finding := release.Finding{
		Tool: "gosec", Rule: "G202", Message: "SQL | `concatenated`", Level: release.LevelError, Kind: release.KindFail, Score: &score,
		Severity: release.SeverityHigh, Location: release.Location{Path: "shop/a b.go", Line: 10, Column: 2, EndLine: 11},
		Fingerprint: "f1", FingerprintKind: "context", Baseline: release.BaselineNew,
	}
	waived, suppressed, gone := finding, finding, finding
	waived.Rule, waived.Fingerprint, waived.Location = "G304", "f2", release.Location{}
	suppressed.Fingerprint, suppressed.Suppressed = "f3", true
	suppressed.Suppressions = release.Suppressions{{Kind: release.SuppressionInSource, Status: release.SuppressionAccepted}}
	gone.Fingerprint, gone.Baseline = "f4", release.BaselineAbsent
	return release.Decision{
		Outcome: release.Fail,
		Scans: []release.ScanSummary{
			{Tool: "gosec", Version: "2.20.0", Completeness: release.ScanComplete, Rules: []string{"G101", "G202"}},
			{Tool: "gosec", Completeness: release.ScanIncomplete},
			{File: "broken.sarif", Completeness: release.ScanUnusable},
		},
		Judgements: []release.Judgement{
			{Finding: finding, Verb: release.Block, Scan: 0},
			{Finding: suppressed, Verb: release.Allow, Scan: 0},
			{Finding: waived, Verb: release.Waive, Scan: 1, Because: "p:3: waived by anna"},
			{Finding: gone, Verb: release.Allow, Scan: -1},
		},
	}
}

// TestWhatIsWrittenCanBeRead reads what Write wrote with our own strict reader.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := sarif.Write(&text, decided()); err != nil {
		t.Fatal(err)
	}
	scans, err := sarif.Read(bytes.NewReader(text.Bytes()), "out.sarif", sarif.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	type seen struct {
		Rule, Path string
		Line       int
		Score      float64
		Baseline   release.Baseline
		Suppressed bool
	}
	var got [][]seen
	for _, scan := range scans {
		var of []seen
		for _, f := range scan.Findings {
			of = append(of, seen{f.Rule, f.Location.Path, f.Location.Line, *f.Score, f.Baseline, f.Suppressed})
		}
		got = append(got, of)
	}
	want := [][]seen{
		{
			{"G202", "shop/a b.go", 10, 8.1, release.BaselineNew, false},
			{"G202", "shop/a b.go", 10, 8.1, release.BaselineNew, true},
			{"G202", "shop/a b.go", 10, 8.1, release.BaselineAbsent, false},
		},
		{{"G304", "", 0, 8.1, release.BaselineNew, true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if scans[1].Completeness != release.ScanIncomplete || scans[0].Completeness != release.ScanComplete {
		t.Errorf("completeness %s and %s", scans[0].Completeness, scans[1].Completeness)
	}
	if diff := cmp.Diff([]string{"G101", "G202"}, scans[0].Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// TestWhatGitHubAsksOfAnUpload: an id of its own for each run, no null, and guids of the form
// that the schema asks for.
func TestWhatGitHubAsksOfAnUpload(t *testing.T) {
	t.Parallel()
	var text, again bytes.Buffer
	if err := sarif.Write(&text, decided()); err != nil {
		t.Fatal(err)
	}
	if err := sarif.Write(&again, decided()); err != nil || text.String() != again.String() {
		t.Errorf("the same decision is another file: %v", err)
	}
	if bytes.Contains(text.Bytes(), []byte("null")) {
		t.Errorf("null in\n%s", text.String())
	}
	var file struct {
		Runs []struct {
			AutomationDetails struct{ ID string }
			Results           []struct {
				Suppressions []struct{ GUID string }
			}
		}
	}
	if err := json.Unmarshal(text.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	ids, guids := map[string]bool{}, 0
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, run := range file.Runs {
		ids[run.AutomationDetails.ID] = true
		for _, result := range run.Results {
			for _, s := range result.Suppressions {
				guids++
				if !form.MatchString(s.GUID) {
					t.Errorf("guid %q", s.GUID)
				}
			}
		}
	}
	if len(file.Runs) != 2 || len(ids) != 2 || guids != 2 {
		t.Errorf("%d runs, ids %v, %d suppressions", len(file.Runs), ids, guids)
	}
}
