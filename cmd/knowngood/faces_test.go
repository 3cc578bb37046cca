// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/tekton"
	"github.com/knowngood/knowngood/test/github"
	"github.com/knowngood/knowngood/test/github/contract"
)

// told is what a report left on GitHub, but for ids and times.
type told struct {
	Comment     string
	Checks      []string
	Annotations [][]github.Annotation
	Statuses    []string
	Deployments []string
}

// TestTheSameRecordIsToldAlikeByEachFace reports stored records through the command line, the
// Action and the Task, each to a GitHub that has heard nothing yet. The link of the run is the
// record's, so that not even this differs.
func TestTheSameRecordIsToldAlikeByEachFace(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fail", "deployed", "hostile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records := t.TempDir()
			record := stored(t, records, "../../pkg/report/testdata/"+name+".json")
			var fake atomic.Pointer[github.Server]
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.Load().ServeHTTP(w, r) }))
			t.Cleanup(server.Close)
			var first told
			for _, face := range []string{"command line", "Action", "Task"} {
				s := &github.Server{Check: contract.Hold(t)}
				s.AddToken("a-good-token", github.Token{Login: "github-actions[bot]", App: true, Scopes: github.Everything()})
				s.AddPull("acme/shop", github.Pull{Number: 7, Head: string(record.Commit)})
				s.AddCommits("acme/shop", strings.Repeat("b", 40))
				fake.Store(s)
				folder := t.TempDir() // what a report leaves in the catalog is none of the others' business
				if err := os.CopyFS(folder, os.DirFS(records)); err != nil {
					t.Fatal(err)
				}
				reportAs(t, face, folder, server.URL, record)
				got := toldOf(s, record)
				if first.Comment == "" {
					first = got
				}
				if len(got.Comment) < 500 || len(got.Checks) != 1 || len(got.Statuses) == 0 {
					t.Errorf("%s: little is told: %+v", face, got)
				}
				if diff := cmp.Diff(first, got); diff != "" {
					t.Errorf("%s (-command line +this):\n%s", face, diff)
				}
			}
		})
	}
}

// stored puts a record into the catalog of a folder and returns it as it lies there. What a
// catalog would not take as a name is replaced.
func stored(t *testing.T, folder, file string) release.Record {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var record release.Record
	if err := json.Unmarshal(data, &record); err != nil {
		t.Fatal(err)
	}
	record.App, record.Environment, record.Run, record.Repository = "shop", "production", "r1", "acme/shop"
	store, err := catalog.Open(t.Context(), filepath.Join(folder, "catalog"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i, e := range record.Entries {
		if e.Subject = record.Subject; strings.HasPrefix(e.Step, "weird") {
			e.Step = "release"
		}
		if record.Entries[i], err = store.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return record
}

// reportAs runs the program as one of its faces would.
func reportAs(t *testing.T, face, folder, api string, record release.Record) {
	t.Helper()
	environ := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": folder, "KNOWNGOOD_RUN": "r1", "KNOWNGOOD_APP": "shop", "KNOWNGOOD_CATALOG": "catalog",
		"KNOWNGOOD_ENVIRONMENT": "production", "KNOWNGOOD_TOKEN": "a-good-token",
	}
	facts := map[string]string{"KNOWNGOOD_COMMIT": string(record.Commit), "KNOWNGOOD_SOURCE_REPOSITORY": "acme/shop", "KNOWNGOOD_GITHUB_API_URL": api}
	switch face {
	case "Action":
		event := fmt.Sprintf(`{"pull_request":{"number":7,"head":{"sha":%q},"base":{"sha":%q}}}`, record.Commit, strings.Repeat("b", 40))
		if err := os.WriteFile(filepath.Join(folder, "event.json"), []byte(event), 0o600); err != nil {
			t.Fatal(err)
		}
		facts = map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_API_URL": api, "GITHUB_REPOSITORY": "acme/shop", "GITHUB_SERVER_URL": "https://github.com",
			"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": filepath.Join(folder, "event.json"),
			"GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_OUTPUT": filepath.Join(folder, "output"),
			"GITHUB_STEP_SUMMARY": filepath.Join(folder, "summary.md"),
		}
	case "Task":
		facts[tekton.ResultVariable] = filepath.Join(folder, "run")
	}
	maps.Copy(environ, facts)
	command := exec.CommandContext(t.Context(), "knowngood", "report")
	command.Dir = folder
	for name, value := range environ {
		command.Env = append(command.Env, name+"="+value)
	}
	output, err := command.CombinedOutput()
	if _, missing := os.Stat(filepath.Join(folder, "record-digest")); face == "Task" && missing != nil {
		t.Errorf("it was not the Task's face: %v", missing)
	}
	if err != nil || strings.Contains(string(output), "warn:") || strings.Contains(string(output), "::warning") {
		t.Fatalf("%s: %v\n%s", face, err, output)
	}
}

func toldOf(s *github.Server, record release.Record) told {
	var all told
	for _, c := range s.Comments("acme/shop", 7) {
		all.Comment += c.Body
	}
	for _, c := range s.CheckRuns("acme/shop", string(record.Commit)) {
		all.Checks = append(all.Checks, c.Name+" "+c.Conclusion+" "+c.DetailsURL+" "+c.External+" "+c.Title+"\n"+c.Summary)
		all.Annotations = append(all.Annotations, c.Annotations)
	}
	for _, status := range s.Statuses("acme/shop", string(record.Commit)) {
		all.Statuses = append(all.Statuses, status.Context+" "+status.State+" "+status.TargetURL+" "+status.Description)
	}
	for _, d := range s.Deployments("acme/shop") {
		all.Deployments = append(all.Deployments, d.Environment+" "+string(d.Payload)+" "+d.Statuses[0].State+" "+d.Statuses[0].Description)
	}
	return all
}
