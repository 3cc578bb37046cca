// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the program and returns what it printed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var out, told bytes.Buffer
	if err := run(t.Context(), args, &out, &told); err != nil {
		t.Fatalf("shop %s: %v\n%s", strings.Join(args, " "), err, &told)
	}
	return out.String()
}

func makeRepository(t *testing.T) (string, map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	var commits map[string]string
	if err := json.Unmarshal([]byte(command(t, "repo", dir)), &commits); err != nil {
		t.Fatal(err)
	}
	return dir, commits
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(t.Context(), dir, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRepoIsTheSameEverywhere(t *testing.T) {
	dir, commits := makeRepository(t)
	_, again := makeRepository(t)
	for _, name := range []string{"first", "clean", "injection"} {
		if len(commits[name]) != 40 || commits[name] != again[name] {
			t.Errorf("commit %s = %q, then %q; want one id", name, commits[name], again[name])
		}
	}
	if got := gitIn(t, dir, "rev-parse", "main", "wildcards"); got != commits["clean"]+"\n"+commits["injection"] {
		t.Errorf("main and wildcards = %q, want the clean commit and the injection", got)
	}
	if got := gitIn(t, dir, "diff", "--name-only", commits["first"], commits["injection"]); got != "app/store/search.go" {
		t.Errorf("the commits differ in %q, want the search alone", got)
	}
	if got := gitIn(t, dir, "status", "--porcelain"); got != "" {
		t.Errorf("the checkout is not clean: %s", got)
	}
}

// A variant must replace a file that exists, or it changes nothing.
func TestVariantsReplaceSources(t *testing.T) {
	err := fs.WalkDir(source, "variants", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, below, _ := strings.Cut(strings.TrimPrefix(path, "variants/"), "/")
		original, err := fs.ReadFile(source, strings.TrimSuffix(below, ".txt"))
		if err != nil {
			return err
		}
		variant, err := fs.ReadFile(source, path)
		if bytes.Equal(original, variant) {
			t.Errorf("%s changes nothing", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestManifests(t *testing.T) {
	database, err := databaseTag()
	if err != nil {
		t.Fatal(err)
	}
	text := command(t, "manifests", "--registry", "registry.example.test/team", "--tag", "abc", "--storage-class", "fast")
	for _, want := range []string{
		"image: registry.example.test/team/shop:abc\n", "image: registry.example.test/team/shop-db:" + database + "\n", "storageClassName: fast\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the manifests have no %q", want)
		}
	}
	for _, never := range []string{"knowngood.test/", "namespace:", "password"} {
		if strings.Contains(text, never) {
			t.Errorf("the manifests have a %q", never)
		}
	}
	asker := command(t, "manifests", "--tag", "abc", "--asker")
	if !strings.Contains(asker, "image: knowngood.test/shop:abc\n") || strings.Contains(asker, "kind: Deployment") {
		t.Errorf("the asker's manifest is wrong:\n%s", asker)
	}
}

func TestRunRefuses(t *testing.T) {
	taken := t.TempDir()
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"nothing", "wrong usage", nil},
		{"an unknown command", "wrong usage", []string{"sell"}},
		{"an unknown flag", "wrong usage", []string{"manifests", "--tga", "x"}},
		{"manifests without tag", "wrong usage", []string{"manifests"}},
		{"a repository where something is", "file exists", []string{"repo", taken}},
		{"images without folders", "needs --repo DIR and --out DIR", []string{"images"}},
		{"a scan without commit", "needs --repo DIR, --out FILE and a commit", []string{"scan", "--repo", taken, "--out", "x"}},
		{"a scan of no repository", "not a git repository", []string{"scan", "--repo", taken, "--out", "x", "main"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, told bytes.Buffer
			err := run(t.Context(), c.args, &out, &told)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("run() = %v, want an error with %q", err, c.want)
			}
			if (c.want == "wrong usage") != errors.Is(err, errUsage) {
				t.Errorf("run() = %v; only wrong usage is errUsage", err)
			}
		})
	}
}

// The whole point of the two states: the real scanner tells them apart.
func TestScanFindsTheInjectionAlone(t *testing.T) {
	if os.Getenv("SHOP_TEST_SCAN") == "" {
		t.Skip("set SHOP_TEST_SCAN=1 to build and run the real gosec (a minute of CPU the first time)")
	}
	dir, commits := makeRepository(t)
	type finding struct {
		rule, file string
		line       int
	}
	text := gitIn(t, dir, "show", commits["injection"]+":app/store/search.go")
	before, _, _ := strings.Cut(text, "query :=")
	injection := finding{"G202", "app/store/search.go", strings.Count(before, "\n") + 1}
	for name, want := range map[string][]finding{"first": nil, "clean": nil, "injection": {injection}} {
		out := filepath.Join(t.TempDir(), name+".sarif")
		command(t, "scan", "--repo", dir, "--out", out, commits[name])
		var got []finding
		for _, r := range readResults(t, out) {
			at := r.Locations[0].Physical
			got = append(got, finding{r.Rule, at.Artifact.URI, at.Region.Line})
			if r.Level != "error" {
				t.Errorf("%s: level %q, want error", name, r.Level)
			}
		}
		if len(got) != len(want) || (len(want) == 1 && got[0] != want[0]) {
			t.Errorf("gosec finds in %s: %v, want %v", name, got, want)
		}
	}
}

type result struct {
	Rule      string `json:"ruleId"`
	Level     string `json:"level"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				Line int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
}

func readResults(t *testing.T, path string) []result {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var log struct {
		Runs []struct {
			Results []result `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(data, &log); err != nil {
		t.Fatal(err)
	}
	if len(log.Runs) != 1 {
		t.Fatalf("%d runs in %s, want one", len(log.Runs), path)
	}
	if log.Runs[0].Results == nil {
		t.Fatalf("%s has no results, which says that nothing was scanned", path)
	}
	return log.Runs[0].Results
}
