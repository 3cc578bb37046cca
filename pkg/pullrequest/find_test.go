// SPDX-License-Identifier: Apache-2.0

package pullrequest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/test/github"
)

func TestFind(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("c", 40)
	for _, test := range []struct {
		name  string
		pulls []github.Pull
		want  int // 0: none
	}{
		{"none", nil, 0},
		{"open head", []github.Pull{{Number: 7, Head: merged}}, 7},
		{"closed head", []github.Pull{{Number: 7, Head: merged, Closed: true}}, 7},
		{"squashed as this commit", []github.Pull{{Number: 7, Head: head, MergeCommit: merged}}, 7},
		{"merged with this commit in it", []github.Pull{{Number: 7, Head: head, MergeCommit: other, Commits: []string{merged}}}, 7},
		{"head before merge", []github.Pull{{Number: 7, Head: head, MergeCommit: merged}, {Number: 5, Head: merged}}, 5},
		{"merge before content", []github.Pull{{Number: 9, Head: other, Commits: []string{merged}}, {Number: 7, Head: head, MergeCommit: merged}}, 7},
		{"open before closed", []github.Pull{{Number: 9, Head: merged, Closed: true}, {Number: 7, Head: merged}}, 7},
		{"later before earlier", []github.Pull{{Number: 7, Head: merged}, {Number: 9, Head: merged}, {Number: 8, Head: merged}}, 9},
		{"a test merge is none", []github.Pull{{Number: 9, Head: other, Commits: []string{merged}}, {Number: 7, Head: head, TestMerge: merged, Commits: []string{merged}}}, 9},
		{"elsewhere", []github.Pull{{Number: 7, Head: merged, BaseRepository: "mallory/shop"}}, 0},
		{"a fork's is not listed", []github.Pull{{Number: 7, Head: merged, HeadRepository: "mallory/shop"}}, 0},
		{"merged from a fork", []github.Pull{{Number: 7, Head: head, HeadRepository: "mallory/shop", MergeCommit: merged}}, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.AddCommits("acme/found", merged)
			for _, pull := range test.pulls {
				w.AddPull("acme/found", pull)
			}
			options := w.options(workflow)
			options.Repository = "acme/found"
			pull, err := newClient(t, options).Find(t.Context(), merged)
			if test.want == 0 {
				if !errors.Is(err, pullrequest.ErrNoPullRequest) || err.Error() != "find the pull request of commit 9e8d7c6b5a49 in acme/found: no pull request has it" {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || pull.Number != test.want {
				t.Errorf("Find() = %+v, %v, want %d", pull, err, test.want)
			}
		})
	}
}

func TestFindAmongManyAndOfAnUnknownCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 150 {
		w.AddPull(repository, github.Pull{Number: 100 + n, Head: strings.Repeat("d", 40), Commits: []string{lonely}, Closed: true})
	}
	w.AddPull(repository, github.Pull{Number: 9, Head: lonely, Closed: true})
	c := w.client(t, workflow)
	if pull, err := c.Find(t.Context(), lonely); err != nil || pull.Number != 9 || pull.Open {
		t.Errorf("Find() = %+v, %v, want the closed 9", pull, err)
	}
	options := w.options(workflow)
	options.Repository = "acme/other"
	if _, err := newClient(t, options).Find(t.Context(), lonely); !errors.Is(err, pullrequest.ErrNotFound) || errors.Is(err, pullrequest.ErrNoPullRequest) {
		t.Errorf("a repository that is not there: %v", err)
	}
	_, err := c.Find(t.Context(), strings.Repeat("e", 40))
	if !errors.Is(err, pullrequest.ErrNoPullRequest) || !strings.Contains(err.Error(), "the server does not know the commit") {
		t.Errorf("error %v", err)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddIssue(repository, 3)
	c := w.client(t, workflow)
	pull, err := c.Get(t.Context(), 7)
	want := pullrequest.PullRequest{Number: 7, Head: head, Open: true, URL: w.url + "/acme/shop/pull/7"}
	if diff := cmp.Diff(want, pull); err != nil || diff != "" {
		t.Errorf("error %v, pull request (-want +got):\n%s", err, diff)
	}
	for _, number := range []int{3, 8} {
		if _, err := c.Get(t.Context(), number); !errors.Is(err, pullrequest.ErrNotFound) {
			t.Errorf("Get(%d): %v", number, err)
		}
	}
}

func TestFindOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fork := strings.Repeat("f", 40)
	w.AddPull(repository, github.Pull{Number: 8, Head: fork, HeadRepository: "mallory/shop", Closed: true})
	c := w.client(t, workflow)
	if _, err := c.FindOpen(t.Context(), fork); !errors.Is(err, pullrequest.ErrNoPullRequest) {
		t.Errorf("a closed one: %v", err)
	}
	w.AddPull(repository, github.Pull{Number: 9, Head: fork, HeadRepository: "mallory/shop"})
	for n := range 230 {
		w.AddPull(repository, github.Pull{Number: 100 + n, Head: strings.Repeat("d", 40)})
	}
	if pull, err := c.FindOpen(t.Context(), fork); err != nil || pull.Number != 9 || !pull.Open {
		t.Errorf("FindOpen() = %+v, %v, want 9", pull, err)
	}
	if _, err := c.FindOpen(t.Context(), lonely); !errors.Is(err, pullrequest.ErrNoPullRequest) || !strings.HasSuffix(err.Error(), "no pull request has it") {
		t.Errorf("none: %v", err)
	}
}

// A server that does not list the pull requests of a commit, as Gitea does not, is asked for the
// open ones.
func TestFindWhereCommitsHaveNoPullRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(github.Fault{Path: "/commits/[^/]+/pulls$", Status: 404, Times: 9})
	c := w.client(t, workflow)
	if pull, err := c.Find(t.Context(), head); err != nil || pull.Number != 7 {
		t.Errorf("Find() = %+v, %v, want 7", pull, err)
	}
	w.Check = nil // GitHub does not know what is asked next
	if _, err := c.Find(t.Context(), lonely); !errors.Is(err, pullrequest.ErrNoPullRequest) {
		t.Errorf("Find() = %v", err)
	}
	w.Fail(github.Fault{Path: "/commits/[^/]+/pull$", Status: 200, Body: `{"number":5,"state":"closed","head":{"sha":"` + head + `"}}`})
	if pull, err := c.Find(t.Context(), lonely); err != nil || pull.Number != 5 || pull.Open {
		t.Errorf("Find() = %+v, %v, want the merged 5", pull, err)
	}
}
