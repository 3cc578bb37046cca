// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/test/github"
)

// annotated lets the bench's face have annotations of its own, as many as room, and returns
// what it is given.
func (b *bench) annotated(room int) *[]report.Annotation {
	var all []report.Annotation
	b.run.Annotate = func(a report.Annotation) bool {
		if len(all) == room {
			return false
		}
		all = append(all, a)
		return true
	}
	return &all
}

// Findings are pointed out once: by the check run, or, where there certainly is none, by the job.
func TestFindingsArePointedOutOnce(t *testing.T) {
	t.Parallel()
	writer := func(scopes ...string) func(*bench) {
		return func(b *bench) {
			token := github.Token{Login: "github-actions[bot]", App: true, Scopes: map[string]github.Access{"pull-requests": github.Read}}
			for _, scope := range scopes {
				token.Scopes[scope] = github.Write
			}
			b.AddToken("some", token)
			b.report.subject.forge.token = "some"
		}
	}
	person := func(b *bench) {
		b.AddToken("ghp_person", github.Token{Login: "anna", Scopes: github.Everything()})
		b.report.subject.forge.token = "ghp_person"
	}
	fails := func(fault github.Fault) func(*bench) { return func(b *bench) { b.Fail(fault) } }
	for _, test := range []struct {
		name  string
		spoil func(*bench)
		job   bool // it is the job that points findings out
	}{
		{"the token may", func(*bench) {}, false},
		{"a fork's token", func(b *bench) { b.report.subject.forge.token = "reader" }, true},
		{"all but checks", writer("pull-requests", "statuses"), true},
		{"checks alone", writer("checks"), false},
		{"a person's token", person, true},
		{"a wrong token", func(b *bench) { b.report.subject.forge.token = "wrong" }, true},
		{"no token", func(b *bench) { b.report.subject.forge.token = "" }, true},
		{"no repository", func(b *bench) { b.report.subject.source = "" }, false}, // the record names it
		{"a server without check runs", fails(github.Fault{Path: "/check-runs$", Status: 404, Times: 9}), true},
		{"a server that fails", fails(github.Fault{Path: "/check-runs", Status: 503, Header: map[string]string{"Retry-After": "0"}, Times: 99}), false},
		{"none is wanted", func(b *bench) { b.report.reporting.check, b.report.subject.forge.token = false, "reader" }, false},
		{"nobody vouches for it", func(b *bench) { b.report.reporting.untrusted, b.report.subject.forge.token = true, "reader" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			test.spoil(b)
			shown := b.annotated(10)
			entry, err := b.do(t)
			if err != nil {
				t.Fatal(err)
			}
			if job := len(*shown) == 1; job != test.job || len(*shown) > 1 {
				t.Errorf("the job points out %+v", *shown)
			}
			runs := b.CheckRuns("acme/shop", commitA)
			if test.job && len(runs) > 0 {
				t.Errorf("and so does a check run: %+v", runs)
			}
			const says = "there is no check run, so the job annotates 1 of 1 findings"
			for where, text := range map[string]string{"entry": strings.Join(entry.Report.Degraded, "\n"), "summary": b.summary} {
				if strings.Contains(text, says) != test.job {
					t.Errorf("the %s says of it: %s", where, text)
				}
			}
		})
	}
}

// A face takes only so many; how many were left out is said, and a face without annotations is
// told nothing of them.
func TestAFaceTakesOnlySoManyAnnotations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.report.subject.forge.token = "reader"
	shown := b.annotated(0)
	if _, err := b.do(t); err != nil || len(*shown) != 0 || !strings.Contains(b.summary, "the job annotates 0 of 1 findings") {
		t.Errorf("%v, %+v\n%s", err, *shown, b.summary)
	}
	b = newBench(t)
	b.report.subject.forge.token = "reader"
	if _, err := b.do(t); err != nil || strings.Contains(b.summary, "annotates") || strings.Contains(b.log.String(), "annotates") {
		t.Errorf("%v\n%s%s", err, b.summary, &b.log)
	}
}
