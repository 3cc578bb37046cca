// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dashboard is the link that the Pipeline's run has in its record.
const dashboard = "https://tekton.example.org/runs/1"

// alike has the Action report, on a real runner and to a GitHub that has heard nothing yet, what
// the Pipeline's report told of the same record. The link in it is the record's, too: what differs
// is the address of the two GitHubs.
func (s stranger) alike(t *testing.T) {
	s = s.within(t)
	told, states := s.conversation(7, "clean")
	runs := strings.Fields(s.kubernetes("get", "pipelineruns", "-o", "jsonpath={.items[*].metadata.uid}"))
	if len(runs) != 1 {
		t.Fatalf("runs %q, want the one that shipped", runs)
	}
	a := arrive(t, s.Journey, nil)
	a.job.Event, a.job.Payload = "workflow_dispatch", map[string]any{"inputs": map[string]any{
		"catalog": s.records(t), "commit": s.Commits["clean"], "pull-request": "7", "run": runs[0],
	}}
	a.head = s.Commits["clean"]
	got := a.start("report.yml").Wait()
	got.Check(t, map[string]string{"report": "success"}, map[string]string{"report.run": runs[0]})
	byTask := strings.ReplaceAll(told, "https://github."+s.github()+".svc/", "GITHUB/")
	byAction := strings.ReplaceAll(a.comment(), a.job.Env["GITHUB_API_URL"]+"/", "GITHUB/")
	if diff := cmp.Diff(byTask, byAction); diff != "" {
		t.Errorf("comments (-Task +Action):\n%s", diff)
	}
	if diff := cmp.Diff(states, a.states()); diff != "" {
		t.Errorf("statuses (-Task +Action):\n%s", diff)
	}
	for _, want := range []string{dashboard, "GITHUB/" + Repository + "/commit/", "proved on the wire"} {
		if !strings.Contains(byAction, want) {
			t.Errorf("the comment has no %q:\n%s", want, byAction)
		}
	}
}

// records fetches the records from the volume into a folder.
func (s stranger) records(t *testing.T) string {
	t.Helper()
	archive := s.kubernetes("exec", "volume", "--", "sh", "-c", "tar --create --directory /release/source/.knowngood . | base64 --wrap=0")
	data, err := base64.StdEncoding.DecodeString(archive)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	unpack := exec.CommandContext(t.Context(), "tar", "--extract", "--directory", folder)
	unpack.Stdin = bytes.NewReader(data)
	if output, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return folder
}

// digestForm is what Tekton Chains takes for a digest.
var digestForm = regexp.MustCompile("^sha256:[0-9a-f]{64}$")

// signable holds what each Task made to the rules by which Tekton Chains (v0.22) signs: an object
// whose name ends in ARTIFACT_OUTPUTS, with a place, a digest, and the word that it was built. The
// digest is that of the bytes which lie at the place.
func (s stranger) signable(t *testing.T, end told) {
	t.Helper()
	folder, seen := s.records(t), map[string]bool{}
	for name, run := range end.tasks {
		for _, result := range run.Status.Results {
			if !strings.HasSuffix(result.Name, "ARTIFACT_OUTPUTS") {
				continue
			}
			made := result.Value.ObjectVal
			_, place, inside := strings.Cut(made["uri"], "/v1/")
			data, err := os.ReadFile(filepath.Join(folder, "v1", place))
			if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); !inside || err != nil || made["digest"] != sum ||
				!digestForm.MatchString(made["digest"]) || made["isBuildArtifact"] != "true" {
				t.Errorf("task %s made %v, and there lies %s, %v", name, made, sum, err)
			}
			seen[made["digest"]] = true
		}
	}
	if want := len(end.tasks) - 1; len(seen) != want { // all but the deploy
		t.Errorf("%d artifacts of %d Tasks", len(seen), want)
	}
}
