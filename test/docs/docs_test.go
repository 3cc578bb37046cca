// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/docs"
)

const root = "../.."

var block = regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```$")

// TestYAMLThatPeopleCopy checks every block of YAML in the documentation.
func TestYAMLThatPeopleCopy(t *testing.T) {
	t.Parallel()
	files := []string{"README.md", "tekton/README.md", "CONTRIBUTING.md", "SECURITY.md"}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range block.FindAllSubmatchIndex(text, -1) {
			checked++
			line := 1 + strings.Count(string(text[:found[2]]), "\n")
			if err := docs.Check(t.Context(), root, string(text[found[2]:found[3]])); err != nil {
				t.Errorf("%s:%d: %v", file, line, err)
			}
		}
	}
	if checked < 5 {
		t.Errorf("%d blocks of YAML: the form of the documentation has changed", checked)
	}
}

// TestTheSmallestWorkflow is the first block of the README, as its words promise.
func TestTheSmallestWorkflow(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if first := string(block.FindSubmatch(text)[1]); strings.Count(first, "\n") >= 20 || !strings.Contains(first, "knowngood/knowngood@") {
		t.Errorf("%d lines:\n%s", strings.Count(first, "\n"), first)
	}
}

func TestCheckSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an unknown key":    "on: push\njobs:\n  a:\n    runs-on: x\n    stepps: []\n",
		"an unknown input":  "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: knowngood/knowngood@v1\n        with:\n          sariff: x\n",
		"an unknown action": "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: knowngood/knowngood/action/gat@v1\n",
		"a policy":          "gate:\n  fial: {}\n",
		"a run":             "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: r-\nspec:\n  pipelineReff: {}\n",
		"an invalid run":    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: r-\nspec: {}\n",
		"a role":            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nrule: []\n",
		"anything":          "a: 1\n",
		"no YAML":           "\ta",
	} {
		if docs.Check(t.Context(), root, text) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
