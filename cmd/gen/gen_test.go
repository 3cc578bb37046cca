// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

func TestNothingIsStale(t *testing.T) {
	t.Parallel()
	if err := run(root, true); err != nil {
		t.Error(err)
	}
}

func TestCheckSeesAStaleFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "README.md"), readme, 0o600); err != nil {
		t.Fatal(err)
	}
	nouns := filepath.Join("pkg", "release")
	if err := os.CopyFS(filepath.Join(folder, nouns), os.DirFS(filepath.Join(root, nouns))); err != nil {
		t.Fatal(err)
	}
	if err := run(folder, false); err != nil {
		t.Fatal(err)
	}
	if err := run(folder, true); err != nil {
		t.Fatalf("fresh files are stale: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "README.md"), append(readme, "more"...), 0o600); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(folder, "action", "deploy-start", "action.yml")
	if err := os.Remove(stale); err != nil {
		t.Fatal(err)
	}
	err = run(folder, true)
	if err == nil || !strings.Contains(err.Error(), "action/deploy-start/action.yml is stale") {
		t.Errorf("a missing file is not stale: %v", err)
	}
}

// TestActionsKeepInputsOutOfShell reads each action.yml: no expression in a script, each input
// mapped to the environment, each output taken from the step.
func TestActionsKeepInputsOutOfShell(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "action/*/action.yml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("found %d actions: %v", len(files), err)
	}
	if _, err := os.Stat(filepath.Join(root, "action.yml")); err == nil {
		files = append(files, filepath.Join(root, "action.yml"))
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var action struct {
			Inputs  map[string]struct{ Description string }
			Outputs map[string]struct{ Value string }
			Runs    struct {
				Using string
				Steps []struct {
					ID, If, Shell, Run, Uses string
					Env                      map[string]string
				}
			}
		}
		if err := yaml.Unmarshal(data, &action); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		mapped := map[string]bool{}
		for _, one := range action.Runs.Steps {
			if strings.Contains(one.Run, "${{") || one.Uses != "" || one.Shell != "sh" ||
				!strings.HasPrefix(one.Run, `exec sh "$GITHUB_ACTION_PATH/`) {
				t.Errorf("%s: step %s: run %q, uses %q, shell %q", path, one.ID, one.Run, one.Uses, one.Shell)
			}
			// What runs with if: always() has to run in a job that was cancelled, and nothing else may.
			last := slices.Contains([]string{"report", "deploy-finish", "clean-up"}, filepath.Base(filepath.Dir(path)))
			if strings.HasPrefix(one.If, "always()") != last || !last && one.If != "" {
				t.Errorf("%s: step %s runs if %q", path, one.ID, one.If)
			}
			for _, value := range one.Env {
				if name := inputForm.FindStringSubmatch(value); name != nil {
					mapped[name[1]] = true
				}
			}
		}
		for name, input := range action.Inputs {
			if !mapped[name] || input.Description == "" {
				t.Errorf("%s: input %s is not mapped or not described", path, name)
			}
		}
		for name, output := range action.Outputs {
			if output.Value != "${{ steps.run.outputs."+name+" }}" {
				t.Errorf("%s: output %s is %q", path, name, output.Value)
			}
		}
	}
}

var inputForm = regexp.MustCompile(`^\$\{\{ inputs\.([a-z-]+) \}\}$`)
