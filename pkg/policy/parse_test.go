// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/release"
)

var update = flag.Bool("update", false, "write the .want files")

// TestBadPolicies: each bad/*.yaml is refused with the lines of its .want file.
func TestBadPolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = policy.Parse("policy.yaml", data)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := fault.StatusOf(err); got != fault.Usage {
				t.Errorf("status %d, want %d", got, fault.Usage)
			}
			want := strings.TrimSuffix(path, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(err.Error()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text, readErr := os.ReadFile(want)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(string(text), err.Error()+"\n"); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

const whole = `inputs:
  app: shop
  timeout: 5m
  pull-request: 7
  sarif: [a.sarif, "b/*.sarif"]
gate:
  mode: audit
  fail:
    severity: critical
  warn: {score: 2.5, level: off}
  incomplete: warn
  unstated: block
  new-only: true
  suppressions: in-source
  require:
    - tool: gosec
      rules: [G201]
      max-age: 24h
  rules:
    - {tool: gosec, cwe: CWE-89, then: block, reason: injections never ship}
  budgets:
    - {severity: medium, at-most: 3}
  waivers:
    - rule: G304
      path: cmd/import/**
      owner: anna
      reason: the operator gives the path
      expires: 2027-03-31
`

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse(".knowngood.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	wantInputs := map[string]string{"app": "shop", "timeout": "5m", "pull-request": "7", "sarif": "a.sarif\nb/*.sarif"}
	if diff := cmp.Diff(wantInputs, p.Inputs()); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if p.Mode != release.Audit || p.Fail.Score != 9 || p.Fail.ScoreWhere != ".knowngood.yaml:9" ||
		p.Fail.Level != release.LevelError || p.Warn.Score != 2.5 || !p.Warn.Off ||
		p.Incomplete.Verb != release.Notice || p.Unstated.Verb != release.Block || !p.NewOnly ||
		p.Suppressions != policy.TrustInSource {
		t.Errorf("parsed %+v", p)
	}
	wantWaiver := policy.Waiver{
		Match: policy.Match{Rule: "G304", Path: "cmd/import/**"}, Owner: "anna", Reason: "the operator gives the path",
		Expires: time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC), Where: ".knowngood.yaml:24",
	}
	if diff := cmp.Diff([]policy.Waiver{wantWaiver}, p.Waivers); diff != "" {
		t.Errorf("waivers (-want +got):\n%s", diff)
	}
	if p.Required[0].MaxAge != 24*time.Hour || p.Rules[0].CWE != 89 || p.Budgets[0].AtMost != 3 {
		t.Errorf("parsed %+v", p)
	}
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "gate:\n", "inputs: {app: shop}\n"} {
		p, err := policy.Parse("p", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want := policy.Default()
		if p.Fail != want.Fail || p.Warn != want.Warn || p.Mode != want.Mode || p.Incomplete != want.Incomplete {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse("p", data)
		if err != nil {
			if fault.StatusOf(err) != fault.Usage {
				t.Errorf("%v is not an error of usage", err)
			}
			return
		}
		// However it was written, nothing known is never a pass.
		if got := p.Decide(policy.Request{}).Outcome; got != release.Fail {
			t.Errorf("no scan is a %s", got)
		}
	})
}
