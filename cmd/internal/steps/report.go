// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// reportTimeout is how long the pull request may take altogether. A release waits for it.
const reportTimeout = 3 * time.Minute

// Report tells what a run left: on the pull request, as commit statuses, in the job's summary
// and to the person who looks on.
type Report struct {
	subject   subject
	reporting reporting
}

// Declare implements Step.
func (r *Report) Declare(set *step.Set) {
	set.Name, set.Summary = "report", "Tell on the pull request what the run did, and how to go back."
	set.Long = "One comment for each application and environment is kept up to date; a run that\n" +
		"began earlier never overwrites a later one's. Without --run the newest run of the\n" +
		"commit is told. What cannot be written to GitHub goes to the job's summary and the\n" +
		"log with a warning, and the step succeeds: a report never breaks a release. With\n" +
		"--comment always a comment that could not be written is an error instead."
	set.Example = "knowngood report --app shop --run \"$RUN\" --repository acme/shop --pull-request 7"
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	r.subject.declare(set)
	r.reporting.declare(set)
}

// Run implements Step.
func (r *Report) Run(ctx context.Context, run *Run) error {
	if err := r.newest(ctx, run); err != nil {
		return err
	}
	return r.subject.record(ctx, run, "report", func(ctx context.Context, e *release.Entry) error {
		missed := r.reporting.run(ctx, run, &r.subject, e)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.reporting.comment != commentAlways || e.Report.Comment != "":
			return nil
		case errors.Is(missed, pullrequest.ErrUnauthorized), errors.Is(missed, errNowhere),
			r.subject.pullRequest > 0 && errors.Is(missed, pullrequest.ErrNotFound):
			return fault.Exit(fault.Usage, missed)
		default:
			return missed
		}
	})
}

// newest names the newest run of the commit where nobody named a run.
func (r *Report) newest(ctx context.Context, run *Run) error {
	s := &r.subject
	if s.run != "" {
		return nil
	}
	if err := named(s.application()); err != nil {
		return err
	}
	var commit release.Commit
	if err := parseCommit(&commit, "commit", s.commit); err != nil {
		return err
	}
	url, err := s.url(run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	if err == nil {
		defer store.Close()
		query := catalog.Query{App: s.application(), Environment: s.environment, Commit: string(commit), Limit: 1}
		var records []release.Record
		if records, err = store.Records(ctx, query); len(records) > 0 {
			s.run, s.environment = records[0].Run, records[0].Environment
			return nil // what could not be read is said when the record is
		}
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	return fault.Hint(fault.Usagef("no run of commit %s of %q is in the catalog", commit.Short(), s.application()),
		"give --run, and the same --app and --catalog as the steps before")
}

// Values of the input comment.
const (
	commentAuto   = "auto"
	commentAlways = "always"
	commentNever  = "never"
)

// errNowhere: there is no repository, so there is no pull request.
var errNowhere = errors.New("no repository is known")

// reporting holds the inputs of the report alone, and what it found while it worked.
type reporting struct {
	token   step.Hidden
	api     string
	comment string
	status  bool
	prefix  string
}

func (r *reporting) declare(set *step.Set) {
	set.Secret(&r.token, "token", "Token that may write to the pull request: a workflow's own, or a person's.", step.Fallback("GITHUB_TOKEN"))
	set.Text(&r.api, "github-api-url", pullrequest.DefaultAPI,
		"Address of GitHub's API; https://HOST/api/v3 for GitHub Enterprise Server.", step.Fact())
	set.Text(&r.comment, "comment", commentAuto,
		"When to comment on the pull request: auto where there is one and the token may, always or it is an error, never.",
		step.Choices(commentAuto, commentAlways, commentNever))
	set.Bool(&r.status, "status", true, "Whether to set commit statuses.")
	set.Text(&r.prefix, "status-prefix", "knowngood",
		"What the names of the commit statuses begin with; give each application of a repository its own.")
	set.Output("comment", "Link to the comment on the pull request.")
	set.Permission("pull-requests", "write", "the comment")
	set.Permission("statuses", "write", "the commit statuses")
	set.Permission("contents", "read", "finding the pull request of a commit")
}

// run tells the run's record everywhere, and notes in the entry where it was told and what could
// not be, of which it warns. The error it returns is the sum of the latter: it must not end a
// release.
func (r *reporting) run(ctx context.Context, run *Run, s *subject, e *release.Entry) error {
	e.Report = &release.Report{}
	record, err := s.read(ctx, run)
	record.Repository = cmp.Or(record.Repository, s.repository)
	// What earlier reports left is no part of the story: telling it twice changes nothing.
	record.Entries = slices.DeleteFunc(slices.Clone(record.Entries), func(e release.Entry) bool { return e.Step == "report" })
	options := report.Options{Server: pullrequest.Server(r.api)}
	if n := len(record.Entries); n > 0 {
		options.Record = catalog.Key(record.Entries[n-1])
	}
	missed := []error{}
	if err != nil {
		missed = append(missed, fmt.Errorf("the record is not whole: %w", err))
		options.Notes = append(options.Notes, missed[0].Error())
	}
	missed = append(missed, r.publish(ctx, run, s, record, options, e.Report)...)
	options.Notes = nil
	for _, err := range missed {
		options.Notes = append(options.Notes, err.Error())
		run.Log.Warn("the report is not whole", "why", err.Error(), "cure", strings.Join(fault.Hints(err), "; "))
	}
	ok, err := run.Host.Summary(report.Summary(record, options))
	if err != nil {
		missed = append(missed, err)
		options.Notes = append(options.Notes, err.Error())
		run.Log.Warn("the report is not whole", "why", err.Error())
	}
	e.Report.Summary, e.Report.Degraded = ok && err == nil, options.Notes
	if e.Report.Comment != "" {
		if err := run.Host.Output("comment", report.Clean(e.Report.Comment)); err != nil {
			missed = append(missed, err)
			run.Log.Warn("the report is not whole", "why", err.Error())
		}
	}
	run.Tell(report.Text(record, options))
	return errors.Join(missed...)
}

// publish writes to GitHub what is wanted and possible there, and returns what could not be.
func (r *reporting) publish(ctx context.Context, run *Run, s *subject, record release.Record, options report.Options, done *release.Report) []error {
	if r.comment == commentNever && !r.status {
		return nil
	}
	repository := cmp.Or(s.repository, record.Repository)
	switch {
	case repository == "" && r.comment == commentAlways:
		return []error{fault.Hint(fmt.Errorf("comment on the pull request: %w", errNowhere), "give --repository")}
	case repository == "":
		run.Log.Info("no repository is known: nothing is written to GitHub")
		return nil
	case r.token == "":
		return []error{fault.Hint(fmt.Errorf("write to %s: %w: none is given", repository, pullrequest.ErrUnauthorized),
			"set KNOWNGOOD_TOKEN or GITHUB_TOKEN")}
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	client, err := pullrequest.New(pullrequest.Options{
		API: r.api, Token: r.token.Reveal(), Repository: repository, Agent: "knowngood/" + run.Version, Now: run.Now,
		Waiting: func(d time.Duration, why string) {
			run.Log.Info("waiting", "what", "GitHub", "why", why, "seconds", d.Seconds())
		},
	})
	if err != nil {
		return []error{err}
	}
	defer client.Close()
	var missed []error
	if r.comment != commentNever {
		posted, err := r.post(ctx, run, client, cmp.Or(s.pullRequest, record.PullRequest), record, options)
		done.Comment = posted.URL
		if err != nil {
			missed = append(missed, err)
		}
		if errors.Is(err, pullrequest.ErrUnauthorized) || ctx.Err() != nil {
			return missed // the statuses would meet the same
		}
	}
	if r.status {
		set, err := client.SetStatuses(ctx, string(record.Commit), r.statuses(record))
		done.Statuses = set
		if err != nil {
			missed = append(missed, err)
		}
	}
	return missed
}

// post brings the comment on the pull request up to date.
func (r *reporting) post(ctx context.Context, run *Run, client *pullrequest.Client, number int, record release.Record, options report.Options) (pullrequest.Posted, error) {
	pull, err := find(ctx, client, number, record)
	switch {
	case errors.Is(err, pullrequest.ErrNoPullRequest) && r.comment == commentAuto:
		run.Log.Info("no pull request has the commit: there is nothing to comment on", "commit", record.Commit)
		return pullrequest.Posted{}, nil
	case err != nil:
		return pullrequest.Posted{}, err
	}
	posted, err := client.Comment(ctx, pull.Number, markerOf(record, run.Now()), report.Comment(record, options))
	if err == nil {
		run.Log.Info("comment on the pull request", "number", pull.Number, "done", posted.Done, "at", posted.URL)
	}
	if err == nil && posted.Done == "kept" {
		run.Log.Warn("the comment tells a newer run and stays as it is", "run", posted.By.Run, "commit", posted.By.Commit)
	}
	return posted, err
}

// find returns the pull request of that number, else the one that has the commit, else the one
// whose head the run knew.
func find(ctx context.Context, client *pullrequest.Client, number int, record release.Record) (pullrequest.PullRequest, error) {
	if number > 0 {
		return client.Get(ctx, number)
	}
	pull, err := client.Find(ctx, string(record.Commit))
	if errors.Is(err, pullrequest.ErrNoPullRequest) && record.Head != "" {
		return client.Find(ctx, string(record.Head))
	}
	return pull, err
}

// markerOf names the state of the run that a comment tells. A run that has left nothing yet
// begins now.
func markerOf(record release.Record, now time.Time) pullrequest.Marker {
	m := pullrequest.Marker{
		App: record.App, Environment: record.Environment, Commit: string(record.Commit), Run: record.Run,
		First: strings.ToUpper(catalog.NewRun(now)),
	}
	if n := len(record.Entries); n > 0 {
		m.First, m.Last = record.Entries[0].ID, record.Entries[n-1].ID
	}
	return m
}

func (r *reporting) statuses(record release.Record) []pullrequest.Status {
	var statuses []pullrequest.Status
	for _, s := range report.Statuses(record, r.prefix) {
		statuses = append(statuses, pullrequest.Status{
			Context: s.Context, State: s.State, Description: s.Description, URL: record.RunURL,
		})
	}
	return statuses
}
