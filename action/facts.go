// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// event is the part of a webhook payload that tells what is judged. Names are GitHub's
// (GitHub documentation, "Webhook events and payloads").
type event struct {
	read        bool
	After       string `json:"after"`
	PullRequest struct {
		Number int `json:"number"`
		Head   struct {
			SHA string `json:"sha"`
		} `json:"head"`
	} `json:"pull_request"`
	MergeGroup struct {
		HeadSHA string `json:"head_sha"`
	} `json:"merge_group"`
	WorkflowRun struct {
		HeadSHA string `json:"head_sha"`
	} `json:"workflow_run"`
}

// Fact answers for the inputs that a workflow run knows by itself.
func (h *Host) Fact(_ context.Context, in step.Input) (string, bool, error) {
	value, err := h.fact(in.Name)
	return value, value != "" && err == nil, err
}

func (h *Host) fact(name string) (string, error) {
	env := h.config.Getenv
	switch name {
	case "commit":
		return h.commit()
	case "source-repository":
		return env("GITHUB_REPOSITORY"), nil
	case "run":
		if env("GITHUB_RUN_ID") == "" {
			return "", nil
		}
		return env("GITHUB_RUN_ID") + "." + env("GITHUB_RUN_ATTEMPT"), nil
	case "run-url":
		if env("GITHUB_SERVER_URL") == "" || env("GITHUB_RUN_ID") == "" {
			return "", nil
		}
		return env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY") + "/actions/runs/" + env("GITHUB_RUN_ID"), nil
	case "github-api-url":
		return env("GITHUB_API_URL"), nil
	case "pull-request":
		if err := h.readEvent(); err != nil || h.event.PullRequest.Number == 0 {
			return "", err
		}
		return strconv.Itoa(h.event.PullRequest.Number), nil
	case "catalog":
		if temp := env("RUNNER_TEMP"); temp != "" {
			return filepath.Join(temp, "knowngood", "catalog"), nil
		}
	}
	return "", nil
}

// commit is the pull request's head, the merge group's head or the pushed commit, and never
// the test merge commit, to which no branch will ever point.
func (h *Host) commit() (string, error) {
	if err := h.readEvent(); err != nil {
		return "", err
	}
	switch h.config.Getenv("GITHUB_EVENT_NAME") {
	case "pull_request", "pull_request_target", "pull_request_review":
		return h.event.PullRequest.Head.SHA, nil
	case "merge_group":
		return h.event.MergeGroup.HeadSHA, nil
	case "workflow_run":
		return h.event.WorkflowRun.HeadSHA, nil
	case "push":
		if h.event.After != "" {
			return h.event.After, nil
		}
	}
	return h.config.Getenv("GITHUB_SHA"), nil
}

func (h *Host) readEvent() error {
	path := h.config.Getenv("GITHUB_EVENT_PATH")
	if h.event.read || path == "" {
		return nil
	}
	data, err := os.ReadFile(path) //nolint:gosec // the runner names the file
	if err != nil {
		return fault.Hint(fmt.Errorf("event of this run: %w", err), "give --commit and --pull-request")
	}
	if err := json.Unmarshal(data, &h.event); err != nil {
		return fault.Hint(fmt.Errorf("event of this run, %s: %w", path, err), "give --commit and --pull-request")
	}
	h.event.read = true
	return nil
}
