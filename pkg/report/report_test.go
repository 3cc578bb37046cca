// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

var update = flag.Bool("update", false, "rewrite the wanted files of testdata")

var options = report.Options{
	Server: "https://github.com",
	Record: "s3://acme-releases/v1/shop/production/18240337712-1",
}

// cases returns the records of testdata by their names.
func cases(tb testing.TB) map[string]release.Record {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 10 {
		tb.Fatalf("cases: %v, %v", files, err)
	}
	records := map[string]release.Record{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var record release.Record
		if err := json.Unmarshal(data, &record); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		records[strings.TrimSuffix(filepath.Base(file), ".json")] = record
	}
	return records
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./pkg/report -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestComment(t *testing.T) {
	t.Parallel()
	for name, record := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name+".md", report.Comment(record, options))
		})
	}
}

func TestSummaryIsTheCommentWithMoreRoom(t *testing.T) {
	t.Parallel()
	for name, record := range cases(t) {
		if comment, summary := report.Comment(record, options), report.Summary(record, options); comment != summary {
			t.Errorf("%s: a record that fits a comment reads differently in the summary", name)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for name, record := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := report.Text(record, options)
			for _, entry := range record.Entries {
				text += "\n--- " + report.Line(entry.Step, 20) + "\n" + report.Entry(entry)
			}
			golden(t, name+".txt", text)
		})
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	all := cases(t)
	var records []release.Record
	for _, name := range slices.Sorted(maps.Keys(all)) {
		records = append(records, all[name])
	}
	golden(t, "history.txt", report.History(records))
}
