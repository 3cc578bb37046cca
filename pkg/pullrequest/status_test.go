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

var statuses = []pullrequest.Status{
	{Context: "knowngood/gate", State: "success", Description: "pass", URL: "https://ci.example/1"},
	{Context: "knowngood/snapshot", State: "failure", Description: "1 of 2 ready"},
}

func contexts(w *world) []string {
	var all []string
	for _, s := range w.Statuses(repository, head) {
		all = append(all, s.Context+" "+s.State+" "+s.Description+" "+s.TargetURL)
	}
	return all
}

func TestStatusesAreSetOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 120 { // more than a page of others' statuses
		other := pullrequest.Status{Context: fmt.Sprintf("other/%d", i), State: "success"}
		if _, err := w.client(t, person).SetStatuses(t.Context(), lonely, []pullrequest.Status{other}); err != nil {
			t.Fatal(err)
		}
	}
	c := w.client(t, workflow)
	for range 2 {
		set, err := c.SetStatuses(t.Context(), head, statuses)
		if err != nil || !cmp.Equal(set, []string{"knowngood/gate", "knowngood/snapshot"}) {
			t.Errorf("SetStatuses() = %q, %v", set, err)
		}
	}
	changed := []pullrequest.Status{statuses[0], {Context: "knowngood/snapshot", State: "success", Description: "2 ready"}}
	if _, err := c.SetStatuses(t.Context(), head, changed); err != nil {
		t.Error(err)
	}
	want := []string{
		"knowngood/gate success pass https://ci.example/1",
		"knowngood/snapshot failure 1 of 2 ready ",
		"knowngood/snapshot success 2 ready ",
	}
	if diff := cmp.Diff(want, contexts(w)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if set, err := c.SetStatuses(t.Context(), lonely, []pullrequest.Status{{Context: "other/119", State: "success"}}); err != nil || len(set) != 1 || len(w.Statuses(repository, lonely)) != 120 {
		t.Errorf("a status behind the first page was set again: %q, %v", set, err)
	}
}

func TestStatusesThatCannotBeSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.client(t, reader).SetStatuses(t.Context(), head, statuses)
	want := `set status knowngood/gate of commit 3f2a9c1d0b7e: the token may not do this (403 "Resource not accessible by integration")`
	if !errors.Is(err, pullrequest.ErrForbidden) || err.Error() != want || !strings.Contains(hint(err), "statuses: write") {
		t.Errorf("error %v, hint %s", err, hint(err))
	}
	w.Fail(github.Fault{Method: "POST", Path: "/statuses/", Status: 422, Body: `{"message":"Validation Failed"}`})
	set, err := w.client(t, workflow).SetStatuses(t.Context(), head, statuses)
	if !errors.Is(err, pullrequest.ErrRejected) || !cmp.Equal(set, []string{"knowngood/snapshot"}) {
		t.Errorf("SetStatuses() = %q, %v: want the other one to be set", set, err)
	}
	long := []pullrequest.Status{{Context: "x", State: "success", Description: strings.Repeat("é", 141)}}
	if _, err := w.client(t, workflow).SetStatuses(t.Context(), head, long); !errors.Is(err, pullrequest.ErrRejected) {
		t.Errorf("a description of 141 characters: %v", err)
	}
}

func TestAStatusWhoseAnswerIsLostIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(github.Fault{Method: "POST", Path: "/statuses/", Status: 502})
	if set, err := w.client(t, workflow).SetStatuses(t.Context(), head, statuses[:1]); err != nil || len(set) != 1 {
		t.Errorf("SetStatuses() = %q, %v", set, err)
	}
	if diff := cmp.Diff([]string{"knowngood/gate success pass https://ci.example/1"}, contexts(w)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}
