// SPDX-License-Identifier: Apache-2.0

package tekton

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/step"
)

// results reads what lies in the folder of results.
func results(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(data)
	}
	return all
}

func TestOutputsAreResultsAndAnArtifact(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	host := New(Config{Result: filepath.Join(folder, "run")})
	for _, pair := range [][2]string{{"run", "r1"}, {"record", "s3://b/e.json"}, {"record-digest", "sha256:00"}} {
		if err := host.Output(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"run": "r1", "record": "s3://b/e.json", "record-digest": "sha256:00",
		"record-ARTIFACT_OUTPUTS": `{"digest":"sha256:00","isBuildArtifact":"true","uri":"s3://b/e.json"}`,
	}
	if diff := cmp.Diff(want, results(t, folder)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestWhatDoesNotFitIsLeftOut counts as Tekton does: the results' JSON with what it adds itself.
func TestWhatDoesNotFitIsLeftOut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var said bytes.Buffer
	host := New(Config{Result: filepath.Join(folder, "run"), Stderr: &said})
	for name, value := range map[string]string{
		"run": "r1", "small": strings.Repeat("s", 100), "large": strings.Repeat("l", 4000), "quoted": strings.Repeat(`"`, 2000),
	} {
		if err := host.Output(name, value); err != nil {
			t.Fatal(err)
		}
	}
	have := results(t, folder)
	if have["run"] != "r1" || len(have["small"]) != 100 || have["large"] != "" || have["quoted"] != "" {
		t.Errorf("results %v", have)
	}
	if strings.Count(said.String(), "is left out") != 2 || !strings.Contains(said.String(), "result large is left out: 4000 bytes") {
		t.Errorf("said %q", said.String())
	}
	type result struct {
		Key, Value string
		Type       int
	}
	message := []result{{"StartedAt", "2026-01-01T00:00:00.000Z", 3}, {"ExitCode", "137", 3}}
	for name, value := range have {
		message = append(message, result{name, value, 1})
	}
	if data, err := json.Marshal(message); err != nil || len(data) > 4096 {
		t.Errorf("a termination message of %d bytes: %v", len(data), err)
	}
}

func TestTheFaceKnowsTheVolumeOfTheRecords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		records, input, want string
		known                bool
	}{
		{"/workspace/records", "catalog", "/workspace/records", true},
		{"", "catalog", "", false},
		{"/workspace/records", "commit", "", false},
	} {
		host := New(Config{Records: c.records})
		value, known, err := host.Fact(t.Context(), step.Input{Name: c.input})
		if err != nil || known != c.known || known && value != c.want {
			t.Errorf("%+v: %q, %v, %v", c, value, known, err)
		}
	}
}

func TestWhatAStepDoesNotSayIsAnEmptyResult(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	host := New(Config{Result: filepath.Join(folder, "run")})
	if err := host.Begin([]step.Output{{Name: "run"}, {Name: "comment"}}); err != nil {
		t.Fatal(err)
	}
	if err := host.Output("run", "r1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"run": "r1", "comment": ""}, results(t, folder)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestAResultWithoutAFolderIsAnError(t *testing.T) {
	t.Parallel()
	host := New(Config{Result: filepath.Join(t.TempDir(), "none", "run")})
	if err := host.Output("run", "r1"); err == nil || !strings.Contains(err.Error(), "the folder of results does not exist") {
		t.Errorf("error %v", err)
	}
}
