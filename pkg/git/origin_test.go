// SPDX-License-Identifier: Apache-2.0

package git_test

import "testing"

func TestTheTrunkIsTheRemotesHeadElseTheUsualName(t *testing.T) {
	t.Parallel()
	dir, first, _ := repository(t, "sha1")
	trunk := func() string {
		t.Helper()
		name, err := open(t, dir).Trunk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	run(t, dir, "checkout", "-q", "-b", "change")
	if got := trunk(); got != "main" {
		t.Errorf("without a remote: %q, want main", got)
	}
	run(t, dir, "remote", "add", "origin", "git@codeberg.org:octo/shop.git")
	run(t, dir, "update-ref", "refs/remotes/origin/release/next", first)
	run(t, dir, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release/next")
	if got := trunk(); got != "release/next" {
		t.Errorf("of the remote: %q, want release/next", got)
	}
	if host, name, err := open(t, dir).Origin(t.Context()); host != "codeberg.org" || name != "octo/shop" || err != nil {
		t.Errorf("the origin is %q, %q, %v", host, name, err)
	}
	run(t, dir, "remote", "remove", "origin")
	run(t, dir, "branch", "-q", "-D", "main")
	if got := trunk(); got != "change" {
		t.Errorf("without a usual name: %q, want change", got)
	}
	run(t, dir, "checkout", "-q", "--detach")
	run(t, dir, "branch", "-q", "-D", "change")
	if got := trunk(); got != "" {
		t.Errorf("on no branch: %q", got)
	}
}
