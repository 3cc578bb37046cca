// SPDX-License-Identifier: Apache-2.0

// Package scanners holds the reader to what real tools write: each test runs one on a small
// project with known flaws, and reads its SARIF.
package scanners

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
)

// wanted skips a test unless KNOWNGOOD_TEST_SCANNERS names its tool, or all.
func wanted(t *testing.T, tool, cost string) {
	t.Helper()
	asked := os.Getenv("KNOWNGOOD_TEST_SCANNERS")
	if asked != "all" && !slices.Contains(strings.Split(asked, ","), tool) {
		t.Skipf("set KNOWNGOOD_TEST_SCANNERS=%s (or all) to build and run the real %s: %s", tool, tool, cost)
	}
}

// built is the path of a tool that a module below test/tools pins; Go builds it once.
func built(t *testing.T, module, tool, flags string) string {
	t.Helper()
	dir, err := filepath.Abs("../tools/" + module)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-C", dir, "-n", tool)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="+flags)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	path, err := cmd.Output()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", tool, err, problem.Bytes())
	}
	return strings.TrimSpace(string(path))
}

// project writes files into a new folder.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a command in a folder and returns what it wrote. The statuses are those with which
// a scanner says that it found something.
func run(t *testing.T, dir string, statuses []int, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local")
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil && !slices.Contains(statuses, cmd.ProcessState.ExitCode()) {
		t.Fatalf("%v: %v\n%s%s", command, err, out.Bytes(), problem.Bytes())
	}
	return out.String()
}

// A finding is what a test expects of one.
type finding struct {
	Rule, Path string
	Line       int
	Level      release.Level
	Suppressed bool
}

// scan reads a file as the gate does, and holds it to a plain decode of the same bytes.
func scan(t *testing.T, dir, file string) release.Scan {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	scans, err := sarif.Read(bytes.NewReader(data), file, sarif.Options{Root: dir, Folder: root.FS(), Source: root.FS()})
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	var plain struct {
		Runs []struct{ Results []any }
	}
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	if len(scans) != 1 || len(plain.Runs) != 1 || len(scans[0].Findings) != len(plain.Runs[0].Results) {
		t.Fatalf("%d scans of %d runs in\n%s", len(scans), len(plain.Runs), data)
	}
	return scans[0]
}

// found compares findings, whatever their order.
func found(t *testing.T, scan release.Scan, want ...finding) {
	t.Helper()
	var got []finding
	for _, f := range scan.Findings {
		got = append(got, finding{f.Rule, f.Location.Path, f.Location.Line, f.Level, f.Suppressed})
		if f.FingerprintKind == "weak" {
			t.Errorf("%s at %s:%d is known by its place alone", f.Rule, f.Location.Path, f.Location.Line)
		}
		if f.Message == "" {
			t.Errorf("%s has no message", f.Rule)
		}
	}
	order := func(a, b finding) int {
		return strings.Compare(a.Path+a.Rule, b.Path+b.Rule)*4 + (a.Line - b.Line)
	}
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s\nnotes: %q", diff, scan.Notes)
	}
}

// goModule is the go.mod of a project that needs nothing.
const goModule = "module example.com/scanned\n\ngo 1.24\n"

func TestGosec(t *testing.T) {
	wanted(t, "gosec", "half a minute of CPU the first time")
	gosec := built(t, "scan", "gosec", "-trimpath -buildvcs=false")
	dir := project(t, map[string]string{"go.mod": goModule, "run/run.go": `package run

import (
	"os"
	"os/exec"
)

const password = "` + secret("gosec") + `"

func Run() error {
	println(password)
	return exec.Command(os.Args[1]).Run()
}

func Allowed() error {
	return exec.Command(os.Args[2]).Run() // #nosec G204 -- a person types it
}
`})
	run(t, dir, nil, gosec, "-no-fail", "-track-suppressions", "-fmt=sarif", "-out=out.sarif", "./...")
	scan := scan(t, dir, "out.sarif")
	found(t, scan,
		finding{"G101", "run/run.go", 8, release.LevelError, false},
		finding{"G204", "run/run.go", 12, release.LevelError, false},
		finding{"G204", "run/run.go", 16, release.LevelError, true},
	)
	for _, f := range scan.Findings {
		if f.Rule == "G204" && !slices.Equal(f.CWE, []int{78}) {
			t.Errorf("G204 has the weaknesses %v", f.CWE)
		}
		if f.Suppressed && f.Justification != "a person types it" {
			t.Errorf("justification %q", f.Justification)
		}
		if f.Secret != (f.Rule == "G101") {
			t.Errorf("%s is taken for a secret: %t", f.Rule, f.Secret)
		}
	}
	if scan.Tool != "gosec" || scan.Completeness != release.ScanUnknown {
		t.Errorf("%s is %s", scan.Tool, scan.Completeness)
	}
	kept(t, dir, "out.sarif", secret("gosec"))
}

// govulncheck reads a database of one invented vulnerability of the standard library.
func TestGovulncheck(t *testing.T) {
	wanted(t, "govulncheck", "half a minute of CPU the first time")
	govulncheck := built(t, "lint", "govulncheck", os.Getenv("GOFLAGS"))
	const entry = `{"schema_version":"1.3.1","id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z","published":"2000-01-01T00:00:00Z",
		"summary":"invented","details":"An invented vulnerability.","affected":[{"package":{"name":"stdlib","ecosystem":"Go"},
		"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{"imports":[{"path":"html","symbols":["EscapeString"]}]}}]}`
	database := project(t, map[string]string{
		"index/db.json":        `{"modified":"2000-01-01T00:00:00Z"}`,
		"index/modules.json":   `[{"path":"stdlib","vulns":[{"id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z"}]}]`,
		"index/vulns.json":     `[{"id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z"}]`,
		"ID/GO-2000-0001.json": entry,
	})
	dir := project(t, map[string]string{"go.mod": goModule, "main.go": `package main

import "html"

func main() {
	println(html.EscapeString("<"))
}
`})
	out := run(t, dir, nil, govulncheck, "-db", "file://"+database, "-format", "sarif", "./...")
	if err := os.WriteFile(filepath.Join(dir, "out.sarif"), []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	scan := scan(t, dir, "out.sarif")
	found(t, scan, finding{"GO-2000-0001", "go.mod", 1, release.LevelError, false})
	if scan.Tool != "govulncheck" || len(scan.Findings) > 0 && scan.Findings[0].Help == "" {
		t.Errorf("%s: %+v", scan.Tool, scan.Findings)
	}
}

func TestGolangciLint(t *testing.T) {
	wanted(t, "golangci-lint", "some minutes of CPU the first time")
	linter := filepath.Join(os.Getenv("KNOWNGOOD_TEST_LINTERS"), "golangci-lint")
	if !filepath.IsAbs(linter) { // make lint has not built it
		linter = built(t, "lint", "golangci-lint", os.Getenv("GOFLAGS"))
	}
	dir := project(t, map[string]string{"go.mod": goModule, "sub/sub.go": `package sub

import "os"

func Remove() {
	os.Remove("x")
}

func unused() {}
`})
	run(t, dir, []int{1}, linter, "run", "--no-config", "--allow-parallel-runners", "--output.sarif.path=out.sarif", "./...")
	found(t, scan(t, dir, "out.sarif"),
		finding{"errcheck", "sub/sub.go", 6, release.LevelError, false},
		finding{"unused", "sub/sub.go", 9, release.LevelError, false},
	)
}

// ESLint writes its SARIF through Microsoft's formatter. A file that it cannot parse is a
// notification there, and the scan incomplete.
func TestESLint(t *testing.T) {
	wanted(t, "eslint", "needs node and npm, and takes a hundred packages from its registry")
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("KNOWNGOOD_TEST_SCANNERS asks for eslint, which needs node and npm")
	}
	lock, err := os.ReadFile("../tools/eslint/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("../tools/eslint/package.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := project(t, map[string]string{
		"package.json": string(manifest), "package-lock.json": string(lock),
		".eslintrc.json": `{"root":true,"parserOptions":{"ecmaVersion":2022},"rules":{"no-eval":"error","no-unused-vars":"warn"}}`,
		"src/good.js":    "export default 1;\n",
		"src/sample.js":  "const unused = 1;\neval('1');\n// eslint-disable-next-line no-eval -- tried and found safe\neval('2');\n",
	})
	run(t, dir, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	lint := []string{"node_modules/.bin/eslint", "--format", "@microsoft/eslint-formatter-sarif", "--output-file", "out.sarif"}
	run(t, dir, []int{1}, append(lint, "src/sample.js")...)
	scan1 := scan(t, dir, "out.sarif")
	found(t, scan1,
		finding{"no-unused-vars", "src/sample.js", 1, release.LevelWarning, false},
		finding{"no-eval", "src/sample.js", 2, release.LevelError, false},
		finding{"no-eval", "src/sample.js", 4, release.LevelError, true},
	)
	run(t, dir, []int{1}, append(lint, "src/")...)
	if scan := scan(t, dir, "out.sarif"); scan.Completeness != release.ScanIncomplete {
		t.Errorf("a file was not parsed, and the scan is %s: %q", scan.Completeness, scan.Notes)
	}
}
