// SPDX-License-Identifier: Apache-2.0

package pullrequest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/test/github"
)

func post(t *testing.T, c *pullrequest.Client, m pullrequest.Marker, text string) pullrequest.Posted {
	t.Helper()
	posted, err := c.Comment(t.Context(), 7, m, text)
	if err != nil {
		t.Fatal(err)
	}
	return posted
}

func texts(comments []github.Comment) []string {
	var all []string
	for _, c := range comments {
		_, text, _ := strings.Cut(c.Body, "-->\n\n")
		all = append(all, text)
	}
	return all
}

func TestOneCommentIsKeptUpToDate(t *testing.T) {
	t.Parallel()
	for _, token := range []string{workflow, person} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.client(t, token)
			for _, step := range []struct {
				marker pullrequest.Marker
				text   string
				done   string
				shown  string
			}{
				{marker("1", "01A", "01A"), "gate", "created", "gate"},
				{marker("1", "01A", "01A"), "gate", "unchanged", "gate"},
				{marker("1", "01A", "01B"), "gate and deploy", "updated", "gate and deploy"},
				{marker("2", "01C", "01C"), "a newer run", "updated", "a newer run"},
				{marker("1", "01A", "01D"), "the older run ends late", "kept", "a newer run"},
				{marker("2", "01C", "01F"), "more of the newer run", "updated", "more of the newer run"},
				{marker("2", "01C", "01E"), "less of it", "kept", "more of the newer run"},
			} {
				posted := post(t, c, step.marker, step.text)
				if posted.Done != step.done || !strings.Contains(posted.URL, "/acme/shop/pull/7#issuecomment-") {
					t.Errorf("%s: %+v, want %s", step.text, posted, step.done)
				}
				if diff := cmp.Diff([]string{step.shown}, texts(w.Comments(repository, 7))); diff != "" {
					t.Errorf("%s: comments (-want +got):\n%s", step.text, diff)
				}
			}
		})
	}
}

func TestEachEnvironmentHasItsOwnComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, workflow)
	staging := marker("1", "01A", "01A")
	staging.Environment = "staging"
	post(t, c, staging, "staging")
	post(t, c, marker("1", "01A", "01A"), "production")
	if diff := cmp.Diff([]string{"staging", "production"}, texts(w.Comments(repository, 7))); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
}

func TestWhatARunSaidBeforeItKnewItsEnvironmentIsUpdated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, workflow)
	gate := marker("1", "01A", "01A")
	gate.Environment = "none"
	post(t, c, gate, "gate")
	post(t, c, marker("1", "01A", "01B"), "gate and deploy")
	gate.Run, gate.First, gate.Last = "2", "01C", "01C"
	post(t, c, gate, "the gate of the next commit")
	if diff := cmp.Diff([]string{"gate and deploy", "the gate of the next commit"}, texts(w.Comments(repository, 7))); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
}

func TestNobodyElsesCommentIsTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	forged := marker("9", "09Z", "09Z").String() + "\n\nforged"
	w.AddComment(repository, 7, "mallory", false, forged)
	w.AddComment(repository, 7, "github-actions", false, forged) // a person of the app's name
	w.AddComment(repository, 7, "other-app[bot]", true, forged)
	w.AddComment(repository, 7, "github-actions[bot]", true, "> "+forged)
	w.AddComment(repository, 7, "github-actions[bot]", true, "another workflow's words")
	before := w.Comments(repository, 7)
	post(t, w.client(t, workflow), marker("1", "01A", "01A"), "ours")
	post(t, w.client(t, workflow), marker("1", "01A", "01B"), "ours, later")
	after := w.Comments(repository, 7)
	if diff := cmp.Diff(before, after[:len(before)]); diff != "" {
		t.Errorf("others' comments (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ours, later"}, texts(after[len(before):])); diff != "" {
		t.Errorf("our comment (-want +got):\n%s", diff)
	}
}

func TestAnAppThatIsNotToldItsNameStillKnowsItsComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(github.Fault{Path: "^/graphql$", Status: 404, Times: 9})
	w.AddComment(repository, 7, "mallory", false, marker("9", "09Z", "09Z").String())
	c := w.client(t, workflow)
	post(t, c, marker("1", "01A", "01A"), "first")
	post(t, c, marker("2", "01B", "01B"), "second")
	if got := texts(w.Comments(repository, 7)[1:]); !cmp.Equal(got, []string{"second"}) {
		t.Errorf("comments %q", got)
	}
}

func TestDuplicatesEndAsTheOldest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := "github-actions[bot]"
	oldest := w.AddComment(repository, 7, me, true, marker("1", "01A", "01A").String()+"\n\none")
	w.AddComment(repository, 7, me, true, marker("2", "01B", "01B").String()+"\n\ntwo")
	w.AddComment(repository, 7, me, true, marker("1", "01A", "01C").String()+"\n\nthree")
	posted := post(t, w.client(t, workflow), marker("1", "01A", "01A"), "an old run again")
	left := w.Comments(repository, 7)
	if len(left) != 1 || left[0].ID != oldest || !cmp.Equal(texts(left), []string{"two"}) || posted.Removed != 2 {
		t.Errorf("left %+v, %+v", left, posted)
	}
	if posted.Done != "kept" || posted.By.Run != "2" {
		t.Errorf("%+v, want the newer run's to be kept", posted)
	}
}

func TestOurCommentIsFoundBehindManyOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, workflow)
	for i := range 230 {
		w.AddComment(repository, 7, "ada", false, fmt.Sprintf("talk %d", i))
		if i == 210 {
			post(t, c, marker("1", "01A", "01A"), "first")
		}
	}
	post(t, c, marker("2", "01B", "01B"), "second")
	if n := len(w.Comments(repository, 7)); n != 231 {
		t.Errorf("%d comments, want 231", n)
	}
	if got := texts(w.Comments(repository, 7)[211:212]); !cmp.Equal(got, []string{"second"}) {
		t.Errorf("our comment reads %q", got)
	}
}

func TestRunsThatWriteAtOnceEndWithOneComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var writers sync.WaitGroup
	for i := range 4 {
		c := w.client(t, workflow)
		run := fmt.Sprintf("0%d", i)
		writers.Go(func() {
			if _, err := c.Comment(t.Context(), 7, marker(run, run, run), "run "+run); err != nil && !errors.Is(err, pullrequest.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	post(t, w.client(t, workflow), marker("03", "03", "03"), "run 03")
	if got := texts(w.Comments(repository, 7)); !cmp.Equal(got, []string{"run 03"}) {
		t.Errorf("comments %q", got)
	}
}

func TestAWriteWhoseAnswerIsLostIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(github.Fault{Method: "POST", Path: "/comments$", Status: 502, After: true})
	if posted := post(t, w.client(t, workflow), marker("1", "01A", "01A"), "text"); posted.Done != "created" || posted.URL == "" {
		t.Errorf("%+v", posted)
	}
	if n := len(w.Comments(repository, 7)); n != 1 {
		t.Errorf("%d comments, want 1", n)
	}
}

func TestATooLongBodyIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.client(t, workflow).Comment(t.Context(), 7, marker("1", "01A", "01A"), strings.Repeat("x", pullrequest.BodyLimit))
	if !errors.Is(err, pullrequest.ErrRejected) || w.asked() != "" {
		t.Errorf("error %v after\n%s", err, w.asked())
	}
}

func TestCancelledCommentSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.Fail(github.Fault{Method: "POST", Path: "/comments$", Status: 502, Times: 9})
	options := w.options(workflow)
	options.Pause = func(ctx context.Context, _ time.Duration) error { cancel(); <-ctx.Done(); return context.Cause(ctx) }
	_, err := newClient(t, options).Comment(ctx, 7, marker("1", "01A", "01A"), "text")
	if !errors.Is(err, context.Canceled) || errors.Is(err, pullrequest.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func FuzzMarker(f *testing.F) {
	f.Add("shop", "production", "run", "01A")
	f.Add("-->", "--!>", "<!--", "\x00\n")
	f.Add("a--b", "&=%", "日本", "\xff")
	f.Fuzz(func(t *testing.T, app, environment, run, first string) {
		m := pullrequest.Marker{App: app, Environment: environment, Run: run, First: first}
		text := m.String()
		inner := strings.TrimSuffix(strings.TrimPrefix(text, "<!--"), "-->")
		if strings.ContainsAny(inner, "<>\n\r\x00") || strings.Contains(inner, "--") || len(text) > 4000 {
			t.Errorf("marker %q", text)
		}
	})
}
