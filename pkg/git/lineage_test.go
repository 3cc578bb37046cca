// SPDX-License-Identifier: Apache-2.0

package git_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/release"
)

// TestLineage follows a branch with one merge, as a merge queue leaves it.
func TestLineage(t *testing.T) {
	t.Parallel()
	dir, first, second := repository(t, "sha1")
	run(t, dir, "checkout", "-q", "-b", "topic", first)
	write(t, dir+"/topic", "a\n")
	run(t, dir, "add", ".")
	run(t, dir, "commit", "-q", "-m", "topic")
	topic := run(t, dir, "rev-parse", "HEAD")
	run(t, dir, "checkout", "-q", "main")
	run(t, dir, "merge", "-q", "--no-ff", "-m", "merge", "topic")
	merge := run(t, dir, "rev-parse", "HEAD")
	clone := t.TempDir()
	run(t, clone, "clone", "-q", "--single-branch", "--branch", "main", "file://"+dir, ".")
	run(t, clone, "checkout", "-q", "--detach")
	run(t, clone, "branch", "-q", "-D", "main")
	shallow := t.TempDir()
	run(t, shallow, "clone", "-q", "--depth=1", "file://"+dir, ".")
	for _, test := range []struct {
		name, dir, ref string
		most           int
		want           []string
	}{
		{"the merged branch is no part of the line", dir, "main", 9, []string{merge, second, first}},
		{"at most", dir, "main", 2, []string{merge, second}},
		{"before the merge", dir, "HEAD^", 9, []string{second, first}},
		{"what was merged", dir, "HEAD^2", 1, []string{topic}},
		{"an id", dir, first, 9, []string{first}},
		{"a branch of the remote", clone, "main", 1, []string{merge}},
		{"a shallow checkout", shallow, "main", 9, []string{merge}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var want []release.Commit
			for _, commit := range test.want {
				want = append(want, release.Commit(commit))
			}
			got, err := open(t, test.dir).Lineage(t.Context(), test.ref, test.most)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, ref := range []string{"absent", "--all", "HEAD^9", "main..topic", "", "a b", "HEAD:deep"} {
		if got, err := open(t, dir).Lineage(t.Context(), ref, 9); err == nil {
			t.Errorf("%q: %v, %v", ref, got, err)
		}
	}
	if _, err := open(t, shallow).Lineage(t.Context(), "HEAD^", 9); !errors.Is(err, git.ErrNoCommit) {
		t.Errorf("beyond a shallow checkout: %v", err)
	}
}
