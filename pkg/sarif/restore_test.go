// SPDX-License-Identifier: Apache-2.0

package sarif_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
)

// TestFingerprintsSurviveWriting: a file that we wrote serves as a baseline of what it was
// made from.
func TestFingerprintsSurviveWriting(t *testing.T) {
	t.Parallel()
	type identity struct{ Fingerprint, Likeness string }
	for _, name := range []string{
		"fingerprint-01-own-first", "fingerprint-05-line-hash", "fingerprint-06-context-survives-moves", "fingerprint-07-alike-in-one-file",
		"fingerprint-08-weak-last",
	} {
		data, err := os.ReadFile("testdata/" + name + ".sarif")
		if err != nil {
			t.Fatal(err)
		}
		scans, err := sarif.Read(bytes.NewReader(data), name, sarif.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := release.Decision{Scans: []release.ScanSummary{{Tool: scans[0].Tool, Completeness: release.ScanComplete}}}
		var want, got []identity
		for _, f := range scans[0].Findings {
			d.Judgements = append(d.Judgements, release.Judgement{Finding: f, Verb: release.Block})
			want = append(want, identity{f.Fingerprint, f.Likeness})
		}
		var written bytes.Buffer
		if err := sarif.Write(&written, d, sarif.Comparison); err != nil {
			t.Fatal(err)
		}
		again, err := sarif.Read(&written, "out.sarif", sarif.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range again[0].Findings {
			got = append(got, identity{f.Fingerprint, f.Likeness})
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%s (-read +written and read):\n%s", name, diff)
		}
	}
}
