// SPDX-License-Identifier: Apache-2.0

package sarif_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
	"github.com/knowngood/knowngood/test/schema"
)

func fingerprintOf(n int) string { return fmt.Sprintf("%032x", n) }

func decided() release.Decision {
	score := 8.1
	finding := release.Finding{
		Tool: "gosec", Rule: "G202", Message: "SQL | `concatenated`", Level: release.LevelError, Kind: release.KindFail, Score: &score,
		Severity: release.SeverityHigh, CWE: []int{89}, Location: release.Location{Path: "shop/a b.go", Line: 10, Column: 2, EndLine: 11},
		Fingerprint: fingerprintOf(1), FingerprintKind: "context", Baseline: release.BaselineNew,
	}
	waived, suppressed, gone := finding, finding, finding
	waived.Rule, waived.Fingerprint, waived.Location = "G304", fingerprintOf(2), release.Location{}
	suppressed.Fingerprint, suppressed.Suppressed = fingerprintOf(3), true
	suppressed.Suppressions = release.Suppressions{{Kind: release.SuppressionInSource, Status: release.SuppressionAccepted}}
	gone.Fingerprint, gone.Baseline = fingerprintOf(4), release.BaselineAbsent
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
	if err := sarif.Write(&text, decided(), sarif.Comparison); err != nil {
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
		{{"G304", "no-place-given", 1, 8.1, release.BaselineNew, true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if scans[1].Completeness != release.ScanIncomplete || scans[0].Completeness != release.ScanComplete {
		t.Errorf("completeness %s and %s", scans[0].Completeness, scans[1].Completeness)
	}
	if f := scans[0].Findings[0]; f.Fingerprint != fingerprintOf(1) || f.FingerprintKind != "knowngood" {
		t.Errorf("a fingerprint of ours is another when read back: %s %s", f.FingerprintKind, f.Fingerprint)
	}
	if diff := cmp.Diff([]string{"G101", "G202"}, scans[0].Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func upload(t *testing.T, d release.Decision, form sarif.Form) uploaded {
	t.Helper()
	var text bytes.Buffer
	if err := sarif.Write(&text, d, form); err != nil {
		t.Fatal(err)
	}
	var file uploaded
	if err := json.Unmarshal(text.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	file.accepted(t)
	if text.Len() < 1<<20 {
		alike(t, d, form, text.Bytes())
	}
	return file
}

// alike holds what was written to SARIF's schema, and to what is written the next time.
func alike(t *testing.T, d release.Decision, form sarif.Form, text []byte) {
	t.Helper()
	var again bytes.Buffer
	if err := sarif.Write(&again, d, form); err != nil || !bytes.Equal(text, again.Bytes()) {
		t.Errorf("the same decision is another file: %v", err)
	}
	schema, err := schema.Open(schema.SARIF)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Check(text); err != nil {
		t.Errorf("not as the schema says: %.2000v", err)
	}
}

// An uploaded file, as far as GitHub reads it.
type uploaded struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID               string
					ShortDescription struct{ Text string }
					FullDescription  struct{ Text string }
					Properties       struct {
						Tags     []string
						Severity string `json:"security-severity"`
					}
				}
			}
		}
		AutomationDetails struct{ ID string }
		Invocations       []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct {
				Level   string
				Message struct{ Text string }
			}
		}
		Results []struct {
			RuleID, Level, BaselineState string
			RuleIndex                    *int
			Message                      struct{ Text string }
			Locations                    []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           struct{ StartLine int }
				}
			}
			Suppressions []struct{ GUID, Kind, Status string }
		}
	}
}

// accepted holds a file to the limits and the demands of GitHub's documentation, and to those
// that its users have met: each run a category of its own, and a place for each result.
func (file uploaded) accepted(t *testing.T) {
	t.Helper()
	if len(file.Runs) > 20 {
		t.Errorf("%d runs", len(file.Runs))
	}
	categories := map[string]bool{}
	for _, run := range file.Runs {
		category := run.AutomationDetails.ID[:strings.LastIndex(run.AutomationDetails.ID, "/")]
		if categories[category] || !strings.HasPrefix(category, "knowngood/") {
			t.Errorf("category %q stands twice, or might be another's", category)
		}
		categories[category] = true
		rules := run.Tool.Driver.Rules
		if len(run.Results) > 25_000 || len(rules) > 25_000 {
			t.Errorf("%d results, %d rules", len(run.Results), len(rules))
		}
		for _, rule := range rules {
			if n := len(rule.ShortDescription.Text); n == 0 || n > 1024 || len(rule.FullDescription.Text) > 1024 || len(rule.Properties.Tags) > 10 {
				t.Errorf("rule %.100q: a description of %d bytes, %d tags", rule.ID, n, len(rule.Properties.Tags))
			}
		}
		for _, i := range run.Invocations {
			if !i.ExecutionSuccessful {
				t.Error("GitHub refuses a run that was not successful")
			}
		}
		for _, r := range run.Results {
			if r.RuleIndex == nil || *r.RuleIndex >= len(rules) || rules[*r.RuleIndex].ID != r.RuleID || r.Message.Text == "" {
				t.Errorf("result of rule %.100q, index %v", r.RuleID, r.RuleIndex)
			}
			if len(r.Locations) != 1 || r.Locations[0].PhysicalLocation.ArtifactLocation.URI == "" || r.Locations[0].PhysicalLocation.Region.StartLine < 1 {
				t.Errorf("no place: %+v", r.Locations)
			}
		}
	}
}

// TestWhatGitHubAsksOfAnUpload: it heeds neither baseline nor suppressions, so that what does
// not block must not look as if it did, and what is gone must not be there.
func TestWhatGitHubAsksOfAnUpload(t *testing.T) {
	t.Parallel()
	file := upload(t, decided(), sarif.Upload)
	var got []string
	for _, run := range file.Runs {
		for _, r := range run.Results {
			got = append(got, fmt.Sprintf("%s %s %s %d", r.RuleID, r.Level, r.BaselineState, len(r.Suppressions)))
		}
	}
	want := []string{"G202 error new 0", "G202 warning new 1", "G304 warning new 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"security", "external/cwe/cwe-089"}, file.Runs[0].Tool.Driver.Rules[0].Properties.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	upload(t, decided(), sarif.Comparison)
}

// TestLimitsOfAnUpload goes beyond each of GitHub's limits.
func TestLimitsOfAnUpload(t *testing.T) {
	t.Parallel()
	many := release.Decision{Scans: []release.ScanSummary{{Tool: "many", Completeness: release.ScanComplete}}}
	for i := range 26_000 {
		many.Judgements = append(many.Judgements, release.Judgement{Verb: release.Notice, Finding: release.Finding{
			Tool: "many", Rule: strings.Repeat("r", 2000*(i%2)) + fmt.Sprint(i%50), Message: fmt.Sprintf("message %d", i), Level: release.LevelNote,
			CWE: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, Location: release.Location{Path: "a.go"},
		}})
	}
	file := upload(t, many, sarif.Upload)
	if n := len(file.Runs[0].Results); n != 25_000 {
		t.Errorf("%d results", n)
	}
	said := file.Runs[0].Invocations[0].ToolExecutionNotifications
	if len(said) != 1 || said[0].Level != "error" || said[0].Message.Text != "1000 findings are not in this file: GitHub takes 25000 of a run" {
		t.Errorf("what is left out is not said: %+v", said)
	}

	var scans release.Decision
	for i := range 30 {
		tool := fmt.Sprintf("tool %d", i%3)
		scans.Scans = append(scans.Scans, release.ScanSummary{Tool: tool, Category: "a/", Completeness: release.ScanUnknown})
		scans.Judgements = append(scans.Judgements, release.Judgement{Verb: release.Block, Scan: i, Finding: release.Finding{Tool: tool, Rule: "r", Level: release.LevelError}})
	}
	if file = upload(t, scans, sarif.Upload); len(file.Runs) != 3 || len(file.Runs[2].Results) != 10 || file.Runs[0].Invocations != nil {
		t.Errorf("%d runs of 30 scans by 3 tools", len(file.Runs))
	}
	for i := range scans.Scans {
		scans.Scans[i].Tool = fmt.Sprint("tool ", i)
	}
	if err := sarif.Write(io.Discard, scans, sarif.Upload); err == nil || !strings.Contains(err.Error(), "runs of 30 tools") {
		t.Errorf("30 tools in one file: %v", err)
	}
}

// TestTooLargeToPack makes a file that gzip cannot pack into GitHub's 10 MB.
func TestTooLargeToPack(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{1})
	d := release.Decision{Scans: []release.ScanSummary{{Tool: "noisy", Completeness: release.ScanComplete}}}
	for range 4000 {
		text := make([]byte, 3000)
		_, _ = noise.Read(text)
		d.Judgements = append(d.Judgements, release.Judgement{Finding: release.Finding{
			Tool: "noisy", Rule: "r", Message: base64.StdEncoding.EncodeToString(text), Level: release.LevelNote,
		}})
	}
	file := upload(t, d, sarif.Upload)
	if n := len(file.Runs[0].Results); n == 0 || n >= 4000 || len(file.Runs[0].Invocations) != 2 {
		t.Errorf("%d results, %d invocations", n, len(file.Runs[0].Invocations))
	}
}
