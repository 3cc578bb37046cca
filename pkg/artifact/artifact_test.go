// SPDX-License-Identifier: Apache-2.0

package artifact_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/artifact"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const commit = release.Commit("1111111111111111111111111111111111111111")

func gated(findings int) release.Record {
	about := release.Subject{App: "shop", Environment: "none", Run: "42.1", Commit: commit, Repository: "acme/shop", PullRequest: 7}
	score := 9.8
	decision := &release.Decision{
		Outcome: release.Fail, Risk: release.RiskHigh, Mode: release.Enforce, Reasons: []string{"1 finding blocks"}, Policy: "built-in",
		Scans: []release.ScanSummary{{File: "gosec.sarif", Tool: "gosec", Completeness: release.ScanComplete, Rules: []string{"G202"}}},
	}
	for range findings {
		decision.Judgements = append(decision.Judgements, release.Judgement{Verb: release.Block, Finding: release.Finding{
			Tool: "gosec", Rule: "G202", Message: strings.Repeat("SQL ", 1000), Level: release.LevelError, Score: &score,
			Severity: release.SeverityCritical, Location: release.Location{Path: "store.go", Line: 5},
		}})
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entry := release.Entry{
		Format: release.Format, ID: "01M8F6H8F0RFDBWR6A07A6BMWJ", Subject: about, Step: "gate", State: release.Failed,
		Began: at, Ended: at, Error: "the gate is closed", Decision: decision,
	}
	report := entry
	report.Step, report.Decision, report.Report = "report", nil, &release.Report{Comment: "https://example.org"}
	return release.Record{Subject: about, Entries: []release.Entry{entry, report}}
}

func TestWhatTheGateLeftIsHandedOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "record.json")
	record := gated(1)
	if err := artifact.Write(path, record); err != nil {
		t.Fatal(err)
	}
	got, err := artifact.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := record
	want.Entries = want.Entries[:1] // the gate's alone
	want.Entries[0].Decision.Scans[0].Rules = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is too much is left out from the end, where the least bad findings are.
func TestMuchIsCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record.json")
	record := gated(20000)
	record.Entries[0].Decision.Judgements[0].Finding.Rule = "worst"
	if err := artifact.Write(path, record); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > artifact.Limit {
		t.Fatalf("%v, %v", info.Size(), err)
	}
	got, err := artifact.Read(path)
	if err != nil || len(got.Entries[0].Decision.Judgements) < 500 || got.Entries[0].Decision.Judgements[0].Finding.Rule != "worst" {
		t.Errorf("%v", err)
	}
}

func TestWhatNoGateWritesIsRefused(t *testing.T) {
	t.Parallel()
	whole := written(t, gated(1))
	for name, change := range map[string][2]string{
		"format 2":              {`"format": 1`, `"format": 2`},
		"step \"deploy-start\"": {`"step": "gate"`, `"step": "deploy-start"`},
		"is about":              {`"commit": "1111111111111111111111111111111111111111",` + "\n   \"repo", `"commit": "2222222222222222222222222222222222222222",` + "\n   \"repo"},
		"a decision alone":      {`"decision": {`, `"report": {}, "decision": {`},
		"unknown field":         {`"decision": {`, `"more": 1, "decision": {`},
		"want a ULID":           {`01M8F6H8F0RFDBWR6A07A6BMWJ`, `zzzzzzzzzzzzzzzzzzzzzzzzzz`},
		"state \"green\"":       {`"state": "failed"`, `"state": "green"`},
		"decision \"ship\"":     {`"outcome": "fail"`, `"outcome": "ship"`},
		"risk \"\"":             {`"risk": "high"`, `"risk": ""`},
		"mode \"off\"":          {`"mode": "enforce"`, `"mode": "off"`},
		"verb \"ignore\"":       {`"verb": "block"`, `"verb": "ignore"`},
		"scan 7 of 1":           {`"scan": 0`, `"scan": 7`},
		"level \"worse\"":       {`"level": "error"`, `"level": "worse"`},
		"score 98":              {`"score": 9.8`, `"score": 98`},
		"before the first line": {`"line": 5`, `"line": -5`},
		"no gate has decided":   {`"decision": {`, `"decision": null, "checkout": {`},
		"cannot unmarshal":      {`"entries": [`, `"entries": 7, "x": [`},
		"names no commit":       {`"head": `, ``},
		"more follows it":       {``, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(whole, change[0], change[1], 1)
			switch name {
			case "more follows it":
				text = whole + "{}"
			case "names no commit":
				text = strings.Replace(whole, `"step": "gate"`, `"tree": "main", "step": "gate"`, 1)
			case "no gate has decided":
				from := strings.Index(whole, `"decision": {`)
				text = strings.TrimRight(whole[:from], " \n,") + "}]}"
			}
			if text == whole {
				t.Fatalf("nothing was changed in %s", whole)
			}
			if _, err := artifact.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want one with %q", err, name)
			}
		})
	}
}

func written(t *testing.T, record release.Record) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "record.json")
	if err := artifact.Write(path, record); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A file that is no plain file, or more than any record, is not read.
func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	large, link := filepath.Join(folder, "large"), filepath.Join(folder, "link")
	if err := os.WriteFile(large, []byte(strings.Repeat(" ", artifact.Limit+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{large: "more than", link: "not a regular file", folder: "not a regular file", folder + "/absent": "no such file"} {
		if _, err := artifact.Read(path); err == nil || !strings.Contains(err.Error(), want) || len(fault.Hints(err)) == 0 {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"app":"shop","entries":[]}`))
	f.Add([]byte(`{"commit":"1111111111111111111111111111111111111111","entries":[{"format":1,"id":"01M8F6H8F0RFDBWR6A07A6BMWJ","commit":"1111111111111111111111111111111111111111","step":"gate","state":"done","decision":{"outcome":"pass","risk":"none","mode":"enforce"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := artifact.Parse(data)
		if err != nil {
			return
		}
		for _, e := range record.Entries {
			if e.Step != "gate" || e.Commit != record.Commit || e.Deploy != nil || e.TLS != nil || e.Protection != nil || e.Report != nil {
				t.Errorf("let through: %+v", e)
			}
		}
		if record.Last("gate") == nil {
			t.Error("a record without a gate")
		}
	})
}
