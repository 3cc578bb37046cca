// SPDX-License-Identifier: Apache-2.0

// Package scanners holds the reader to what real tools write: each test runs one on a small
// project with known flaws, and reads its SARIF.
package scanners

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
)

// gitleaks writes the secrets that it finds into its SARIF.
func TestGitleaks(t *testing.T) {
	wanted(t, "gitleaks", "a minute of CPU the first time")
	gitleaks := built(t, "secrets", "gitleaks", os.Getenv("GOFLAGS"))
	github, generic := "ghp_"+secret("github"), secret("generic")
	dir := project(t, map[string]string{
		"config/deploy.env": "NAME=shop\nGITHUB_TOKEN=" + github + "\n",
		"src/client.py":     "import http\n\napi_key = \"" + generic + "\"\n",
	})
	run(t, dir, []int{1}, gitleaks, "dir", "--no-banner", "--report-format", "sarif", "--report-path", "out.sarif", "--exit-code", "1", ".")
	scan := scan(t, dir, "out.sarif")
	found(t, scan,
		finding{"github-pat", "config/deploy.env", 2, release.LevelWarning, false},
		finding{"generic-api-key", "src/client.py", 3, release.LevelWarning, false},
	)
	for _, f := range scan.Findings {
		if !f.Secret {
			t.Errorf("%s is not taken for a secret", f.Rule)
		}
	}
	kept(t, dir, "out.sarif", github, generic)
}

// secret makes up what looks like one. It stands nowhere in this repository.
func secret(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:])[:36]
}

// kept runs the gate on a file that holds secrets, and looks for them in all that it tells and
// leaves behind.
func kept(t *testing.T, dir, file string, secrets ...string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if !bytes.Contains(raw, []byte(secret)) {
			t.Fatalf("the scanner did not write the secret, which proves nothing:\n%s", raw)
		}
	}
	binary := filepath.Join(t.TempDir(), "knowngood")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/knowngood")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := t.TempDir()
	subject := []string{
		"--app", "shop", "--environment", "test", "--commit", strings.Repeat("1", 40), "--run", "r1", "--catalog", filepath.Join(out, "catalog"),
	}
	var forms []string
	for _, form := range []string{"sarif", "json", "junit", "gitlab", "markdown", "text"} {
		forms = append(forms, "--out", form+"="+filepath.Join(out, form))
	}
	for _, more := range [][]string{{"--json"}, {"--verbose", "--explain"}, forms} {
		args := slices.Concat([]string{"gate", "--sarif", file}, subject, more)
		absent(t, strings.Join(args, " "), tell(t, dir, out, binary, args), secrets)
		absent(t, "report", tell(t, dir, out, binary, slices.Concat([]string{"report", "--verbose"}, subject)), secrets)
	}
	diff := []string{"gate", "diff", file, file, "--out", "sarif=" + filepath.Join(out, "diff.sarif"), "--out", "json=" + filepath.Join(out, "diff.json")}
	absent(t, "diff", tell(t, dir, out, binary, diff), secrets)
	files := 0
	err = filepath.WalkDir(out, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		absent(t, path, text, secrets)
		return err
	})
	if err != nil || files < len(forms)/2+3 {
		t.Errorf("looked into %d files: %v", files, err)
	}
}

// tell runs the program, which may find the gate closed, and returns all that it says.
func tell(t *testing.T, dir, out, binary string, args []string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GITHUB_STEP_SUMMARY="+filepath.Join(out, "summary.md"))
	told, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %v\n%s", args, err, told)
	}
	return told
}

func absent(t *testing.T, where string, text []byte, secrets []string) {
	t.Helper()
	if len(text) == 0 {
		t.Errorf("%s tells nothing", where)
	}
	for _, secret := range secrets {
		// A part would do to find the rest.
		for start := 0; start+10 <= len(secret); start += 5 {
			if bytes.Contains(text, []byte(secret[start:start+10])) {
				t.Errorf("%s holds (part of) a secret:\n%s", where, text)
				break
			}
		}
	}
}
