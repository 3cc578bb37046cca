// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// BodyLimit is the most that a comment holds, in bytes, its marker included.
const BodyLimit = 65536

const scopeComment = "pull-requests: write"

// passes is how often a comment is looked at and put right before other writers win.
const passes = 8

// A Posted comment is what came of Comment.
type Posted struct {
	// URL is where the comment stands, "" while it does not say what it should.
	URL string
	// Done is "created", "updated", "unchanged", or "kept" where a newer run had written.
	Done string
	// By is the marker that the comment bears in the end: the newer run's where it was kept.
	By Marker
	// Removed is how many other comments of ours about the same thing were deleted.
	Removed int
}

// Comment brings the one comment about an application and an environment on a pull request to
// what the marker and the body say: it updates the oldest one of ours, creates it where there is
// none, and removes others of ours. A comment of a newer run stays as it is. Nobody else's
// comment is touched, whatever marker it bears.
//
// It returns what was done together with an error.
func (c *Client) Comment(ctx context.Context, number int, marker Marker, body string) (Posted, error) {
	doing := fmt.Sprintf("comment on pull request %s#%d", c.repository(), number)
	want := note{marker: marker, body: marker.String() + "\n\n" + body}
	if len(want.body) > BodyLimit {
		return Posted{}, fmt.Errorf("%s: %w: %d bytes, and a comment holds %d", doing, ErrRejected, len(want.body), BodyLimit)
	}
	me, err := c.whoami(ctx)
	if err != nil {
		return Posted{}, c.explain(err, doing, scopeComment)
	}
	posted, losses := Posted{Done: "unchanged"}, 0
	for range passes {
		own, err := c.own(ctx, number, me, marker)
		if err != nil {
			return posted, c.explain(err, doing, scopeComment)
		}
		settled, err := c.settle(ctx, number, own, want, &posted)
		if settled {
			return posted, nil
		}
		if lost(err) { // it may be there: look again
			if losses++; losses < attempts {
				err = c.wait(ctx, time.Second<<losses, "the answer to a new comment is lost")
			}
		}
		if err != nil {
			return posted, c.explain(err, doing, scopeComment)
		}
	}
	return posted, fmt.Errorf("%s: %w: others write at the same time", doing, ErrUnavailable)
}

// A note is a comment of ours: as it is, or as it is to be.
type note struct {
	id     int64
	url    string
	marker Marker
	body   string
}

// settle does one thing towards the wanted state, and tells whether there was nothing left to do.
// The caller looks again after each write, since another run may have written in between.
func (c *Client) settle(ctx context.Context, number int, own []note, want note, posted *Posted) (bool, error) {
	newest := want
	for _, n := range own {
		if n.marker.newer(newest.marker) {
			newest = n
		}
	}
	if newest.marker != want.marker {
		posted.Done = "kept"
	}
	posted.By = newest.marker
	issues := c.api.Issues
	if len(own) == 0 {
		_, _, err := issues.CreateComment(ctx, c.owner, c.name, number, &github.IssueComment{Body: &newest.body})
		if err == nil || lost(err) {
			posted.Done = "created"
		}
		return false, err
	}
	first := own[0]
	if !sameText(first.body, newest.body) {
		_, response, err := issues.EditComment(ctx, c.owner, c.name, first.id, &github.IssueComment{Body: &newest.body})
		if gone(response) {
			return false, nil
		}
		if err == nil && posted.Done == "unchanged" {
			posted.Done = "updated"
		}
		return false, err
	}
	posted.URL = first.url
	for _, other := range own[1:] {
		response, err := issues.DeleteComment(ctx, c.owner, c.name, other.id)
		if err != nil && !gone(response) {
			return false, err
		}
		posted.Removed++
	}
	return true, nil
}

// lost tells an answer after which a POST may have been done or not.
func lost(err error) bool {
	var answer *github.ErrorResponse
	if errors.As(err, &answer) {
		return answer.Response != nil && answer.Response.StatusCode >= http.StatusInternalServerError
	}
	var limited *limitError
	var moved *redirectError
	return err != nil && !errors.As(err, &limited) && !errors.As(err, &moved) && !errors.Is(err, context.Canceled)
}

func gone(response *github.Response) bool {
	return response != nil && response.Response != nil &&
		(response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone)
}

// sameText compares bodies as servers keep them: some turn line breaks into CRLF, or trim.
func sameText(a, b string) bool {
	clean := func(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }
	return clean(a) == clean(b)
}

// own returns the comments on a pull request that are ours and about the same thing, oldest first.
func (c *Client) own(ctx context.Context, number int, me identity, about Marker) ([]note, error) {
	var own []note
	seen := map[int64]bool{}
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		comments, response, err := c.api.Issues.ListComments(ctx, c.owner, c.name, number, options)
		if err != nil {
			return nil, err
		}
		for _, comment := range comments {
			marker, ok := markerOf(comment.GetBody())
			if ok && me.wrote(comment) && marker.about(about) && !seen[comment.GetID()] {
				seen[comment.GetID()] = true
				own = append(own, note{comment.GetID(), comment.GetHTMLURL(), marker, comment.GetBody()})
			}
		}
		if response.NextPage <= options.Page {
			break
		}
		options.Page = response.NextPage
	}
	sort.Slice(own, func(i, j int) bool { return own[i].id < own[j].id })
	return own, nil
}

// An identity is who the token is, as far as the server tells.
type identity struct {
	login string // without the "[bot]" of apps; "" when not known
	bot   bool
}

// wrote tells whether a comment is ours. Where the server does not tell an app who it is, every
// app's comment with our marker counts as ours: people cannot write as an app.
func (i identity) wrote(comment *github.IssueComment) bool {
	user := comment.GetUser()
	bot := user.GetType() == "Bot"
	if i.login == "" {
		return bot
	}
	return bot == i.bot && strings.EqualFold(strings.TrimSuffix(user.GetLogin(), "[bot]"), i.login)
}

// whoami asks who the token is. GitHub refuses this to the tokens of apps, of which a workflow's
// own is one, but tells them by GraphQL.
func (c *Client) whoami(ctx context.Context) (identity, error) {
	user, response, err := c.api.Users.Get(ctx, "")
	switch {
	case err == nil:
		return identity{strings.TrimSuffix(user.GetLogin(), "[bot]"), user.GetType() == "Bot"}, nil
	case response == nil || response.Response == nil:
		return identity{}, err
	case response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusNotFound:
		return identity{}, err
	}
	login, err := c.viewer(ctx)
	if err != nil && ctx.Err() != nil {
		return identity{}, err
	}
	return identity{strings.TrimSuffix(login, "[bot]"), true}, nil // "" where there is no GraphQL
}

func (c *Client) viewer(ctx context.Context) (string, error) {
	address := c.base.JoinPath("graphql")
	if rest, ok := strings.CutSuffix(c.base.Path, "/api/v3/"); ok {
		address = &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: rest + "/api/graphql"}
	}
	request, err := c.api.NewRequest(http.MethodPost, address.String(), map[string]string{"query": "query { viewer { login } }"})
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			Viewer struct{ Login string }
		}
		Errors []json.RawMessage
	}
	if _, err := c.api.Do(ctx, request, &answer); err != nil {
		return "", err
	}
	return answer.Data.Viewer.Login, nil
}
