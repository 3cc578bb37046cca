// SPDX-License-Identifier: Apache-2.0

package git

import (
	"context"
	"errors"

	"github.com/knowngood/knowngood/pkg/release"
)

// Facts are what a checkout tells of itself without being asked for anything particular.
// Empty fields are not known.
type Facts struct {
	Commit release.Commit
	Tree   release.Commit
	// Repository is owner/name at the remote.
	Repository string
}

// FactsOf returns the facts of the checkout that dir is in. No git, no repository and no
// commit yet are no errors: nothing is known then.
func FactsOf(ctx context.Context, dir string, environ []string) (Facts, error) {
	var facts Facts
	checkout, err := Open(ctx, dir, environ)
	if err != nil {
		return facts, unlessUnknown(err)
	}
	repository, err := checkout.Remote(ctx)
	facts.Repository = repository
	if err != nil {
		return facts, err
	}
	commit, err := checkout.Commit(ctx)
	if err != nil {
		return facts, unlessUnknown(err)
	}
	facts.Commit = commit
	facts.Tree, err = checkout.Tree(ctx, commit)
	return facts, err
}

func unlessUnknown(err error) error {
	if errors.Is(err, ErrNoGit) || errors.Is(err, ErrNoRepository) || errors.Is(err, ErrNoCommit) {
		return nil
	}
	return err
}
