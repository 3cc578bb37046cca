// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"
)

const scopeStatus = "statuses: write"

// A Status is one concern of a commit. State is success, failure, error or pending; a server
// takes at most 140 characters of Description.
type Status struct{ Context, State, Description, URL string }

// SetStatuses sets statuses of a commit, and returns the contexts that are as asked, together
// with the joined errors of the others. What is set already is not set again: GitHub keeps at
// most 1,000 statuses for a commit and a context.
func (c *Client) SetStatuses(ctx context.Context, commit string, statuses []Status) ([]string, error) {
	if len(statuses) == 0 {
		return nil, nil
	}
	current := c.statuses(ctx, commit)
	var set []string
	var failed []error
	for _, status := range statuses {
		if current[status.Context] == status {
			set = append(set, status.Context)
			continue
		}
		if err := c.setStatus(ctx, commit, status); err != nil {
			failed = append(failed, c.explain(err, fmt.Sprintf("set status %s of commit %.12s", status.Context, commit), scopeStatus))
			if ctx.Err() != nil || errors.Is(failed[len(failed)-1], ErrUnauthorized) || errors.Is(failed[len(failed)-1], ErrForbidden) {
				break // the others would meet the same
			}
			continue
		}
		set = append(set, status.Context)
	}
	return set, errors.Join(failed...)
}

// setStatus may be sent twice: the newest status of a context counts.
func (c *Client) setStatus(ctx context.Context, commit string, status Status) error {
	in := &github.RepoStatus{State: &status.State, Context: &status.Context, Description: &status.Description}
	if status.URL != "" {
		in.TargetURL = &status.URL
	}
	for attempt := 1; ; attempt++ {
		_, _, err := c.api.Repositories.CreateStatus(ctx, c.owner, c.name, commit, in)
		if !lost(err) || attempt == attempts {
			return err
		}
		if err := c.wait(ctx, time.Second<<attempt, "the answer to a new status is lost"); err != nil {
			return err
		}
	}
}

// statuses returns the newest status of each context, or none where the server does not say:
// all are set then.
func (c *Client) statuses(ctx context.Context, commit string) map[string]Status {
	current := map[string]Status{}
	for page := 1; ; {
		path := fmt.Sprintf("repos/%s/%s/commits/%s/status?per_page=100&page=%d", c.owner, c.name, commit, page)
		request, err := c.api.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			return nil
		}
		var combined struct {
			Statuses []struct {
				Context, State, Description string
				// Status is what Gitea calls the state.
				Status    string
				TargetURL string `json:"target_url"`
			}
		}
		response, err := c.api.Do(ctx, request, &combined)
		if err != nil {
			return nil
		}
		for _, s := range combined.Statuses {
			current[s.Context] = Status{s.Context, cmp.Or(s.State, s.Status), s.Description, s.TargetURL}
		}
		if response.NextPage <= page {
			return current
		}
		page = response.NextPage
	}
}
