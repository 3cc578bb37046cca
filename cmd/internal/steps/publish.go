// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

// untrustedCheck is what the name of an untrusted record's check run ends with. GitHub takes a
// neutral check run of a required name for a success, so it must not have the trusted one's.
const untrustedCheck = "/untrusted"

// A publication is one record on its way to GitHub, and what became of it.
type publication struct {
	*reporting
	run     *Run
	client  *pullrequest.Client
	record  release.Record
	marker  pullrequest.Marker
	options report.Options
	done    *release.Report
	// missed is what could not be written.
	missed []error
	// outdated is true once something of a newer run about the same commit was met.
	outdated bool
}

// publish writes to GitHub what is wanted and possible there, and returns what could not be.
func (r *reporting) publish(ctx context.Context, run *Run, s *subject, record release.Record, options report.Options, done *release.Report) []error {
	if !r.wanted(record) {
		return nil
	}
	repository := cmp.Or(s.source, record.Repository)
	switch {
	case repository == "" && r.comment == commentAlways:
		return r.nothing(fault.Hint(fmt.Errorf("comment on the pull request: %w", errNowhere), "give --source-repository"))
	case repository == "":
		run.Log.Info("no repository is known: nothing is written to GitHub")
		r.unchecked = errNowhere
		return nil
	case s.forge.token == "":
		return r.nothing(fault.Hint(fmt.Errorf("write to %s: %w: none is given", repository, pullrequest.ErrUnauthorized),
			"set KNOWNGOOD_TOKEN or GITHUB_TOKEN"))
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	client, err := pullrequest.New(pullrequest.Options{
		API: s.forge.api, Token: s.forge.token.Reveal(), Repository: repository, Agent: "knowngood/" + run.Version, Now: run.Now,
		Waiting: func(d time.Duration, why string) {
			run.Log.Info("waiting", "what", "GitHub", "why", why, "seconds", d.Seconds())
		},
	})
	if err != nil {
		return r.nothing(err)
	}
	defer client.Close()
	p := &publication{reporting: r, run: run, client: client, record: record, options: options, done: done}
	p.marker = r.markerOf(record, run.Now())
	if r.untrusted { // a commit that no open pull request has as its head is none of ours
		if _, err := p.find(ctx, 0); err != nil {
			return []error{err}
		}
	}
	for _, tell := range []func(context.Context) error{
		func(ctx context.Context) error { return p.post(ctx, cmp.Or(s.pullRequest, record.PullRequest)) },
		p.annotate, p.setStatuses, p.deployed,
	} {
		if err := tell(ctx); err != nil {
			p.missed = append(p.missed, err)
			if errors.Is(err, pullrequest.ErrUnauthorized) {
				p.without(err)
			}
			if errors.Is(err, pullrequest.ErrUnauthorized) || ctx.Err() != nil {
				break // the others would meet the same
			}
		}
	}
	return p.missed
}

// nothing says that nothing was written.
func (r *reporting) nothing(why error) []error {
	r.unchecked = why
	return []error{why}
}

// without says that there is no check run, where that is certain: after an error of the server
// or of the network there may be one, and what it points out is not pointed out again.
func (p *publication) without(why error) {
	for _, refusal := range []error{
		pullrequest.ErrUnauthorized, pullrequest.ErrForbidden, pullrequest.ErrUnsupported, pullrequest.ErrNotFound, pullrequest.ErrRejected,
	} {
		if errors.Is(why, refusal) && p.done.Check == "" {
			p.unchecked = why
		}
	}
}

// wanted tells whether anything of the record is to be written to GitHub.
func (r *reporting) wanted(record release.Record) bool {
	_, deploy := report.DeploymentOf(record)
	return r.comment != commentNever || r.status || r.check || deploy && r.deployments != deploymentsNever
}

// post brings the comment on the pull request up to date.
func (p *publication) post(ctx context.Context, number int) error {
	if p.comment == commentNever {
		return nil
	}
	pull, err := p.find(ctx, number)
	switch {
	case errors.Is(err, pullrequest.ErrNoPullRequest) && p.comment == commentAuto:
		p.run.Log.Info("no pull request has the commit: there is nothing to comment on", "commit", p.record.Commit)
		return nil
	case err != nil:
		return err
	}
	posted, err := p.client.Comment(ctx, pull.Number, p.marker, report.Comment(p.record, p.options))
	p.done.Comment = posted.URL
	if err != nil {
		return err
	}
	p.run.Log.Info("comment on the pull request", "number", pull.Number, "done", posted.Done, "at", posted.URL)
	if posted.Done == "kept" {
		p.outdated = posted.By.Commit == string(p.record.Commit)
		p.run.Log.Warn("the comment tells a newer run and stays as it is", "run", posted.By.Run, "commit", posted.By.Commit)
	}
	return nil
}

// find returns the pull request of that number, else the one that has the commit, else the one
// whose head the run knew. What an untrusted run says is told on the open pull request whose
// head it is about, and nowhere else.
func (p *publication) find(ctx context.Context, number int) (pullrequest.PullRequest, error) {
	if p.untrusted {
		return p.client.FindOpen(ctx, string(p.record.Commit))
	}
	if number > 0 {
		return p.client.Get(ctx, number)
	}
	pull, err := p.client.Find(ctx, string(p.record.Commit))
	if errors.Is(err, pullrequest.ErrNoPullRequest) && p.record.Head != "" {
		return p.client.Find(ctx, string(p.record.Head))
	}
	return pull, err
}

// annotate brings the check run up to date. A kind of token or a server that has no check runs
// is no fault of anybody's: that is said, and is no warning.
func (p *publication) annotate(ctx context.Context) error {
	if !p.check {
		return nil
	}
	told, ok := report.CheckOf(p.record, p.options)
	if !ok {
		return nil
	}
	check := pullrequest.Check{
		Name: p.prefix, Conclusion: told.Conclusion, Title: told.Title, Summary: told.Summary, URL: report.Address(p.record.RunURL),
	}
	if p.untrusted {
		check.Name += untrustedCheck
	}
	for _, a := range told.Annotations {
		check.Annotations = append(check.Annotations, pullrequest.Annotation(a))
	}
	written, err := p.client.Check(ctx, string(p.record.Commit), p.marker, check)
	p.done.Check = written.URL
	if err != nil {
		p.without(err)
		return err
	}
	p.run.Log.Info("check run", "name", check.Name, "done", written.Done, "annotations", written.Annotated, "at", written.URL)
	if written.Done == "kept" {
		p.outdated = true
		p.run.Log.Warn("the check run tells a newer run and stays as it is", "name", check.Name)
	}
	return nil
}

// setStatuses sets the commit statuses, which know nothing of runs: those of a newer run are
// left alone where the comment or the check run shows that there is one.
func (p *publication) setStatuses(ctx context.Context) error {
	if !p.status || p.untrusted {
		return nil
	}
	if p.outdated {
		p.run.Log.Warn("the commit statuses stay as they are: a newer run has told of the commit", "commit", p.record.Commit)
		return nil
	}
	var statuses []pullrequest.Status
	for _, s := range report.Statuses(p.record, p.prefix) {
		statuses = append(statuses, pullrequest.Status{
			Context: s.Context, State: s.State, Description: s.Description, URL: report.Address(p.record.RunURL),
		})
	}
	set, err := p.client.SetStatuses(ctx, string(p.record.Commit), statuses)
	p.done.Statuses = set
	return err
}

// deployed tells of the deploy, where the token may. The steps around the deploy do not: they
// need no token and must not wait for GitHub, and the record knows the same when it is told.
func (p *publication) deployed(ctx context.Context) error {
	if p.deployments == deploymentsNever || p.untrusted {
		return nil
	}
	told, ok := report.DeploymentOf(p.record)
	if !ok {
		return nil
	}
	done, err := p.client.Deploy(ctx, string(p.record.Commit), p.marker, pullrequest.Deployment{
		Environment: told.Environment, State: told.State, Description: told.Description, URL: report.Address(p.record.RunURL),
	})
	switch {
	case errors.Is(err, pullrequest.ErrForbidden), errors.Is(err, pullrequest.ErrUnsupported):
		p.run.Log.Info("GitHub is not told of the deployment", "why", err.Error(), "cure", strings.Join(fault.Hints(err), "; "))
		return nil
	case err != nil:
		return err
	}
	p.done.Deployment = told.Environment
	p.run.Log.Info("deployment", "environment", told.Environment, "state", told.State, "done", done.Done)
	return nil
}

// markerOf names the state of the run that a comment tells. A run that has left nothing yet
// begins now; so does an untrusted one, whose own times are not believed.
func (r *reporting) markerOf(record release.Record, now time.Time) pullrequest.Marker {
	m := pullrequest.Marker{
		App: record.App, Environment: record.Environment, Commit: string(record.Commit), Run: record.Run,
		First: strings.ToUpper(catalog.NewRun(now)),
	}
	switch n := len(record.Entries); {
	case r.untrusted: // nor is it known which environment it is about
		m.Trust, m.Last, m.Environment = "untrusted", m.First, release.NoEnvironment
	case n > 0:
		m.First, m.Last = record.Entries[0].ID, record.Entries[n-1].ID
	}
	return m
}
