// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/test/github"
	"github.com/knowngood/knowngood/test/github/contract"
)

// A bench is a run with a record in its catalog, a GitHub, and a job's summary.
type bench struct {
	*github.Server
	run     *Run
	host    *host
	log     bytes.Buffer
	summary string
	noFile  error // what writing the summary meets
	// answered hears of each request after its answer was written.
	answered func(path string)
	report   *Report
}

func (b *bench) Output(name, value string) error { return b.host.Output(name, value) }
func (b *bench) Mask(string)                     {}

func (b *bench) Summary(markdown string) (bool, error) {
	if b.noFile != nil {
		return false, b.noFile
	}
	b.summary = markdown
	return true, nil
}

// newBench makes a bench whose run 1 has a failed gate.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{Server: &github.Server{Check: contract.Hold(t)}}
	b.AddToken("good", github.Token{Login: "github-actions[bot]", App: true, Scopes: github.Everything()})
	b.AddToken("reader", github.Token{Login: "github-actions[bot]", App: true, Scopes: map[string]github.Access{
		"pull-requests": github.Read, "statuses": github.Read,
	}})
	b.AddPull("acme/shop", github.Pull{Number: 7, Head: commitA})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.ServeHTTP(w, r)
		if b.answered != nil {
			b.answered(r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	b.run, b.host = newRun(t)
	b.run.Host = b
	b.run.Log = slog.New(slog.NewTextHandler(&b.log, nil))
	b.leave(t, "1", &release.Decision{
		Outcome: release.Fail, Risk: release.RiskHigh, Mode: release.Enforce, Reasons: []string{"1 finding blocks"}, Policy: "built-in",
		Judgements: []release.Judgement{{Verb: release.Block, Finding: release.Finding{
			Tool: "gosec", Rule: "G202", Message: "SQL string concatenation", Level: release.LevelError,
			Location: release.Location{Path: "internal/orders/store.go", Line: 57},
		}}},
	})
	b.report = &Report{}
	set := &step.Set{}
	b.report.Declare(set)
	b.report.subject = theSubject()
	b.report.subject.source = "acme/shop"
	b.report.subject.forge.token, b.report.subject.forge.api = "good", server.URL
	return b
}

// leave puts a gate's entry into the catalog.
func (b *bench) leave(t *testing.T, run string, decision *release.Decision) {
	t.Helper()
	s := theSubject()
	s.run, s.source, s.runURL = run, "acme/shop", "https://ci.example/runs/"+run
	err := s.record(t.Context(), b.run, "gate", func(_ context.Context, e *release.Entry) error {
		e.Decision = decision
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) do(t *testing.T) (release.Entry, error) {
	t.Helper()
	err := b.report.Run(t.Context(), b.run)
	entry, _ := b.host.result.(release.Entry)
	return entry, err
}

func TestAFailedGateIsToldEverywhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entry, err := b.do(t)
	if err != nil || entry.State != release.Done || entry.Step != "report" || len(entry.Report.Degraded) > 0 {
		t.Fatalf("%+v, %v\n%s", entry, err, &b.log)
	}
	comments := b.Comments("acme/shop", 7)
	if len(comments) != 1 {
		t.Fatalf("%d comments", len(comments))
	}
	link := "(" + b.report.subject.forge.api + "/acme/shop/blob/" + commitA + "/internal/orders/store.go#L57)"
	for where, text := range map[string]string{"comment": comments[0].Body, "summary": b.summary} {
		for _, must := range []string{"### ❌ fail · shop must not ship\n", "[`internal/orders/store.go:57`]" + link, "SQL string concatenation", "https://ci.example/runs/1", "record `v1/shop/none/"} {
			if !strings.Contains(text, must) {
				t.Errorf("the %s lacks %q:\n%s", where, must, text)
			}
		}
	}
	if told := strings.Join(b.host.told, ""); !strings.Contains(told, "✗ fail: shop must not ship\n") {
		t.Errorf("told %s", told)
	}
	statuses := b.Statuses("acme/shop", commitA)
	if len(statuses) != 1 || statuses[0].Context != "knowngood/gate" || statuses[0].State != "failure" || statuses[0].TargetURL != "https://ci.example/runs/1" {
		t.Errorf("statuses %+v", statuses)
	}
	if link := b.host.outputs["comment"]; link == "" || link != entry.Report.Comment {
		t.Errorf("output %q, entry %q", link, entry.Report.Comment)
	}
	if !entry.Report.Summary || len(entry.Report.Statuses) != 1 {
		t.Errorf("entry %+v", entry.Report)
	}
}

func TestTheNewestRunOfTheCommitIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.leave(t, "2", &release.Decision{Outcome: release.Pass, Mode: release.Enforce})
	b.report.subject.run = ""
	entry, err := b.do(t)
	if err != nil || entry.Run != "2" || !strings.Contains(b.Comments("acme/shop", 7)[0].Body, "✅ pass · shop may ship") {
		t.Errorf("run %q, %v\n%s", entry.Run, err, b.summary)
	}
}

func TestNoRunOfTheCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.report.subject.run, b.report.subject.commit = "", strings.Repeat("b", 40)
	_, err := b.do(t)
	if fault.StatusOf(err) != fault.Usage || err.Error() != `no run of commit bbbbbbbbbbbb of "shop" is in the catalog` || len(fault.Hints(err)) != 1 {
		t.Errorf("error %v", err)
	}
	b.report.subject.catalog = "elsewhere"
	if _, err := b.do(t); fault.StatusOf(err) != fault.Usage {
		t.Errorf("no catalog: %v", err)
	}
}

// What cannot be written is said in the summary, in the entry and as a warning, and the step
// succeeds; with --comment always it is an error.
func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		spoil  func(*bench)
		says   string
		always fault.Status
	}{
		{"wrong token", func(b *bench) { b.report.subject.forge.token = "wrong" }, "the token is not accepted (401 \"Bad credentials\")", fault.Usage},
		{"no token", func(b *bench) { b.report.subject.forge.token = "" }, "the token is not accepted: none is given", fault.Usage},
		{"a token in two words", func(b *bench) { b.report.subject.forge.token = "a b" }, "characters that no token has", fault.Usage},
		{"a fork's token", func(b *bench) { b.report.subject.forge.token = "reader" }, "the token may not do this", fault.Failed},
		{"no such pull request", func(b *bench) { b.report.subject.pullRequest = 8 }, "get pull request acme/shop#8: not found", fault.Usage},
		{"no such repository", func(b *bench) { b.report.subject.source = "acme/other" }, "in acme/other: not found (404", fault.Failed},
		{"no repository's name", func(b *bench) { b.report.subject.source = "shop" }, `repository "shop": want owner/name`, fault.Usage},
		{"wrong address", func(b *bench) { b.report.subject.forge.api = "http://ghes.example" }, "the token would travel in clear text", fault.Usage},
		{"refused", func(b *bench) {
			b.Fail(github.Fault{Method: "POST", Path: "/comments$", Status: 422, Body: `{"message":"no"}`})
		}, `refused as invalid (422 "no")`, fault.Failed},
		{"patience", func(b *bench) {
			b.Fail(github.Fault{Path: "/comments$", Status: 429, Header: map[string]string{"Retry-After": "999"}, Times: 9})
		}, "GitHub asks to wait for 16m39s", fault.Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			test.spoil(b)
			entry, err := b.do(t)
			if err != nil || entry.State != release.Done {
				t.Fatalf("auto: %+v, %v", entry, err)
			}
			said := strings.Join(entry.Report.Degraded, "\n")
			for where, text := range map[string]string{"entry": said, "log": strings.ReplaceAll(b.log.String(), `\"`, `"`), "told": strings.Join(strings.Fields(strings.Join(b.host.told, "")), " ")} {
				if !strings.Contains(text, test.says) {
					t.Errorf("the %s lacks %q: %s", where, test.says, text)
				}
			}
			if !strings.Contains(b.summary, "❌ fail · shop must not ship") || !strings.Contains(b.summary, "- Note: ") {
				t.Errorf("summary %s", b.summary)
			}
			b = newBench(t)
			test.spoil(b)
			b.report.reporting.comment = "always"
			if _, err := b.do(t); fault.StatusOf(err) != test.always || !strings.Contains(err.Error(), test.says) {
				t.Errorf("always: status %d, %v, want %d", fault.StatusOf(err), err, test.always)
			}
		})
	}
}

func TestACommitWithoutAPullRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.report.subject.commit = strings.Repeat("c", 40)
	b.AddCommits("acme/shop", b.report.subject.commit)
	b.report.subject.run = "main"
	entry, err := b.do(t)
	if err != nil || len(entry.Report.Degraded) > 0 || entry.Report.Comment != "" || strings.Contains(b.log.String(), "level=WARN") {
		t.Errorf("auto: %+v, %v\n%s", entry.Report, err, &b.log)
	}
	b.report.reporting.comment = "always"
	if _, err := b.do(t); fault.StatusOf(err) != fault.Failed || !strings.Contains(err.Error(), "no pull request has it") {
		t.Errorf("always: %v", err)
	}
}

func TestASquashedPullRequestIsFoundByItsMergeAndByItsHead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	squashed := strings.Repeat("d", 40)
	b.AddPull("acme/shop", github.Pull{Number: 7, Head: commitA, MergeCommit: squashed})
	b.report.subject.commit, b.report.subject.run = squashed, "main"
	if entry, err := b.do(t); err != nil || !strings.Contains(entry.Report.Comment, "/pull/7#") {
		t.Errorf("%+v, %v", entry.Report, err)
	}
	rebased := strings.Repeat("e", 40)
	b.report.subject.commit, b.report.subject.head, b.report.subject.run = rebased, commitA, "main2"
	if entry, err := b.do(t); err != nil || !strings.Contains(entry.Report.Comment, "/pull/7#") {
		t.Errorf("by its head: %+v, %v", entry.Report, err)
	}
}

func TestNothingIsWrittenWhereNothingIsWanted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.report.reporting.comment, b.report.reporting.status, b.report.reporting.check, b.report.subject.forge.token = "never", false, false, ""
	entry, err := b.do(t)
	if err != nil || len(entry.Report.Degraded) > 0 || len(b.Requests()) > 0 || b.summary == "" {
		t.Errorf("%+v, %v, %v", entry.Report, err, b.Requests())
	}
	b.report.reporting.comment, b.report.subject.source = "auto", ""
	b.report.subject.run = "elsewhere"
	if entry, err = b.do(t); err != nil || len(entry.Report.Degraded) > 0 || len(b.Requests()) > 0 {
		t.Errorf("no repository: %+v, %v", entry.Report, err)
	}
}

func TestASummaryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.noFile = errors.New("GITHUB_STEP_SUMMARY: disk full")
	entry, err := b.do(t)
	if err != nil || entry.Report.Summary || len(entry.Report.Degraded) != 1 || len(b.Comments("acme/shop", 7)) != 1 {
		t.Errorf("%+v, %v", entry.Report, err)
	}
}

func TestAnOlderRunLeavesTheCommentOfANewer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.leave(t, "2", &release.Decision{Outcome: release.Pass, Mode: release.Enforce})
	b.report.subject.run = "2"
	if _, err := b.do(t); err != nil {
		t.Fatal(err)
	}
	b.report.subject.run = "1"
	entry, err := b.do(t)
	if err != nil || entry.Report.Comment == "" || !strings.Contains(b.log.String(), "stays as it is") {
		t.Errorf("%+v, %v", entry.Report, err)
	}
	if body := b.Comments("acme/shop", 7)[0].Body; !strings.Contains(body, "✅ pass") {
		t.Errorf("comment %s", body)
	}
}

func TestCancelledReport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.Fail(github.Fault{Path: "/comments$", Status: 429, Header: map[string]string{"Retry-After": "60"}, Times: 9})
	b.answered = func(path string) {
		if strings.HasSuffix(path, "/comments") {
			cancel() // the step is about to wait
		}
	}
	err := b.report.Run(ctx, b.run)
	if fault.StatusOf(err) != fault.Cancelled {
		t.Errorf("error %v", err)
	}
	c, err := catalog.OpenExisting(t.Context(), b.run.Dir+"/records", b.run.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	record, err := c.Record(t.Context(), "shop", "", "1")
	if err != nil || record.Last("report") == nil || record.Last("report").State != release.Cancelled {
		t.Errorf("record %+v, %v", record, err)
	}
	if !strings.Contains(b.summary, "❌ fail") {
		t.Error("the summary is not written")
	}
}
