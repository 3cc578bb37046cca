// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/action"
	"github.com/knowngood/knowngood/pkg/step"
)

// testMerge is what the runner says of the checkout, which on a pull request is the test merge.
const testMerge = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

// runner returns the variables of a run that the event started.
func runner(t *testing.T, event, payload string) map[string]string {
	t.Helper()
	return map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": payload, "GITHUB_SHA": testMerge,
		"GITHUB_REPOSITORY": "octo/shop", "GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "2",
		"GITHUB_SERVER_URL": "https://ghes.example", "GITHUB_API_URL": "https://ghes.example/api/v3", "RUNNER_TEMP": "/tmp/runner",
	}
}

func host(env map[string]string, out *bytes.Buffer) *action.Host {
	return action.New(action.Config{Getenv: func(name string) string { return env[name] }, Stdout: out})
}

func factsOf(t *testing.T, h *action.Host) map[string]string {
	t.Helper()
	facts := map[string]string{}
	for _, name := range []string{
		"commit", "base", "head", "tree", "pull-request", "run", "run-url", "source-repository", "github-api-url", "catalog", "artifact", "app",
	} {
		value, ok, err := h.Fact(t.Context(), step.Input{Name: name, Fact: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ok {
			facts[name] = value
		}
	}
	return facts
}

// Each event names the commit that is judged, which is never the test merge; and the base, by
// whose rules it is judged where others than the repository's owners can have made the commit.
func TestEventsTellWhatIsJudged(t *testing.T) {
	t.Parallel()
	const pushed = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	for name, want := range map[string]map[string]string{
		"pull_request": {
			"commit": "ec26c3e57ca3a959ca5aad62de7213c562f8c821", "base": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "pull-request": "2",
		},
		"merge_group": {"commit": "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d", "base": "380387fbc80638b734a49e1be1c4dfec1c01b33c"},
		"push":        {"commit": pushed, "tree": "31b122c26a97cf9af023e9ddab94a82c6e77b0ea"},
		"push-tag":    {"commit": pushed, "tree": "4b825dc642cb6eb9a060e54bf8d69288fbee4904"},
		// A branch or tag that is gone: git's null id, which every step refuses.
		"push-deleted":      {"commit": strings.Repeat("0", 40)},
		"workflow_run":      {"commit": "5779607b49aab1200488439f02372c57b4f75444", "base": testMerge, "tree": "8181cee091cf9627ac07c3cc4b94c015a1d56706"},
		"workflow_dispatch": {"commit": testMerge},
		"schedule":          {"commit": testMerge},
		"issue_comment":     {"commit": testMerge, "base": testMerge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, _, _ := strings.Cut(name, "-")
			for fact, value := range map[string]string{
				"source-repository": "octo/shop", "run": "42.2", "run-url": "https://ghes.example/octo/shop/actions/runs/42",
				"github-api-url": "https://ghes.example/api/v3", "catalog": "/tmp/runner/knowngood/catalog",
				"artifact": "/tmp/runner/knowngood/record.json",
			} {
				want[fact] = value
			}
			h := host(runner(t, event, "testdata/events/"+name+".json"), nil)
			if diff := cmp.Diff(want, factsOf(t, h)); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if h.Landed() != (event == "push") {
				t.Errorf("Landed is %t", h.Landed())
			}
		})
	}
}

// Other events of a pull request carry the same part of the payload.
func TestEveryEventOfAPullRequestIsJudgedByItsBase(t *testing.T) {
	t.Parallel()
	for _, event := range []string{"pull_request_target", "pull_request_review", "pull_request_review_comment"} {
		facts := factsOf(t, host(runner(t, event, "testdata/events/pull_request.json"), nil))
		if facts["base"] != "f95f852bd8fca8fcc58a9a2d6c842781e32a215e" || facts["commit"] != "ec26c3e57ca3a959ca5aad62de7213c562f8c821" {
			t.Errorf("%s: %v", event, facts)
		}
	}
}

// The second stage tells the run of the pull request, not its own.
func TestTheSecondStageTellsTheFirst(t *testing.T) {
	t.Parallel()
	var payload map[string]any
	data, err := os.ReadFile("testdata/events/workflow_run.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &payload); err != nil {
		t.Fatal(err)
	}
	payload["workflow_run"].(map[string]any)["event"] = "pull_request"
	if data, err = json.Marshal(payload); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	facts := factsOf(t, host(runner(t, "workflow_run", path), nil))
	for fact, want := range map[string]string{
		"run": "1589141559.1", "run-url": "https://github.com/octo-org/octo-repo/actions/runs/1589141559",
		"commit": "5779607b49aab1200488439f02372c57b4f75444", "base": testMerge,
	} {
		if facts[fact] != want {
			t.Errorf("%s is %q, want %q", fact, facts[fact], want)
		}
	}
}

func TestAnEventThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{broken, filepath.Join(t.TempDir(), "absent.json"), "", "testdata/events/push.json"} {
		for _, event := range []string{"pull_request", "merge_group", "workflow_run"} {
			h := host(runner(t, event, payload), nil)
			if value, _, err := h.Fact(t.Context(), step.Input{Name: "base", Fact: true}); err == nil {
				t.Errorf("%s with %q: the base is %q, and no error", event, payload, value)
			}
		}
	}
}
