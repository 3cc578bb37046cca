// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tools names the folder with the pinned linters, which `make lint` builds.
const tools = "KNOWNGOOD_TEST_LINTERS"

// database is one of Go vulnerabilities in its published form, version 1, that knows one: in
// strings.ToUpper.
func database(t *testing.T) string {
	t.Helper()
	return "file://" + write(t, map[string]string{
		"index/db.json":      `{"modified": "2026-01-02T03:04:05Z"}`,
		"index/modules.json": `[{"path": "stdlib", "vulns": [{"id": "GO-2026-9999", "modified": "2026-01-02T03:04:05Z"}]}]`,
		"index/vulns.json":   `[{"id": "GO-2026-9999", "modified": "2026-01-02T03:04:05Z", "aliases": []}]`,
		"ID/GO-2026-9999.json": `{"schema_version": "1.3.1", "id": "GO-2026-9999", "modified": "2026-01-02T03:04:05Z",
			"published": "2026-01-02T03:04:05Z", "summary": "It shouts", "details": "It shouts.",
			"database_specific": {"url": "https://pkg.go.dev/vuln/GO-2026-9999"},
			"affected": [{"package": {"name": "stdlib", "ecosystem": "Go"},
				"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
				"ecosystem_specific": {"imports": [{"path": "strings", "symbols": ["ToUpper"]}]}}]}`,
	})
}

// module writes a program that calls a function of package strings.
func module(t *testing.T, function string) string {
	t.Helper()
	return write(t, map[string]string{
		"go.mod":  "module example.test/app\n\ngo 1.24\n",
		"main.go": "package main\n\nimport \"strings\"\n\nfunc main() { println(strings." + function + "(\"a\")) }\n",
	})
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestVulnerabilities(t *testing.T) {
	folder := os.Getenv(tools)
	if folder == "" {
		t.Skipf("needs govulncheck: set %s to its folder, or run make lint", tools)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unreachable := "http://" + nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		function, database string
		want               error
		says               string
	}{
		"none":        {"ToLower", database(t), nil, "No vulnerabilities found"},
		"one":         {"ToUpper", database(t), errVulnerable, "GO-2026-9999"},
		"no database": {"ToLower", unreachable, errNotKnown, "vulndb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := vulnerabilities(t.Context(), &out, question{
				program: filepath.Join(folder, "govulncheck"), dir: module(t, test.function), packages: "./...", database: test.database,
			})
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("vulnerabilities() = %v, want %v, and it said\n%s", err, test.want, &out)
			}
			if !strings.Contains(out.String(), test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, &out)
			}
		})
	}
}

func TestNotAskingIsSaid(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := vulnerabilities(t.Context(), &out, question{program: "/absent", skip: true}); err != nil || !strings.HasPrefix(out.String(), "NOT CHECKED") {
		t.Errorf("vulnerabilities() = %v, said %q", err, &out)
	}
}

func TestAProgramThatCannotBeRunKnowsNothing(t *testing.T) {
	t.Parallel()
	if err := vulnerabilities(t.Context(), &bytes.Buffer{}, question{program: "/absent"}); !errors.Is(err, errNotKnown) || !strings.Contains(err.Error(), "OFFLINE=1") {
		t.Errorf("vulnerabilities() = %v, want %v with the cure", err, errNotKnown)
	}
}
