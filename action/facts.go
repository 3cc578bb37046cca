// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// event is the part of a webhook payload that tells what is judged. Names are GitHub's
// (GitHub documentation, "Webhook events and payloads").
type event struct {
	After       string `json:"after"`
	HeadCommit  commit `json:"head_commit"`
	PullRequest struct {
		Number int `json:"number"`
		Head   struct {
			SHA string `json:"sha"`
		} `json:"head"`
		Base struct {
			SHA string `json:"sha"`
		} `json:"base"`
	} `json:"pull_request"`
	MergeGroup struct {
		HeadSHA    string `json:"head_sha"`
		BaseSHA    string `json:"base_sha"`
		HeadCommit commit `json:"head_commit"`
	} `json:"merge_group"`
	WorkflowRun struct {
		ID         int64  `json:"id"`
		Attempt    int64  `json:"run_attempt"`
		Event      string `json:"event"`
		URL        string `json:"html_url"`
		HeadSHA    string `json:"head_sha"`
		HeadCommit commit `json:"head_commit"`
	} `json:"workflow_run"`
}

type commit struct {
	ID   string `json:"id"`
	Tree string `json:"tree_id"`
}

// A run is what the runner and the event tell of this workflow run.
type run struct {
	*githubactions.GitHubContext
	event event
}

// run reads the runner's variables and the event, once.
func (h *Host) run() (*run, error) {
	if h.known != nil {
		return h.known, nil
	}
	context, err := h.action.Context()
	if err != nil {
		return nil, fault.Hint(fmt.Errorf("what the runner tells of this run: %w", err), "give --commit and --pull-request")
	}
	known := &run{GitHubContext: context}
	if context.EventPath != "" {
		data, err := os.ReadFile(context.EventPath)
		if err == nil {
			err = json.Unmarshal(data, &known.event)
		}
		if err != nil {
			return nil, fault.Hint(fmt.Errorf("event of this run, %s: %w", context.EventPath, err), "give --commit and --pull-request")
		}
	}
	if missing := known.missing(); missing != "" {
		return nil, fault.Hint(fmt.Errorf("event of this run: %s without %s", context.EventName, missing), "give --commit, --base and --pull-request")
	}
	h.known = known
	return known, nil
}

// missing names what an event must tell and does not. To go on without it would be to judge
// the test merge, or by rules that the change itself brings.
func (r *run) missing() string {
	e := r.event
	switch pull := strings.HasPrefix(r.EventName, "pull_request"); {
	case pull && (e.PullRequest.Number <= 0 || e.PullRequest.Head.SHA == ""):
		return "a pull request's number and head"
	case pull && e.PullRequest.Base.SHA == "":
		return "the base of the pull request"
	case r.EventName == "merge_group" && (e.MergeGroup.HeadSHA == "" || e.MergeGroup.BaseSHA == ""):
		return "the head and the base of the merge group"
	case r.EventName == "workflow_run" && e.WorkflowRun.HeadSHA == "":
		return "the head of the run that it follows"
	}
	return ""
}

// Fact answers for the inputs that a workflow run knows by itself.
func (h *Host) Fact(_ context.Context, in step.Input) (string, bool, error) {
	run, err := h.run()
	if err != nil {
		return "", false, err
	}
	value := run.fact(in.Name)
	if temp := h.config.Getenv("RUNNER_TEMP"); temp != "" {
		switch in.Name {
		case "catalog":
			value = filepath.Join(temp, "knowngood", "catalog")
		case "artifact":
			value = filepath.Join(temp, "knowngood", "record.json")
		}
	}
	return value, value != "", nil
}

func (r *run) fact(name string) string {
	switch name {
	case "commit":
		return r.commit()
	case "base":
		return r.base()
	case "tree":
		return r.tree()
	case "source-repository":
		return r.Repository
	case "run":
		return r.name()
	case "run-url":
		return r.url()
	case "github-api-url":
		return r.APIURL
	case "pull-request":
		if number := r.event.PullRequest.Number; number > 0 {
			return strconv.Itoa(number)
		}
	}
	return ""
}

// commit is the pull request's head, the merge group's head or the pushed commit, and never
// the test merge commit, to which no branch will ever point. Of an annotated tag that was
// pushed it is the commit, not the tag.
func (r *run) commit() string {
	e := r.event
	switch {
	case r.onPullRequest():
		return e.PullRequest.Head.SHA
	case r.EventName == "merge_group":
		return e.MergeGroup.HeadSHA
	case r.EventName == "workflow_run":
		return e.WorkflowRun.HeadSHA
	case r.EventName == "push" && e.HeadCommit.ID != "":
		return e.HeadCommit.ID
	case r.EventName == "push" && e.After != "":
		return e.After
	}
	return r.SHA
}

// base is the commit that nobody but the repository's owners can have chosen: what the change
// is to be merged into, or the default branch's where others start the run. "" where the
// commit itself is on a branch of the repository.
func (r *run) base() string {
	switch {
	case r.onPullRequest():
		return r.event.PullRequest.Base.SHA
	case r.EventName == "merge_group":
		return r.event.MergeGroup.BaseSHA
	case r.EventName == "workflow_run", r.EventName == "issue_comment":
		return r.SHA
	}
	return ""
}

func (r *run) onPullRequest() bool {
	return strings.HasPrefix(r.EventName, "pull_request")
}

// tree is told of the very commit that is judged: payloads also describe others.
func (r *run) tree() string {
	for _, c := range []commit{r.event.HeadCommit, r.event.MergeGroup.HeadCommit, r.event.WorkflowRun.HeadCommit} {
		if c.ID != "" && c.ID == r.commit() {
			return c.Tree
		}
	}
	return ""
}

// second tells whether this run only tells what a pull request's run left: that ran with the
// pull request's own code, so that nothing it left can be trusted.
func (r *run) second() bool {
	return r.EventName == "workflow_run" && strings.HasPrefix(r.event.WorkflowRun.Event, "pull_request")
}

func (r *run) name() string {
	switch w := r.event.WorkflowRun; {
	case r.second() && w.ID > 0:
		return fmt.Sprintf("%d.%d", w.ID, max(w.Attempt, 1))
	case r.RunID > 0:
		return fmt.Sprintf("%d.%d", r.RunID, max(r.RunAttempt, 1))
	}
	return ""
}

func (r *run) url() string {
	switch {
	case r.second():
		return r.event.WorkflowRun.URL
	case r.RunID > 0 && r.Repository != "":
		return fmt.Sprintf("%s/%s/actions/runs/%d", r.ServerURL, r.Repository, r.RunID)
	}
	return ""
}

// Landed tells whether the commit may have come by a pull request that the event does not name.
func (h *Host) Landed() bool {
	run, err := h.run()
	return err == nil && run.EventName == "push"
}
