// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/schema"
)

// TestSchemaTakesWhatWeWrite writes the records that the report is tested with, in which every
// kind of entry stands, and holds them to the schema, which must know each member.
func TestSchemaTakesWhatWeWrite(t *testing.T) {
	t.Parallel()
	text, err := nounSchema(root)
	if err != nil {
		t.Fatal(err)
	}
	record, err := schema.Noun(text, "Record")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "pkg/report/testdata/*.json"))
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if filepath.Base(file) == "hostile.json" || filepath.Base(file) == "hostile-small.json" {
			continue // words that no program of ours writes
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var read release.Record
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if err := record.Check(written); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if record.Check([]byte(`{"app": "shop", "environment": "none", "run": "1", "commit": "", "entries": [{"step": "gate"}]}`)) == nil ||
		record.Check([]byte(`{"app": "shop", "environment": "none", "run": "1", "commit": "", "entries": [], "more": 1}`)) == nil {
		t.Error("the schema takes anything")
	}
}
