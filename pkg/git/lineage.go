// SPDX-License-Identifier: Apache-2.0

package git

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Lineage returns the commit that a name stands for and the ones before it, newest first and
// at most the given number: those that were the tip of the line, without what was merged into
// it. The name is a branch, a tag, an id or what git derives from them, as in HEAD^; a branch
// that this checkout has of the remote alone is found as well. A shallow checkout ends the
// line early. A name that stands for nothing here is ErrNoCommit.
func (c *Checkout) Lineage(ctx context.Context, name string, most int) ([]release.Commit, error) {
	tip, err := c.object(ctx, name+"^{commit}")
	if errors.Is(err, ErrNoCommit) {
		for _, remote := range c.remotes(ctx) {
			if found, other := c.object(ctx, "refs/remotes/"+remote+"/"+name+"^{commit}"); other == nil {
				tip, err = found, nil
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	lines, err := c.ask(ctx, "rev-list", "--first-parent", "--max-count="+strconv.Itoa(most), string(tip))
	if err != nil {
		return nil, fmt.Errorf("list what came before %s: %w", tip.Short(), err)
	}
	var all []release.Commit
	for line := range strings.Lines(lines) {
		commit, err := release.ParseCommit(line)
		if err != nil {
			return nil, fmt.Errorf("list what came before %s: %w", tip.Short(), err)
		}
		all = append(all, commit)
	}
	return all, nil
}

// remotes lists the remotes, the one that HEAD's branch follows first, then origin.
func (c *Checkout) remotes(ctx context.Context) []string {
	names, err := c.ask(ctx, "remote")
	if err != nil {
		return nil
	}
	all := []string{}
	if followed := c.upstream(ctx); followed != "" {
		all = append(all, followed)
	}
	return append(append(all, "origin"), strings.Fields(names)...)
}
