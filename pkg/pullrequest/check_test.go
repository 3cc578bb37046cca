// SPDX-License-Identifier: Apache-2.0

package pullrequest_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/test/github"
)

// checkOf returns a check run with so many annotations.
func checkOf(annotations int) pullrequest.Check {
	check := pullrequest.Check{
		Name: "knowngood", Conclusion: "failure", Title: "fail: shop must not ship", Summary: "### fail", URL: "https://ci.example/1",
	}
	for i := range annotations {
		check.Annotations = append(check.Annotations, pullrequest.Annotation{
			Path: "a.go", Line: i + 1, EndLine: i + 1, Level: "failure", Title: "G202", Message: fmt.Sprintf("finding %d", i),
		})
	}
	return check
}

func write(t *testing.T, c *pullrequest.Client, m pullrequest.Marker, check pullrequest.Check) pullrequest.Checked {
	t.Helper()
	done, err := c.Check(t.Context(), head, m, check)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// annotated asserts that the only check run has each annotation once, in order.
func annotated(t *testing.T, w *world, want int) {
	t.Helper()
	runs := w.CheckRuns(repository, head)
	if len(runs) != 1 {
		t.Fatalf("%d check runs, want 1", len(runs))
	}
	for i, a := range runs[0].Annotations {
		if a.Message != fmt.Sprintf("finding %d", i) {
			t.Fatalf("annotation %d is %q", i, a.Message)
		}
	}
	if n := len(runs[0].Annotations); n != want || runs[0].Conclusion != "failure" || runs[0].Status != "completed" {
		t.Errorf("%d annotations, want %d; %s, %s", n, want, runs[0].Status, runs[0].Conclusion)
	}
}

func TestAnnotationsGoFiftyAtATime(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 50, 51, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.client(t, workflow)
			done := write(t, c, marker("1", "01A", "01A"), checkOf(n))
			if done.Done != "created" || done.Annotated != n || !strings.Contains(done.URL, "/acme/shop/runs/") {
				t.Errorf("%+v", done)
			}
			annotated(t, w, n)
			before := len(w.Requests())
			if done := write(t, c, marker("1", "01A", "01A"), checkOf(n)); done.Done != "unchanged" || done.Annotated != n {
				t.Errorf("again: %+v", done)
			}
			if asked := len(w.Requests()) - before; asked != 1 {
				t.Errorf("%d requests to see that nothing is to be done", asked)
			}
			annotated(t, w, n)
		})
	}
}

func TestACheckRunFollowsItsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, workflow)
	passed := checkOf(0)
	passed.Conclusion, passed.Title = "success", "pass"
	failed := checkOf(2)
	for _, step := range []struct {
		name  string
		mark  pullrequest.Marker
		check pullrequest.Check
		done  string
		shown string // conclusions, oldest first
	}{
		{"the gate", marker("1", "01A", "01A"), passed, "created", "success"},
		{"the deploy failed", marker("1", "01A", "01B"), checkOf(0), "updated", "failure"},
		{"less of the same run", marker("1", "01A", "01A"), passed, "kept", "failure"},
		{"a newer run", marker("2", "01C", "01C"), passed, "created", "failure success"},
		{"the older run ends late", marker("1", "01A", "01D"), failed, "kept", "failure success"},
		{"a gate that judged again", marker("2", "01C", "01E"), failed, "created", "failure success failure"},
	} {
		done := write(t, c, step.mark, step.check)
		var shown []string
		for _, run := range w.CheckRuns(repository, head) {
			shown = append(shown, run.Conclusion)
		}
		if done.Done != step.done || strings.Join(shown, " ") != step.shown {
			t.Errorf("%s: %s, %v; want %s, %s", step.name, done.Done, shown, step.done, step.shown)
		}
	}
}

func TestAnAnswerThatIsLostAddsNothingTwice(t *testing.T) {
	t.Parallel()
	lost := func(method, path string, after bool, times int) github.Fault {
		return github.Fault{Method: method, Path: path, Status: 502, After: after, Times: times}
	}
	for name, faults := range map[string][]github.Fault{
		"created":                   {lost("POST", "/check-runs$", true, 1)},
		"not created":               {lost("POST", "/check-runs$", false, 2)},
		"updated":                   {lost("PATCH", "/check-runs/", true, 2)},
		"not updated":               {lost("PATCH", "/check-runs/", false, 3)},
		"all of it":                 {lost("POST", "/check-runs$", true, 1), lost("PATCH", "/check-runs/", true, 1), lost("PATCH", "/check-runs/", false, 1), lost("PATCH", "/check-runs/", true, 1)},
		"slowed down between":       {github.Throttled("1"), {Method: "PATCH", Path: "/check-runs/", Status: 429, Header: map[string]string{"Retry-After": "2"}}},
		"a read behind lost writes": {lost("PATCH", "/check-runs/", true, 1), lost("GET", "/check-runs/", false, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Fail(faults...)
			write(t, w.client(t, workflow), marker("1", "01A", "01A"), checkOf(170))
			annotated(t, w, 170)
		})
	}
}

func TestAReportThatWasKilledGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(github.Fault{Method: "PATCH", Path: "/check-runs/", Status: 429, Header: map[string]string{"Retry-After": "9999"}})
	done, err := w.client(t, workflow).Check(t.Context(), head, marker("1", "01A", "01A"), checkOf(120))
	if !errors.Is(err, pullrequest.ErrLimited) || done.URL == "" || w.CheckRuns(repository, head)[0].Conclusion != "failure" {
		t.Errorf("%+v, %v: want the conclusion to be there", done, err)
	}
	write(t, w.client(t, workflow), marker("1", "01A", "01A"), checkOf(120))
	annotated(t, w, 120)
}

// Processes that begin at once may each make a check run, which nobody can delete: all of them
// say the same, and the findings are pointed out once.
func TestProcessesThatCheckAtOnceAnnotateOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var writers sync.WaitGroup
	for range 2 {
		c := w.client(t, workflow)
		writers.Go(func() {
			if _, err := c.Check(t.Context(), head, marker("1", "01A", "01A"), checkOf(0)); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	write(t, w.client(t, workflow), marker("1", "01A", "01B"), checkOf(0))
	write(t, w.client(t, workflow), marker("2", "01C", "01C"), checkOf(3))
	all := 0
	for _, run := range w.CheckRuns(repository, head) {
		all += len(run.Annotations)
		if run.Conclusion != "failure" {
			t.Errorf("a check run says %s", run.Conclusion)
		}
	}
	if all != 3 {
		t.Errorf("%d annotations in all, want 3", all)
	}
}

func TestOthersCheckRunsAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddToken("other", github.Token{Login: "other[bot]", App: true, Scopes: github.Everything()})
	theirs := checkOf(1)
	theirs.Summary = "theirs"
	write(t, w.client(t, "other"), marker("9", "00A", "00A"), theirs)
	before := w.CheckRuns(repository, head)
	write(t, w.client(t, workflow), marker("1", "01A", "01A"), checkOf(1))
	after := w.CheckRuns(repository, head)
	if diff := cmp.Diff(before[0], after[0]); diff != "" || len(after) != 2 {
		t.Errorf("theirs (-before +after), %d in all:\n%s", len(after), diff)
	}
}

func TestWhereThereAreNoCheckRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, token string
		fault       github.Fault
		is          error
		says, hints string
	}{
		{"a person's token", person, github.Fault{}, pullrequest.ErrUnsupported, "takes the token of an app, as a workflow's own is", ""},
		{"a server without them", workflow, github.Fault{Path: "/check-runs$", Status: 404, Times: 9}, pullrequest.ErrUnsupported, "127.0.0.1", ""},
		{"a token that may not", reader, github.Fault{}, pullrequest.ErrForbidden, `403 "Resource not accessible by integration"`, "checks: write"},
		{"a commit that is not there", workflow, github.Fault{Path: "/check-runs$", Status: 422, Body: `{"message":"No commit found for SHA: x"}`}, pullrequest.ErrRejected, "No commit found", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.fault.Status > 0 {
				w.Fail(test.fault)
			}
			done, err := w.client(t, test.token).Check(t.Context(), head, marker("1", "01A", "01A"), checkOf(1))
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || !strings.Contains(hint(err), test.hints) || done.URL != "" {
				t.Errorf("%+v, %v, hint %s", done, err, hint(err))
			}
			if !strings.HasPrefix(err.Error(), "write check run knowngood of commit 3f2a9c1d0b7e: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
