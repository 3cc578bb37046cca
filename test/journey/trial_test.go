// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tests runs what lies in the Tasks' folders for whoever tries them, beside each other; and one
// that expects something else, which has to fail.
func (s stranger) tests(t *testing.T) {
	s = s.within(t)
	files, err := filepath.Glob(filepath.Join(s.Root, "tekton/task/*/tests/run.yaml"))
	if err != nil || len(files) < 7 {
		t.Fatalf("%d tests, %v", len(files), err)
	}
	var runs []string
	wrong := ""
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = published.ReplaceAll(text, []byte(image))
		runs = append(runs, s.begun(text))
		if strings.Contains(path, "knowngood-gate") {
			run := text[bytes.LastIndex(text, []byte("\n---\n")):] // what it brings is there
			wrong = s.begun(bytes.Replace(run, []byte("- pass\n"), []byte("- warn\n"), 1))
		}
	}
	for _, name := range runs {
		end := s.await(name)
		if !end.Status.GetCondition("Succeeded").IsTrue() {
			for task, run := range end.tasks {
				t.Errorf("%s, task %s: %v\n%s", name, task, results(run), s.logs(run))
			}
		}
	}
	if end := s.await(wrong); !end.Status.GetCondition("Succeeded").IsFalse() || end.tasks["unexpected-decision"].Name == "" {
		t.Errorf("a decision that was not expected passes: %v", end.tasks)
	}
	s.kubernetes("delete", "issuers,certificates", "-l", "knowngood.dev/test")
}

// begun creates what a test brings and returns the name of its run.
func (s stranger) begun(text []byte) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "run.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	name := ""
	for made := range strings.FieldsSeq(s.kubernetes("create", "-f", path, "-o", "name")) {
		name = strings.TrimPrefix(made, "pipelinerun.tekton.dev/")
	}
	return name
}
