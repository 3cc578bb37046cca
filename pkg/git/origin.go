// SPDX-License-Identifier: Apache-2.0

package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Origin returns the server and owner/name of the repository at the remote that Remote chooses.
// Both are "" when no remote names one.
func (c *Checkout) Origin(ctx context.Context) (host, repository string, err error) {
	chosen, err := c.remote(ctx)
	if err != nil || chosen == "" {
		return "", "", err
	}
	url, err := c.ask(ctx, "config", "--get", "remote."+chosen+".url")
	if err != nil {
		return "", "", nil //nolint:nilerr // a remote without an address names no repository
	}
	host, repository = ParseRemote(url)
	return host, repository, nil
}

// remote returns the remote that HEAD's branch follows, else origin, else the only one, else "".
func (c *Checkout) remote(ctx context.Context) (string, error) {
	names, err := c.ask(ctx, "remote")
	if err != nil {
		return "", fmt.Errorf("list the remotes of %s: %w", c.dir, err)
	}
	remotes := strings.Fields(names)
	if chosen := c.upstream(ctx); chosen != "" || len(remotes) == 0 {
		return chosen, nil
	}
	if len(remotes) == 1 {
		return remotes[0], nil
	}
	if slices.Contains(remotes, "origin") {
		return "origin", nil
	}
	return "", nil
}

// Trunk returns the branch that others branch from: the remote's HEAD as of the last clone or
// fetch, else the first of the usual names that exists here, else the branch that is checked
// out, else "".
func (c *Checkout) Trunk(ctx context.Context) (string, error) {
	remote, err := c.remote(ctx)
	if err != nil {
		return "", err
	}
	if remote != "" {
		if head, err := c.ask(ctx, "symbolic-ref", "--quiet", "refs/remotes/"+remote+"/HEAD"); err == nil {
			return strings.TrimPrefix(head, "refs/remotes/"+remote+"/"), nil
		}
	}
	for _, name := range []string{"main", "master", "trunk"} {
		if _, err := c.object(ctx, "refs/heads/"+name); err == nil {
			return name, nil
		}
	}
	branch, err := c.ask(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		return "", nil //nolint:nilerr // a detached HEAD is on no branch
	}
	return branch, nil
}
