// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"

	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

// A landing is the pull request by which a pushed commit came onto its branch, asked for once.
// A squash or a rebase makes a commit that the pull request never had.
type landing struct {
	asked  bool
	pull   pullrequest.PullRequest
	missed error
}

// landing asks GitHub where the face says that there may be such a pull request. That none is
// found is no error: what is told of the commit then goes without it.
func (p Program) landing(ctx context.Context, in invocation) pullrequest.PullRequest {
	face, ok := in.face.(interface{ Landed() bool })
	if !ok || !face.Landed() || in.landed.asked {
		return in.landed.pull
	}
	in.landed.asked = true
	facts := func(input step.Input) (string, bool, error) { return in.face.Fact(ctx, input) }
	known := func(name string) (string, error) {
		return early(in.set, name, []step.Source{in.given, facts})
	}
	if token, err := known("token"); err != nil || token == "" {
		return pullrequest.PullRequest{}
	}
	client, err := p.forge(known)
	if err != nil {
		in.landed.missed = err
		return pullrequest.PullRequest{}
	}
	defer client.Close()
	pull, err := client.Find(ctx, in.set.Value("commit"))
	if err != nil && !errors.Is(err, pullrequest.ErrNoPullRequest) {
		in.landed.missed = err
	}
	in.landed.pull = pull
	return pull
}

// tree returns the tree of a commit that the checkout has, "" where it has none.
func (p Program) tree(ctx context.Context, text string) (string, error) {
	commit, err := release.ParseCommit(text)
	if err != nil {
		return "", nil //nolint:nilerr // the step says what is wrong with the commit
	}
	checkout, err := git.Open(ctx, p.Dir, p.Environ)
	if err == nil {
		var tree release.Commit
		if tree, err = checkout.Tree(ctx, commit); err == nil {
			return string(tree), nil
		}
	}
	if errors.Is(err, git.ErrNoGit) || errors.Is(err, git.ErrNoRepository) || errors.Is(err, git.ErrNoCommit) {
		return "", nil
	}
	return "", err
}
