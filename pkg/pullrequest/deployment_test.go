// SPDX-License-Identifier: Apache-2.0

package pullrequest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/test/github"
)

func deploy(t *testing.T, w *world, m pullrequest.Marker, state string) pullrequest.Deployed {
	t.Helper()
	done, err := w.client(t, workflow).Deploy(t.Context(), head, m,
		pullrequest.Deployment{Environment: "production", State: state, Description: "deployed", URL: "https://ci.example/1"})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func deployed(w *world) []string {
	var all []string
	for _, d := range w.Deployments(repository) {
		text := d.Task + " " + d.Environment
		for _, status := range d.Statuses {
			text += " " + status.State
		}
		all = append(all, text)
	}
	return all
}

func TestADeployIsOneDeploymentOfItsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, step := range []struct {
		mark        pullrequest.Marker
		state, done string
	}{
		{marker("1", "01A", "01A"), "in_progress", "created"},
		{marker("1", "01A", "01A"), "in_progress", "unchanged"},
		{marker("1", "01A", "01B"), "success", "updated"},
		{marker("2", "01C", "01C"), "failure", "created"},
		{marker("0", "00A", "01D"), "success", "kept"},
	} {
		if done := deploy(t, w, step.mark, step.state); done.Done != step.done || done.ID == 0 {
			t.Errorf("%d: %+v, want %s", i, done, step.done)
		}
	}
	want := []string{"knowngood:release production in_progress success", "knowngood:release production failure"}
	if diff := cmp.Diff(want, deployed(w)); diff != "" {
		t.Errorf("deployments (-want +got):\n%s", diff)
	}
}

func TestADeploymentNeedsNoGreenChecksAndMergesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	red := []pullrequest.Status{{Context: "ci", State: "failure"}}
	if _, err := w.client(t, workflow).SetStatuses(t.Context(), head, red); err != nil {
		t.Fatal(err)
	}
	if done := deploy(t, w, marker("1", "01A", "01A"), "success"); done.Done != "created" {
		t.Errorf("%+v", done)
	}
}

func TestADeploymentWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{true, false} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Fail(github.Fault{Method: "POST", Path: "/deployments$", Status: 502, After: after},
				github.Fault{Method: "POST", Path: "/statuses$", Status: 502, After: after})
			deploy(t, w, marker("1", "01A", "01A"), "success")
			deploy(t, w, marker("1", "01A", "01A"), "success")
			got := deployed(w)
			if len(got) != 1 || !strings.HasSuffix(got[0], " success") {
				t.Errorf("deployments %q", got)
			}
		})
	}
}

func TestWhereThereAreNoDeployments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := pullrequest.Deployment{Environment: "production", State: "success"}
	_, err := w.client(t, reader).Deploy(t.Context(), head, marker("1", "01A", "01A"), d)
	if !errors.Is(err, pullrequest.ErrForbidden) || !strings.Contains(hint(err), "deployments: ") {
		t.Errorf("a token that may not: %v, hint %s", err, hint(err))
	}
	w.Fail(github.Fault{Path: "/deployments$", Status: 404})
	if _, err := w.client(t, workflow).Deploy(t.Context(), head, marker("1", "01A", "01A"), d); !errors.Is(err, pullrequest.ErrUnsupported) {
		t.Errorf("a server without them: %v", err)
	}
}
