// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

func TestExplainNamesTheLineOfEveryFinding(t *testing.T) {
	t.Parallel()
	seen := time.Date(2026, 5, 1, 23, 0, 0, 0, time.UTC)
	finding := func(rule string, b release.Baseline) release.Finding {
		return release.Finding{Tool: "gosec", Rule: rule, Message: "SQL\x1b[31m from outside", Level: "error", Fingerprint: "f-" + rule, FingerprintKind: "context", Baseline: b}
	}
	got := Explain(release.Decision{
		Policy: "p.yaml (sha256:00)", Baseline: "release 1", Mode: release.Enforce, Reasons: []string{"p.yaml:1: why"},
		Protect: release.ProtectBackup, ProtectBecause: "p.yaml:9: risk high",
		Scans: []release.ScanSummary{
			{Tool: "gosec", Version: "2.1", File: "a.sarif", Completeness: release.ScanComplete, Rules: []string{"a", "b"}, Findings: 1},
			{Tool: "trivy", File: "b.sarif", Completeness: release.ScanUnknown},
		},
		Waivers: []release.WaiverUse{
			{Waiver: "rule A (p:1)", Owner: "anna", Findings: 2, DaysLeft: 1}, {Waiver: "rule B (p:2)", Owner: "ben", DaysLeft: -3, Expired: true}, {Waiver: "rule C (p:3)", Owner: "cleo"},
		},
		Judgements: []release.Judgement{
			{Finding: finding("G1", "unchanged"), Verb: release.Block, Because: "p.yaml:3: level error", Match: "the same code, in old.go before", MatchScore: 70, Since: seen},
			{Finding: finding("G2", "new"), Verb: release.Allow, Because: "p.yaml:4: rule G2", Match: "not in release 1", Since: seen},
			{Finding: finding("G3", "absent"), Scan: -1, Verb: release.Allow, Because: "built-in: nobody looked", Unseen: true, Since: seen},
			{Finding: finding("G4", ""), Verb: release.Notice, Because: "p.yaml:5: level"},
		},
	})
	lines := strings.Join(strings.Fields(got), " ")
	for _, want := range []string{
		"policy p.yaml (sha256:00) baseline release 1 mode enforce reason p.yaml:1: why protect backup (p.yaml:9: risk high)",
		"scan gosec 2.1, 2 rules evaluated, 1 finding, complete, in a.sarif scan trivy, rules not listed, 0 findings, unknown, in b.sarif",
		"rule A (p:1), owner anna, used for 2 findings, 1 day left", "rule B (p:2), owner ben, not used, expired 3 days ago", "rule C (p:3), owner cleo, not used, expires today",
		"blocks error no place given gosec G1: SQL[U+001B][31m from outside because p.yaml:3: level error baseline unchanged, seen since 2026-05-01: the same code, in old.go before (70 of 100) fingerprint f-G1 (context)",
		"baseline new: not in release 1 fingerprint", "baseline not evaluated, seen since 2026-05-01 fingerprint f-G3", "because p.yaml:5: level fingerprint f-G4",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Error("a control character got through")
	}
	if none := Explain(release.Decision{}); !strings.Contains(none, "baseline        none") {
		t.Errorf("without anything:\n%s", none)
	}
}
