// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

// large is a failed record with far more in it than a comment holds.
func large(t *testing.T) release.Record {
	t.Helper()
	all := cases(t)
	record := all["fail"]
	d := record.Entries[0].Decision
	worst, other := d.Judgements[0], d.Judgements[2]
	d.Judgements = nil
	for i := range 9000 {
		worst.Finding.Location.Path = fmt.Sprintf("src/%04d/%s.go", i, strings.Repeat("p", 150))
		worst.Finding.Message = strings.Repeat("@$<", 1<<10)
		d.Judgements = append(d.Judgements, worst)
	}
	other.Finding.Message = strings.Repeat("long line ", 1<<17)
	for range 500 {
		d.Judgements = append(d.Judgements, other)
	}
	record.Entries = append(record.Entries, all["snapshot-partial"].Entries[1:]...)
	p := record.Last("snapshot").Protection
	for i := range 3000 {
		snapshot := p.Snapshots[0]
		snapshot.Name = fmt.Sprintf("snapshot-%d", i)
		p.Snapshots = append(p.Snapshots, snapshot)
	}
	return record
}

func TestWhatMustBeSaidIsNeverCut(t *testing.T) {
	t.Parallel()
	record := large(t)
	for _, test := range []struct {
		name  string
		text  string
		limit int
	}{
		{"comment", report.Comment(record, options), report.CommentLimit},
		{"summary", report.Summary(record, options), report.SummaryLimit},
		{"little room", report.Comment(record, report.Options{Server: options.Server, Record: options.Record, Limit: 16384}), 16384},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if len(test.text) > test.limit-2048 {
				t.Errorf("%d bytes leave too little of %d", len(test.text), test.limit)
			}
			for _, must := range []string{
				"### ❌ fail · shop must not ship to production\n",
				"[`3f2a9c1d0b7e`](https://github.com/acme/shop/commit/3f2a9c1d0b7e4a5f8c6d9e0b1a2f3c4d5e6f7a8b)",
				"(https://github.com/acme/shop/actions/runs/18240337712)",
				"#### 9,000 findings block the release",
				"<sub>record `s3://acme-releases/v1/shop/production/18240337712-1`",
				"src/0000/", "more, in the record",
			} {
				if !strings.Contains(test.text, must) {
					t.Errorf("%q is missing", must)
				}
			}
			if o := outlineOf(test.text); len(o.faults) > 0 {
				t.Errorf("live: %s", strings.Join(o.faults, "; "))
			}
		})
	}
}

func TestWhatIsCutIsCounted(t *testing.T) {
	t.Parallel()
	record := large(t)
	text := report.Comment(record, options)
	shown := strings.Count(text, "· `go/sql-injection` CodeQL")
	want := fmt.Sprintf("- and %d findings more, in the record", 9000-shown)
	if shown < 10 || !strings.Contains(strings.ReplaceAll(text, ",", ""), strings.ReplaceAll(want, ",", "")) {
		t.Errorf("%d findings are shown, and %q is missing", shown, want)
	}
	for _, line := range strings.Split(report.Text(record, options), "\n") {
		if columnsOf(line) > 80 {
			t.Errorf("%q is too wide", line)
		}
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	all := cases(t)
	for name, want := range map[string][]report.Status{
		"fail": {{"knowngood/gate", "failure", "fail, 2 scans, 4 findings, 2 block, risk high"}},
		"deployed": {
			{"knowngood/gate", "success", "pass, 2 scans, 2 findings, none blocks, risk low"},
			{"knowngood/snapshot", "success", "2 snapshots ready, 1 application-consistent, 1 crash-consistent, writes held for 0.8 s"},
			{"knowngood/tls", "success", "3 of 3 endpoints proved on the wire"},
		},
		"deploying": {
			{"knowngood/gate", "success", "pass, 2 scans, 2 findings, none blocks, risk low"},
			{"knowngood/snapshot", "success", "2 snapshots ready, 1 application-consistent, 1 crash-consistent, writes held for 0.8 s"},
			{"knowngood/tls", "pending", "2 of 2 certificates renewed, not proved yet"},
		},
		"audit":         {{"knowngood/gate", "success", "warn, 2 scans, 2 findings, 1 would block (audit mode), risk medium"}},
		"unusable-scan": {{"knowngood/gate", "failure", "fail: reports/gosec.sarif: the scan is incomplete: 31 files were not read"}},
		"no-decision":   {{"knowngood/gate", "error", "no decision: read reports/gosec.sarif: unexpected end of JSON input at byte 4,096"}},
		"empty":         nil,
	} {
		if diff := diffOf(want, report.Statuses(all[name], "knowngood")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	partial := report.Statuses(all["snapshot-partial"], "knowngood")[1]
	if partial.State != "failure" || !strings.HasSuffix(partial.Description, "…") || len([]rune(partial.Description)) != 140 {
		t.Errorf("a snapshot that was done in part: %+v", partial)
	}
	if proof := report.Statuses(all["proof-failed"], "knowngood")[2]; proof.State != "error" {
		t.Errorf("a proof that failed: %+v", proof)
	}
}
