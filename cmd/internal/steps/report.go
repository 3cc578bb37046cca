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
		"--comment always a comment that could not be written is an error instead. What a\n" +
		"server or a token does not have at all, such as check runs on Gitea, is said once."
	set.Example = "knowngood report --app shop --run \"$RUN\" --source-repository acme/shop --pull-request 7"
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	r.subject.declare(set)
	r.reporting.declare(set)
	r.reporting.handing.declareFrom(set)
}

// Run implements Step.
func (r *Report) Run(ctx context.Context, run *Run) error {
	if err := report.CheckLinkTemplate(r.reporting.link); err != nil {
		return err
	}
	if err := r.take(run); err != nil {
		return err
	}
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

	deploymentsAuto  = "auto"
	deploymentsNever = "never"
)

// errNowhere: there is no repository, so there is no pull request.
var errNowhere = errors.New("no repository is known")

// reporting holds the inputs of the report alone, and what it found while it worked.
type reporting struct {
	comment     string
	check       bool
	status      bool
	prefix      string
	deployments string
	link        string
	// untrusted is true for a record that nobody vouches for. It is published as a comment and
	// a neutral check run of their own, and turns nothing green.
	untrusted bool
	handing   handing
	// unchecked says why there is certainly no check run, nil where there is or may be one.
	unchecked error
}

func (r *reporting) declare(set *step.Set) {
	set.Text(&r.comment, "comment", commentAuto,
		"When to comment on the pull request: auto where there is one and the token may, always or it is an error, never.",
		step.Choices(commentAuto, commentAlways, commentNever))
	set.Bool(&r.check, "check", true, "Whether to write a check run with annotations, where the token is an app's, as a workflow's own is.")
	set.Bool(&r.status, "status", true, "Whether to set commit statuses.")
	set.Text(&r.prefix, "status-prefix", "knowngood",
		"Name of the check run, and what the names of the commit statuses begin with; give each application of a repository its own.")
	set.Text(&r.deployments, "deployments", deploymentsAuto,
		"When to tell GitHub of the deploy as a deployment to the environment: auto where there is one and the token may, never.",
		step.Choices(deploymentsAuto, deploymentsNever))
	set.Text(&r.link, "link-template", "",
		"Address of a page about a backup, to which the report links its id: {place}, {id} and {commit} are filled in, percent-encoded. Empty links nothing.")
	r.handing.declareTo(set)
	set.Output("comment", "Link to the comment on the pull request.")
	set.Permission("pull-requests", "write", "the comment")
	set.Permission("checks", "write", "the check run with annotations")
	set.Permission("statuses", "write", "the commit statuses")
	set.Permission("deployments", "write", "the deployment; leave it out for none")
}

// annotate points the findings out by the face itself where there is no check run that does, and
// returns what is to be said of it. What nobody vouches for is about the source of another
// commit than the job's.
func (r *reporting) annotate(run *Run, record release.Record) string {
	gate := record.Last("gate")
	if r.unchecked == nil || !r.check || r.untrusted || run.Annotate == nil || gate == nil || gate.Decision == nil {
		return ""
	}
	all, total := report.Annotations(gate.Decision, report.AnnotationLimit)
	if total == 0 {
		return ""
	}
	shown := 0
	for _, one := range all {
		if run.Annotate(one) {
			shown++
		}
	}
	run.Log.Info("the job annotates findings, since there is no check run", "annotated", shown, "left_out", total-shown)
	return fmt.Sprintf("there is no check run, so the job annotates %d of %d findings, the worst of each level: a runner keeps ten errors and ten warnings of a step", shown, total)
}

// run tells the run's record everywhere, and notes in the entry where it was told and what could
// not be, of which it warns. The error it returns is the sum of the latter: it must not end a
// release.
func (r *reporting) run(ctx context.Context, run *Run, s *subject, e *release.Entry) error {
	e.Report = &release.Report{}
	record, err := r.record(ctx, run, s)
	record.Repository = cmp.Or(record.Repository, s.source)
	// What earlier reports left is no part of the story: telling it twice changes nothing.
	record.Entries = slices.DeleteFunc(slices.Clone(record.Entries), func(e release.Entry) bool { return e.Step == "report" })
	for _, e := range record.Entries {
		record.RunURL = cmp.Or(e.RunURL, record.RunURL)
	}
	options := report.Options{Server: pullrequest.Server(s.forge.api), Gitea: pullrequest.Gitea(s.forge.api), Unverified: r.untrusted, LinkTemplate: r.link}
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
		if errors.Is(err, pullrequest.ErrUnsupported) { // nobody can mend that
			run.Log.Info("the report does without", "why", err.Error())
			continue
		}
		run.Log.Warn("the report is not whole", "why", err.Error(), "cure", strings.Join(fault.Hints(err), "; "))
	}
	if note := r.annotate(run, record); note != "" {
		options.Notes = append(options.Notes, note)
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
	missed = append(missed, r.handOver(run, record)...)
	run.Tell(report.Text(record, options))
	return errors.Join(missed...)
}
