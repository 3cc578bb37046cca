// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Request says what to protect, and for whom.
type Request struct {
	Subject release.Subject
	// Risk of the gate's decision, for an annotation; "" when it is not known.
	Risk release.Risk
	// Claims is a label selector; "" means every claim that a workload of the namespace mounts.
	Claims string
	// Class is the VolumeSnapshotClass; "" means the default one of each claim's driver.
	Class string
	// Timeout is the deadline of each volume.
	Timeout time.Duration
	// Fits, where it is given, says of each snapshot as it is planned why it would not serve. Then
	// nothing is touched.
	Fits func(context.Context, release.Snapshot) error
}

// Take snapshots the claims of the cluster's namespace. What was done comes back also with an
// error: its status is fault.Partial when some snapshots are good and others are not, and
// cancelled when ctx was. Snapshots of this run that did not become good are deleted; good ones
// stay, whatever happens to others. Repeated within a run it finds what is there.
func Take(ctx context.Context, cluster *kube.Cluster, request Request) (release.Protection, error) {
	t := &taking{cluster: cluster, request: request}
	if err := t.plan(ctx); err != nil {
		return t.result(), err
	}
	sessions, err := t.quiesce(ctx)
	if err == nil {
		err = t.take(ctx, sessions)
	}
	t.conclude(ctx, sessions)
	return t.result(), err
}

// taking is one run of Take.
type taking struct {
	cluster *kube.Cluster
	request Request

	targets []*target
	hooks   []hook
	// unhooked are the pods that mount a target and have no hook, by claim.
	unhooked map[string][]string

	mu            sync.Mutex
	skipped       []string
	notes         []string
	hooked        []release.Hook
	frozenSeconds float64
}

func (t *taking) skip(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped = append(t.skipped, fmt.Sprintf(format, args...))
}

func (t *taking) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// plan finds out all that can be known before anything is touched.
func (t *taking) plan(ctx context.Context) error {
	pods, err := t.pods(ctx)
	if err != nil {
		return err
	}
	claims, err := t.choose(ctx, pods)
	if err != nil {
		return err
	}
	if err := t.survey(ctx, claims); err != nil {
		return err
	}
	if err := t.fit(ctx); err != nil {
		return err
	}
	if err := t.find(ctx); err != nil {
		return err
	}
	return t.planHooks(pods)
}

// fit asks whether the snapshots will serve, and names all that will not.
func (t *taking) fit(ctx context.Context) error {
	if t.request.Fits == nil {
		return nil
	}
	errs := make([]error, len(t.targets))
	for i, target := range t.targets {
		errs[i] = t.request.Fits(ctx, target.record)
	}
	return errors.Join(errs...)
}

// take snapshots all targets at once and thaws each pod as soon as its claims are cut.
func (t *taking) take(ctx context.Context, sessions []*session) error {
	var all sync.WaitGroup
	errs := make([]error, len(t.targets))
	creating := make(chan struct{}, createAtOnce)
	for i, target := range t.targets {
		all.Go(func() {
			defer target.settle()
			errs[i] = t.one(ctx, target, creating)
		})
	}
	for _, s := range sessions {
		all.Go(func() { t.holdUntilCut(ctx, s) })
	}
	all.Wait()
	return outcome(ctx, errs)
}

// createAtOnce bounds the VolumeSnapshots that are being created at the same moment; the
// waiting that follows has no bound, for it costs one watch each.
const createAtOnce = 16

// outcome is the errors of the targets with the status that they mean together.
func outcome(ctx context.Context, errs []error) error {
	return fault.Together(ctx, slices.Contains(errs, nil), errs)
}

func (t *taking) result() release.Protection {
	result := release.Protection{
		Hooks: t.hooked, FrozenSeconds: t.frozenSeconds, Skipped: t.skipped, Notes: t.notes,
		Snapshots: []release.Snapshot{},
	}
	for _, target := range t.targets {
		if target.begun || target.record.Error != "" {
			result.Snapshots = append(result.Snapshots, target.record)
		}
	}
	return result
}
