// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

const (
	// batch is how many annotations GitHub takes in one request.
	batch = 50

	scopeChecks = "checks: write"
)

// ErrUnsupported means that the server, or the kind of token, has no such thing: check runs are for apps,
// and Gitea and Forgejo have neither them nor deployments.
var ErrUnsupported = errors.New("not to be had here")

// A Check is a check run as it is to be: completed, with a conclusion.
type Check struct {
	Name string
	// Conclusion is success, failure or neutral. GitHub takes neutral of a required check for
	// a success, so what must not turn it green needs another name.
	Conclusion     string
	Title, Summary string
	// URL is where the details are, "" for none.
	URL         string
	Annotations []Annotation
}

// An Annotation points out a place in the source; Level is notice, warning or failure.
type Annotation struct {
	Path           string
	Line, EndLine  int
	Level          string
	Title, Message string
}

// Checked is what came of Check.
type Checked struct {
	// URL is where people read the check run, "" while there is none.
	URL string
	// Done is "created", "updated", "unchanged", or "kept" where a newer run had written.
	Done string
	// Annotated is how many of the annotations are there.
	Annotated int
}

// Check brings the check run of a commit to what it should be: it creates one for each run and
// updates it when the same run says more. A check run that a newer run wrote stays the newest.
//
// The conclusion goes with the first request and the annotations follow, fifty at a time, so
// that one cut short has the right conclusion. GitHub adds the annotations of an update to
// those that are there: how many are there tells where to go on, also after an answer was lost.
// Neither a check run nor its annotations can be taken away: other annotations need another
// check run, and where two processes made one for the same run the oldest gets the annotations.
func (c *Client) Check(ctx context.Context, commit string, marker Marker, check Check) (Checked, error) {
	doing := fmt.Sprintf("write check run %s of commit %.12s", check.Name, commit)
	want := identify(marker, check)
	done := Checked{Done: "unchanged"}
	runs, err := c.ownCheckRuns(ctx, commit, want, check, &done)
	if err != nil {
		return done, c.unsupported(err, doing, scopeChecks)
	}
	first := runs[0]
	done.URL, done.Annotated = first.GetHTMLURL(), first.GetOutput().GetAnnotationsCount()
	if of, _ := referenceOf(first.GetExternalID()); of.newer(want) {
		done.Done = "kept"
		return done, nil
	}
	err = c.complete(ctx, first, check, want, &done)
	bare := check
	bare.Annotations = nil
	for _, other := range runs[1:] {
		err = errors.Join(err, c.complete(ctx, other, bare, want, &Checked{}))
	}
	return done, c.unsupported(err, doing, scopeChecks)
}

// ownCheckRuns returns the check runs that are to be brought up to date, oldest first: those of
// the same run, a newer run's alone, or a new one.
func (c *Client) ownCheckRuns(ctx context.Context, commit string, want reference, check Check, done *Checked) ([]*github.CheckRun, error) {
	for losses := 0; ; {
		runs, err := c.checkRuns(ctx, commit, check.Name)
		if err != nil {
			return nil, err
		}
		var same []*github.CheckRun
		for _, run := range runs {
			of, _ := referenceOf(run.GetExternalID())
			if of.newer(want) {
				return []*github.CheckRun{run}, nil
			}
			if of.same(want) {
				same = append(same, run)
			}
		}
		if len(same) > 0 {
			return same, nil
		}
		err = c.createCheckRun(ctx, commit, want, check)
		switch {
		case err == nil:
			done.Done = "created" // and look again: another process may have made one as well
		case !lost(err):
			return nil, err
		default:
			if losses++; losses == attempts {
				return nil, err
			}
			if err := c.wait(ctx, time.Second<<losses, "the answer to a new check run is lost"); err != nil {
				return nil, err
			}
		}
	}
}

func (c *Client) createCheckRun(ctx context.Context, commit string, want reference, check Check) error {
	completed, external := "completed", want.String()
	_, _, err := c.api.Checks.CreateCheckRun(ctx, c.owner, c.name, github.CreateCheckRunOptions{
		Name: check.Name, HeadSHA: commit, ExternalID: &external, Status: &completed, Conclusion: &check.Conclusion,
		DetailsURL: address(check.URL), Output: &github.CheckRunOutput{Title: &check.Title, Summary: &check.Summary},
	})
	return err
}

// checkRuns returns the check runs of a name that bear our reference, oldest first.
func (c *Client) checkRuns(ctx context.Context, commit, name string) ([]*github.CheckRun, error) {
	all := "all"
	var ours []*github.CheckRun
	options := &github.ListCheckRunsOptions{CheckName: &name, Filter: &all, ListOptions: github.ListOptions{PerPage: 100}}
	for {
		list, response, err := c.api.Checks.ListCheckRunsForRef(ctx, c.owner, c.name, commit, options)
		if err != nil {
			return nil, err
		}
		for _, run := range list.CheckRuns {
			if _, ok := referenceOf(run.GetExternalID()); ok && run.GetName() == name {
				ours = append(ours, run)
			}
		}
		if response.NextPage <= options.Page {
			break
		}
		options.Page = response.NextPage
	}
	slices.SortFunc(ours, func(a, b *github.CheckRun) int { return compareIDs(a.GetID(), b.GetID()) })
	return slices.CompactFunc(ours, func(a, b *github.CheckRun) bool { return a.GetID() == b.GetID() }), nil
}

func compareIDs(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// complete updates a check run until it says what it should and has all annotations. An update
// whose answer is lost is looked for before it is sent again; one that was answered is done,
// whatever the answer counts.
func (c *Client) complete(ctx context.Context, run *github.CheckRun, check Check, want reference, done *Checked) error {
	told, have := says(run, check, want), run.GetOutput().GetAnnotationsCount()
	for losses := 0; ; {
		at := min(have, len(check.Annotations))
		done.Annotated = at
		if told && at == len(check.Annotations) {
			return nil
		}
		next := check.Annotations[at:min(at+batch, len(check.Annotations))]
		err := c.update(ctx, run.GetID(), check, want, next)
		switch {
		case err == nil:
			told, have = true, at+len(next)
			if done.Done == "unchanged" {
				done.Done = "updated"
			}
		case !lost(err):
			return err
		default:
			if losses++; losses == attempts {
				return err
			}
			current, err := c.again(ctx, run.GetID(), losses)
			if err != nil {
				return err
			}
			told, have = says(current, check, want), current.GetOutput().GetAnnotationsCount()
		}
	}
}

// again reads a check run after the answer to its update was lost.
func (c *Client) again(ctx context.Context, id int64, losses int) (*github.CheckRun, error) {
	if err := c.wait(ctx, time.Second<<losses, "the answer to an update of the check run is lost"); err != nil {
		return nil, err
	}
	run, _, err := c.api.Checks.GetCheckRun(ctx, c.owner, c.name, id)
	return run, err
}

// update sends what the check run should say with the annotations that are next.
func (c *Client) update(ctx context.Context, id int64, check Check, want reference, next []Annotation) error {
	completed, external := "completed", want.String()
	output := &github.CheckRunOutput{Title: &check.Title, Summary: &check.Summary}
	for _, a := range next {
		output.Annotations = append(output.Annotations, &github.CheckRunAnnotation{
			Path: &a.Path, StartLine: &a.Line, EndLine: &a.EndLine, AnnotationLevel: &a.Level, Title: &a.Title, Message: &a.Message,
		})
	}
	_, _, err := c.api.Checks.UpdateCheckRun(ctx, c.owner, c.name, id, github.UpdateCheckRunOptions{
		Name: check.Name, ExternalID: &external, Status: &completed, Conclusion: &check.Conclusion,
		DetailsURL: address(check.URL), Output: output,
	})
	return err
}

// says tells whether a check run says what it should, but for its annotations.
func says(run *github.CheckRun, check Check, want reference) bool {
	return run.GetStatus() == "completed" && run.GetConclusion() == check.Conclusion && run.GetExternalID() == want.String() &&
		run.GetOutput().GetTitle() == check.Title && sameText(run.GetOutput().GetSummary(), check.Summary)
}

func address(url string) *string {
	if url == "" {
		return nil
	}
	return &url
}

// unsupported explains an error, and tells what a server or a kind of token does not have.
func (c *Client) unsupported(err error, doing, scope string) error {
	var answer *github.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil {
		switch status := answer.Response.StatusCode; {
		case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
			return fmt.Errorf("%s: %w: %s does not know it (%d)", doing, ErrUnsupported, c.base.Host, status)
		case status == http.StatusForbidden && strings.Contains(answer.Message, "authenticate via a GitHub App"):
			return fmt.Errorf("%s: %w: it takes the token of an app, as a workflow's own is (403 %q)", doing, ErrUnsupported, said(answer))
		}
	}
	return c.explain(err, doing, scope)
}
