// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"

	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/release"
)

// maxChanged is how many changed files an entry names.
const maxChanged = 20

// checkedOut tells how far the files of the working directory are the commit's. It is nil
// where they are no checkout of that commit: they say nothing of it then. What is not known is
// said, and stops nothing.
func checkedOut(ctx context.Context, run *Run, commit release.Commit) *release.Checkout {
	changed, err := changedSince(ctx, run, commit)
	switch {
	case errors.Is(err, git.ErrNoGit), errors.Is(err, git.ErrNoRepository), errors.Is(err, git.ErrNoCommit):
		return nil
	case err != nil:
		run.Log.Warn("not known whether the files are those of the commit", "commit", commit.Short(), "why", err)
		return &release.Checkout{Unknown: err.Error()}
	case len(changed) > 0:
		run.Log.Warn("the files are not those of the commit alone", "commit", commit.Short(), "changed", len(changed),
			"first", changed[0], "cure", "commit the changes or put them aside (git stash), then run again")
	}
	return &release.Checkout{Changed: len(changed), Files: changed[:min(len(changed), maxChanged)]}
}

// changedSince returns the changed files of a checkout of the commit; a checkout of another
// one is git.ErrNoCommit.
func changedSince(ctx context.Context, run *Run, commit release.Commit) ([]string, error) {
	checkout, err := git.Open(ctx, run.Dir, run.Environ)
	if err != nil {
		return nil, err
	}
	head, err := checkout.Commit(ctx)
	if err != nil {
		return nil, err
	}
	if head != commit {
		return nil, git.ErrNoCommit
	}
	return checkout.Changed(ctx)
}
