// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// The steps whose entries tell what was decided and how the deploy ended.
const (
	stepGate   = "gate"
	stepFinish = "deploy-finish"
)

// A Deployed is the last release that deployed well.
type Deployed struct {
	// Gate and Finish are its newest entries of these steps.
	Gate, Finish release.Entry
	// Ungated is how many releases deployed well after it without a decision of a gate.
	Ungated int
}

// Deployed returns the last release of an application that deployed well to an environment
// and was decided about, other than the run except. Without an environment there must be one
// environment alone that the application deploys to: several are an error of usage. None is
// ErrNotFound. A listing finds the releases; of each that comes into question two entries are
// read. One that cannot be read is an error: which release was the last is not known then.
func (c *Catalog) Deployed(ctx context.Context, app, environment, except string) (Deployed, error) {
	q := Query{App: app, Environment: environment}
	keys, _, err := c.keys(ctx, q)
	if err != nil {
		return Deployed{}, err
	}
	var found Deployed
	bundles := deploys(group(keys, q), except)
	if err := oneEnvironment(app, bundles); err != nil {
		return Deployed{}, err
	}
	for _, b := range bundles {
		finish, _, err := c.read(ctx, *b.last(stepFinish))
		if err != nil {
			return Deployed{}, err
		}
		if finish.State != release.Done {
			continue
		}
		decided := b.last(stepGate)
		if decided == nil {
			found.Ungated++
			continue
		}
		gate, _, err := c.read(ctx, *decided)
		if err != nil {
			return Deployed{}, err
		}
		if gate.Decision == nil {
			found.Ungated++
			continue
		}
		found.Gate, found.Finish = gate, finish
		return found, nil
	}
	return Deployed{}, fmt.Errorf("a release of %q that deployed well after a gate's decision: %w", app, ErrNotFound)
}

// deploys keeps the runs whose deploy has finished, the one that finished last first.
func deploys(bundles []bundle, except string) []bundle {
	bundles = slices.DeleteFunc(bundles, func(b bundle) bool {
		return b.last(stepFinish) == nil || b.keys[0].run == except
	})
	slices.SortStableFunc(bundles, func(x, y bundle) int {
		return cmp.Or(y.last(stepFinish).id.Compare(x.last(stepFinish).id), cmp.Compare(x.environment, y.environment))
	})
	return bundles
}

func oneEnvironment(app string, bundles []bundle) error {
	var names []string
	for _, b := range bundles {
		if !slices.Contains(names, b.environment) {
			names = append(names, b.environment)
		}
	}
	if len(names) < 2 {
		return nil
	}
	slices.Sort(names)
	return fault.Hint(fault.Usagef("%q deploys to several environments", app),
		"give one of them by --environment: %s", strings.Join(names, ", "))
}

// last returns the newest key of a step, nil where the run has none.
func (b bundle) last(step string) *key {
	for i := len(b.keys) - 1; i >= 0; i-- {
		if b.keys[i].step == step {
			return &b.keys[i]
		}
	}
	return nil
}

// Decided returns the newest entry with a gate's decision about the first of the commits that
// has one, whatever the environment, leaving out the run except. None is ErrNotFound.
func (c *Catalog) Decided(ctx context.Context, app, except string, commits []release.Commit) (release.Entry, error) {
	keys, _, err := c.keys(ctx, Query{App: app})
	if err != nil {
		return release.Entry{}, err
	}
	decided := map[release.Commit][]key{} // oldest first
	for _, k := range keys {
		if k.step == stepGate && k.run != except {
			decided[k.commit] = append(decided[k.commit], k)
		}
	}
	for _, commit := range commits {
		for _, k := range slices.Backward(decided[commit]) {
			entry, _, err := c.read(ctx, k)
			if err != nil || entry.Decision != nil {
				return entry, err
			}
		}
	}
	return release.Entry{}, fmt.Errorf("a gate's decision of %q about one of %d commits: %w", app, len(commits), ErrNotFound)
}
