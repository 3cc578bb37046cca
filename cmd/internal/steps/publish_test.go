// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/github"
)

func (b *bench) contexts(commit string) []string {
	var all []string
	for _, s := range b.Statuses("acme/shop", commit) {
		all = append(all, s.Context+" "+s.State)
	}
	return all
}

func TestTheCheckRunPointsFindingsOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entry, err := b.do(t)
	runs := b.CheckRuns("acme/shop", commitA)
	if err != nil || len(runs) != 1 || entry.Report.Check == "" {
		t.Fatalf("%+v, %v, %d check runs", entry.Report, err, len(runs))
	}
	run := runs[0]
	if run.Name != "knowngood" || run.Conclusion != "failure" || run.Title != "fail: shop must not ship" || run.DetailsURL != "https://ci.example/runs/1" {
		t.Errorf("check run %+v", run)
	}
	want := []github.Annotation{{
		Path: "internal/orders/store.go", StartLine: 57, EndLine: 57, Level: "failure",
		Title: "error gosec G202", Message: "SQL string concatenation",
	}}
	if diff := cmp.Diff(want, run.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if !strings.Contains(run.Summary, "1 finding annotated in the source.") {
		t.Errorf("summary %s", run.Summary)
	}
}

// What a server does not have is said, and is no warning: nobody can mend it.
func TestAServerWithoutCheckRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Fail(github.Fault{Path: "/(check-runs|deployments)$", Status: 404, Times: 9})
	b.deploy(t, "1", release.Done)
	entry, err := b.do(t)
	said := strings.Join(entry.Report.Degraded, "\n")
	if err != nil || entry.Report.Comment == "" || !strings.Contains(said, "write check run knowngood of commit aaaaaaaaaaaa: not to be had here") {
		t.Errorf("%+v, %v", entry.Report, err)
	}
	if strings.Contains(b.log.String(), "level=WARN") || !strings.Contains(b.summary, "not to be had here") {
		t.Errorf("log %s\nsummary %s", &b.log, b.summary)
	}
	if diff := cmp.Diff([]string{"knowngood/gate failure"}, b.contexts(commitA)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestATokenThatMayNotCheckIsToldTheScope(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.AddToken("half", github.Token{Login: "github-actions[bot]", App: true, Scopes: map[string]github.Access{
		"pull-requests": github.Write, "statuses": github.Write,
	}})
	b.report.subject.forge.token = "half"
	b.deploy(t, "1", release.Done)
	entry, err := b.do(t)
	if err != nil || entry.Report.Comment == "" || len(entry.Report.Statuses) != 1 || entry.Report.Deployment != "" {
		t.Errorf("%+v, %v", entry.Report, err)
	}
	log := b.log.String()
	if !strings.Contains(log, "grant the token checks: write on acme/shop") || strings.Count(log, "level=WARN") != 1 {
		t.Errorf("log %s", log)
	}
	if !strings.Contains(log, "GitHub is not told of the deployment") || !strings.Contains(log, "grant the token deployments: write") {
		t.Errorf("the deployment: %s", log)
	}
}

// deploy leaves the end of a deploy to production in the catalog.
func (b *bench) deploy(t *testing.T, run string, state release.State) {
	t.Helper()
	s := theSubject()
	s.run, s.source, s.environment = run, "acme/shop", "production"
	err := s.record(t.Context(), b.run, "deploy-finish", func(_ context.Context, e *release.Entry) error {
		e.State, e.Deploy = state, &release.Deploy{}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.report.subject.environment = "production"
}

func TestADeployIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deploy(t, "1", release.Done)
	for range 2 {
		entry, err := b.do(t)
		if err != nil || entry.Report.Deployment != "production" {
			t.Fatalf("%+v, %v", entry.Report, err)
		}
	}
	all := b.Deployments("acme/shop")
	if len(all) != 1 || len(all[0].Statuses) != 1 || all[0].Statuses[0].State != "success" || all[0].Environment != "production" || all[0].Commit != commitA {
		t.Errorf("deployments %+v", all)
	}
	b = newBench(t)
	b.deploy(t, "1", release.Done)
	b.report.reporting.deployments = "never"
	if _, err := b.do(t); err != nil || len(b.Deployments("acme/shop")) > 0 {
		t.Errorf("never: %v, %+v", err, b.Deployments("acme/shop"))
	}
}

// An untrusted record turns nothing green: no status, no deployment, and a neutral check run
// whose name no trusted one has.
func TestAnUntrustedRecordTurnsNothingGreen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.leave(t, "2", &release.Decision{Outcome: release.Pass, Mode: release.Enforce, Reasons: []string{"all is fine"}})
	b.deploy(t, "2", release.Done)
	b.report.subject.environment = ""
	b.report.subject.run, b.report.reporting.untrusted = "2", true
	entry, err := b.do(t)
	if err != nil || len(entry.Report.Degraded) > 0 || entry.Report.Comment == "" {
		t.Fatalf("%+v, %v\n%s", entry.Report, err, &b.log)
	}
	runs := b.CheckRuns("acme/shop", commitA)
	if len(runs) != 1 || runs[0].Name != "knowngood/untrusted" || runs[0].Conclusion != "neutral" {
		t.Errorf("check runs %+v", runs)
	}
	if got := b.contexts(commitA); len(got) > 0 || len(b.Deployments("acme/shop")) > 0 {
		t.Errorf("statuses %v, deployments %v", got, b.Deployments("acme/shop"))
	}
	for where, text := range map[string]string{"comment": b.Comments("acme/shop", 7)[0].Body, "check": runs[0].Summary, "summary": b.summary} {
		if !strings.Contains(text, "not verified") || strings.Contains(text, "✅") || strings.Contains(text, "may ship") {
			t.Errorf("the %s: %s", where, text)
		}
	}
	if told := strings.Join(b.host.told, ""); strings.Contains(told, "✓ pass: shop may ship") {
		t.Errorf("told %s", told)
	}
}

// An untrusted run's comment stands beside a trusted one's: it replaces nothing, whatever it
// says of its time, and it is told on the open pull request with that head alone.
func TestAnUntrustedRecordReplacesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.do(t); err != nil {
		t.Fatal(err)
	}
	b.leave(t, "2", &release.Decision{Outcome: release.Pass, Mode: release.Enforce})
	b.report.subject.run, b.report.reporting.untrusted = "2", true
	for range 2 {
		if _, err := b.do(t); err != nil {
			t.Fatal(err)
		}
	}
	comments := b.Comments("acme/shop", 7)
	if len(comments) != 2 || !strings.Contains(comments[0].Body, "❌ fail") || !strings.Contains(comments[1].Body, "not verified") {
		t.Errorf("comments %+v", comments)
	}
	if diff := cmp.Diff([]string{"knowngood/gate failure"}, b.contexts(commitA)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	moved := newBench(t)
	moved.AddPull("acme/shop", github.Pull{Number: 7, Head: strings.Repeat("f", 40), HeadRepository: "mallory/shop"})
	moved.report.reporting.untrusted, moved.report.subject.pullRequest = true, 7
	entry, err := moved.do(t)
	if err != nil || len(moved.Comments("acme/shop", 7)) > 0 || len(moved.CheckRuns("acme/shop", commitA)) > 0 || !strings.Contains(strings.Join(entry.Report.Degraded, ""), "no pull request has it") {
		t.Errorf("a head that moved on: %+v, %v", entry.Report, err)
	}
}

// Statuses know nothing of runs: an older run of the same commit leaves a newer one's alone.
func TestAnOlderRunLeavesTheStatusesOfANewer(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*bench){
		"by the comment":   func(b *bench) { b.report.reporting.check = false },
		"by the check run": func(b *bench) { b.report.reporting.comment = "never" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			spoil(b)
			b.leave(t, "2", &release.Decision{Outcome: release.Pass, Mode: release.Enforce})
			for _, run := range []string{"2", "1"} {
				b.report.subject.run = run
				if _, err := b.do(t); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff([]string{"knowngood/gate success"}, b.contexts(commitA)); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
		})
	}
}
