// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

var update = flag.Bool("update", false, "write the want files anew")

// TestFiles parses testdata/file/<case>.yaml and compares the errors with <case>.want, which
// only files that are wrong have.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/file/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("found %d cases (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse(".knowngood.yaml", data)
			if !strings.HasPrefix(name, "bad-") {
				if err != nil || p == nil {
					t.Errorf("Parse: %v", err)
				}
				return
			}
			if err == nil || p != nil || fault.StatusOf(err) != fault.Usage {
				t.Fatalf("Parse = %v, %v, want no policy and an error of usage", p, err)
			}
			compareWant(t, "testdata/file/"+name+".want", err.Error()+"\n")
		})
	}
}

func compareWant(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseKeepsWhatTheFileSays(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/file/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("x.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"app": "shop", "sarif": "out/*.sarif\nreports/**/*.sarif.gz", "timeout": "10m", "pull-request": "12", "comment": "always",
	}
	if diff := cmp.Diff(want, p.Inputs()); diff != "" {
		t.Errorf("Inputs (-want +got):\n%s", diff)
	}
	if got, want := p.Limits(), (Limits{File: 2 << 30, Value: 16 << 20, Kept: 256 << 20, Findings: 50000, Members: 200000}); got != want {
		t.Errorf("Limits = %+v, want %+v", got, want)
	}
	if p.fail.score != 9 || !p.fail.levelNever || p.warn.score != 5.5 || p.warn.level != release.LevelNote {
		t.Errorf("thresholds: %+v, %+v", p.fail, p.warn)
	}
	if got := fmt.Sprint(p.rules[0].paths); got != "[test/** internal/**/fake_*.go]" {
		t.Errorf("paths = %s", got)
	}
	if got := p.waivers[1].lastDay(); got != "2027-02-28" {
		t.Errorf("last day = %s", got)
	}
	if !strings.HasPrefix(p.Name(), "x.yaml (sha256:") || Default().Name() != "built-in" {
		t.Errorf("names %q, %q", p.Name(), Default().Name())
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/file/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("x", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", p, err)
		}
		if err != nil {
			if fault.StatusOf(err) != fault.Usage || err.Error() == "" {
				t.Fatalf("error %q of status %d", err, fault.StatusOf(err))
			}
			return
		}
		if got := p.Decide(Request{}); got.Outcome != release.Fail {
			t.Fatalf("no scans: %s", got.Outcome)
		}
		if got := p.Decide(one(made(), made(withScore(9)))); len(got.Judgements) != 2 || got.Outcome == "" {
			t.Fatalf("two findings: %+v", got)
		}
	})
}
