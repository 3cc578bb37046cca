// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"
)

const (
	scopeRead = "pull-requests: read"
	// pages is how many pages of open pull requests are looked through.
	pages = 20
)

// A PullRequest is what a report needs to know of one.
type PullRequest struct {
	Number int
	Head   string // commit
	Open   bool
	URL    string
}

// Get returns a pull request by its number. An issue of that number is ErrNotFound.
func (c *Client) Get(ctx context.Context, number int) (PullRequest, error) {
	pull, _, err := c.api.PullRequests.Get(ctx, c.owner, c.name, number)
	if err != nil {
		return PullRequest{}, c.explain(err, fmt.Sprintf("get pull request %s#%d", c.repository(), number), scopeRead)
	}
	return of(pull), nil
}

func of(pull *github.PullRequest) PullRequest {
	return PullRequest{pull.GetNumber(), pull.GetHead().GetSHA(), pull.GetState() == "open", pull.GetHTMLURL()}
}

// Find returns the pull request that a commit belongs to, open or closed: the one whose head it
// is, else the one that was merged as this commit, else one that contains it. An open one comes
// before a closed one, and a later one before an earlier one. There being none is ErrNoPullRequest.
func (c *Client) Find(ctx context.Context, commit string) (PullRequest, error) {
	doing := fmt.Sprintf("find the pull request of commit %.12s in %s", commit, c.repository())
	var found []*github.PullRequest
	options := &github.ListOptions{PerPage: 100}
	for {
		pulls, response, err := c.api.PullRequests.ListPullRequestsWithCommit(ctx, c.owner, c.name, commit, options)
		if gone(response) {
			return c.findElsewhere(ctx, commit)
		}
		if unknownCommit(err) {
			return PullRequest{}, fmt.Errorf("%s: %w: the server does not know the commit", doing, ErrNoPullRequest)
		}
		if err != nil {
			return PullRequest{}, c.explain(err, doing, scopeRead)
		}
		for _, pull := range pulls {
			// The network of forks shares its commits; a pull request elsewhere is not ours.
			if strings.EqualFold(pull.GetBase().GetRepo().GetFullName(), c.repository()) {
				found = append(found, pull)
			}
		}
		if response.NextPage <= options.Page {
			break
		}
		options.Page = response.NextPage
	}
	if len(found) == 0 {
		return PullRequest{}, fmt.Errorf("%s: %w has it", doing, ErrNoPullRequest)
	}
	return of(slices.MaxFunc(found, func(a, b *github.PullRequest) int {
		return compare(rank(a, commit), rank(b, commit))
	})), nil
}

// findElsewhere finds the pull request of a commit where the server does not list those of a
// commit, as Gitea and Forgejo do not: an open one by its head, a merged one by asking for it.
func (c *Client) findElsewhere(ctx context.Context, commit string) (PullRequest, error) {
	pull, err := c.FindOpen(ctx, commit)
	if !errors.Is(err, ErrNoPullRequest) {
		return pull, err
	}
	path := fmt.Sprintf("repos/%s/%s/commits/%s/pull", c.owner, c.name, commit)
	request, failed := c.api.NewRequest(http.MethodGet, path, nil)
	if failed != nil {
		return PullRequest{}, failed
	}
	var merged github.PullRequest
	response, failed := c.api.Do(ctx, request, &merged)
	switch {
	case gone(response):
		return PullRequest{}, err
	case failed != nil:
		return PullRequest{}, c.explain(failed, fmt.Sprintf("find the merged pull request of commit %.12s in %s", commit, c.repository()), scopeRead)
	}
	return of(&merged), nil
}

// FindOpen returns the open pull request whose head a commit is. GitHub does not list a pull
// request from a fork among those of its commit, which is not in this repository: the open ones
// are looked through, those that changed last first. There being none is ErrNoPullRequest.
func (c *Client) FindOpen(ctx context.Context, head string) (PullRequest, error) {
	doing := fmt.Sprintf("find the open pull request with the head %.12s in %s", head, c.repository())
	options := &github.PullRequestListOptions{
		State: "open", Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: 100},
	}
	for page := 1; page <= pages; page++ {
		pulls, response, err := c.api.PullRequests.List(ctx, c.owner, c.name, options)
		if err != nil {
			return PullRequest{}, c.explain(err, doing, scopeRead)
		}
		for _, pull := range pulls {
			if pull.GetHead().GetSHA() == head && pull.GetState() == "open" {
				return of(pull), nil
			}
		}
		if response.NextPage <= options.Page {
			return PullRequest{}, fmt.Errorf("%s: %w has it", doing, ErrNoPullRequest)
		}
		options.Page = response.NextPage
	}
	return PullRequest{}, fmt.Errorf("%s: %w has it among the %d that changed last", doing, ErrNoPullRequest, pages*100)
}

// rank orders pull requests by how closely a commit belongs to them.
func rank(pull *github.PullRequest, commit string) [3]int {
	var closeness, open int
	switch commit {
	case pull.GetHead().GetSHA():
		closeness = 2
	case pull.GetMergeCommitSHA():
		if pull.MergedAt != nil { // of an open one this is a test merge
			closeness = 1
		}
	}
	if pull.GetState() == "open" {
		open = 1
	}
	return [3]int{closeness, open, pull.GetNumber()}
}

func compare(a, b [3]int) int {
	for i := range a {
		if a[i] != b[i] {
			return a[i] - b[i]
		}
	}
	return 0
}

func unknownCommit(err error) bool {
	var answer *github.ErrorResponse
	return errors.As(err, &answer) && answer.Response != nil &&
		answer.Response.StatusCode == http.StatusUnprocessableEntity && strings.HasPrefix(answer.Message, "No commit found")
}
