// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// linted runs a linter over files and returns what it found.
func linted(t *testing.T, dir string, words []string, files ...string) (string, bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), words[0], append(words[1:], files...)...)
	command.Dir = dir
	output, err := command.CombinedOutput()
	return string(output), err == nil
}

func files(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		for _, path := range found {
			whole, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, whole)
		}
	}
	return all
}

// broken returns a copy of a file in which one text is replaced: a linter that finds nothing
// there looks at nothing.
func broken(t *testing.T, path, from, to string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%s has no %q: %v", path, from, err)
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(copied, []byte(strings.Replace(string(data), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// consumers are the workflows that the tests run.
func consumers() []string {
	return []string{"testdata/consumer/.github/workflows/*.yml", "../journey/testdata/action/.github/workflows/*.yml"}
}

func TestActionlintFindsNothing(t *testing.T) {
	t.Parallel()
	program := os.Getenv("KNOWNGOOD_TEST_ACTIONLINT")
	if program == "" {
		t.Skip("needs actionlint: KNOWNGOOD_TEST_ACTIONLINT names the program")
	}
	workflows := files(t, append(consumers(), "../../.github/workflows/*.yml")...)
	if found, ok := linted(t, ".", []string{program}, workflows...); !ok {
		t.Errorf("actionlint:\n%s", found)
	}
	if found, ok := linted(t, ".", []string{program}, broken(t, workflows[0], "runs-on:", "runs-in:")); ok || found == "" {
		t.Error("a broken workflow passes")
	}
}

func TestGitHubsLanguageServiceFindsNothing(t *testing.T) {
	t.Parallel()
	script := os.Getenv("KNOWNGOOD_TEST_LANGUAGE_SERVICE")
	if script == "" {
		t.Skip("needs GitHub's language service: KNOWNGOOD_TEST_LANGUAGE_SERVICE names its bundle")
	}
	all := files(t, append([]string{"../../action.yml", "../../action/*/action.yml"}, consumers()...)...)
	if found, ok := linted(t, ".", []string{"node", script}, all...); !ok {
		t.Errorf("the language service:\n%s", found)
	}
	if found, ok := linted(t, ".", []string{"node", script}, broken(t, all[0], "shell: sh", "shall: sh")); ok || found == "" {
		t.Error("a broken action.yml passes")
	}
}

// The scripts of the Action are plain POSIX shell.
func TestShellcheckFindsNothing(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("needs shellcheck on the PATH (apt-get install shellcheck)")
	}
	if found, ok := linted(t, ".", []string{program, "-s", "sh"}, files(t, "../../action/scripts/*.sh")...); !ok {
		t.Errorf("shellcheck:\n%s", found)
	}
}
