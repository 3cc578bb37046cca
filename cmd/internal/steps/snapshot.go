// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/pkg/step"
)

// Snapshot takes snapshots of the claims that a release is about to touch.
type Snapshot struct {
	subject    subject
	cluster    cluster
	snapping   snapping
	protecting protecting
}

// Declare implements Step.
func (s *Snapshot) Declare(set *step.Set) {
	set.Name, set.Summary = "snapshot", "Snapshot the volumes that a release is about to touch, labelled with its commit."
	set.Long = "Pods say with annotations how they are quiesced while their volumes are cut:\n" +
		"knowngood.dev/hold: postgresql, or Velero's backup hooks. They are thawed on every\n" +
		"path. A claim is left out by the annotation knowngood.dev/snapshot: skip, the hooks\n" +
		"of a pod by knowngood.dev/hooks: skip. Repeated within a run, the step finds the\n" +
		"snapshots that are there and takes those that are missing. Where the policy wants\n" +
		"backups at the gate's risk, a Job in the cluster then saves each snapshot in the\n" +
		"repository: it reads the key from a Secret, and this step never holds it. Where it\n" +
		"wants them verified, another one restores each backup to a claim of its own,\n" +
		"compares it, and runs the application's own check on it."
	set.Example = "knowngood snapshot --app shop --namespace shop --commit \"$(git rev-parse HEAD)\""
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	s.subject.declare(set)
	s.cluster.declare(set)
	s.snapping.declare(set)
	s.protecting.declare(set)
}

// Run implements Step. A cluster that cannot be reached leaves an entry as well.
func (s *Snapshot) Run(ctx context.Context, run *Run) error {
	connected, unconnected := s.cluster.connect(ctx, run)
	if unconnected == nil {
		unconnected = s.subject.inCluster(ctx, connected.Namespace, connected.UID)
	}
	steps := gather(run)
	var taken *release.Protection
	err := s.subject.record(ctx, &steps.Run, "snapshot", func(ctx context.Context, e *release.Entry) error {
		if unconnected != nil {
			return unconnected
		}
		var err error
		if s.snapping.decision, err = s.decided(ctx, run); err != nil {
			run.Log.Warn("the gate's decision could not be read; the snapshots will not bear its risk", "error", err)
		}
		err = s.snapping.run(ctx, &steps.Run, &s.cluster, &s.protecting, e)
		s.subject.keepManifests(ctx, run, s.cluster.connected, e)
		taken = e.Protection
		return err
	})
	var made *release.Copies
	if err == nil && beyond(s.snapping.decision) {
		err = s.subject.record(ctx, &steps.Run, "backup-save", func(ctx context.Context, e *release.Entry) error {
			err := s.protecting.run(ctx, &steps.Run, &s.cluster, taken, e)
			made = e.Copies
			return err
		})
	}
	if err == nil && s.snapping.decision.Protect == release.ProtectVerify {
		err = s.subject.record(ctx, &steps.Run, "backup-verify", func(ctx context.Context, e *release.Entry) error {
			return s.protecting.prove(ctx, &steps.Run, &s.cluster, taken, made, e)
		})
	}
	switch entries := steps.record.Entries; len(entries) {
	case 0:
	case 1:
		run.Result(entries[0])
	default:
		run.Result(steps.record)
	}
	return errors.Join(err, steps.outputs.handOn())
}

// decided returns the gate's decision in this run; the zero one where there is none.
func (s *Snapshot) decided(ctx context.Context, run *Run) (release.Decision, error) {
	record, err := s.subject.read(ctx, run)
	if gate := record.Last("gate"); gate != nil && gate.Decision != nil {
		return *gate.Decision, nil
	}
	return release.Decision{}, err
}

// snapping holds the inputs of the snapshots alone.
type snapping struct {
	claims string
	class  string
	// decision is the gate's; set by the step before it runs.
	decision release.Decision
}

func (s *snapping) declare(set *step.Set) {
	set.Text(&s.claims, "claims", "", "Label selector of the claims; empty selects every claim that a workload of the namespace mounts.")
	set.Text(&s.class, "snapshot-class", "", "VolumeSnapshotClass to use; empty uses the default one of each volume's CSI driver.")
	set.Output("snapshots", "Names of the VolumeSnapshots that are ready, separated by commas.")
	set.Output("frozen-seconds", "The longest that a pod was quiesced, in seconds.")
	set.Output("consistency", "What the weakest of the snapshots is worth: application, crash or unproven.")

	set.Needs("get,list,watch,create,patch,delete", "snapshot.storage.k8s.io/volumesnapshots",
		"take and await the snapshots, mark what they are worth, delete those that did not become good")
	set.NeedsCluster("get", "snapshot.storage.k8s.io/volumesnapshotcontents", "confirm that a snapshot is bound both ways, and read the storage's errors")
	set.NeedsCluster("list", "snapshot.storage.k8s.io/volumesnapshotclasses", "find the class of each volume's driver")
	set.NeedsCluster("get", "persistentvolumes", "find the driver of each claim's volume")
	set.Needs("list", "persistentvolumeclaims", "find the claims")
	set.Needs("list", "pods", "find the claims that are mounted, and the hooks of the pods that mount them")
	set.Needs("list", "apps/deployments", "find the claims of workloads that are scaled to zero")
	set.Needs("list", "apps/statefulsets", "find the claims of workloads that are scaled to zero")
	set.Needs("list", "apps/daemonsets", "find the claims of workloads that do not run now")
	set.Needs("list", "batch/jobs", "find the claims of workloads that do not run now")
	set.Needs("list", "batch/cronjobs", "find the claims of workloads that do not run now")
	set.Needs("create,get", "pods/exec", "run the hooks that quiesce and thaw (get: servers before 1.35)")
	set.Needs("list", "events", "tell the storage's warnings when a snapshot is late")
	declareManifests(set)
}

// run takes the snapshots and leaves them in the entry, also when only some are good.
func (s *snapping) run(ctx context.Context, run *Run, c *cluster, p *protecting, e *release.Entry) error {
	if s.decision.Protect == release.ProtectNothing {
		return spare(run, s.decision, e)
	}
	connected, err := c.connect(ctx, run)
	if err != nil {
		return err
	}
	if beyond(s.decision) {
		if err := p.prepare(ctx, run, c, s.decision); err != nil {
			return err
		}
	}
	before := connected.Waited()
	taken, err := snapshot.Take(ctx, connected, snapshot.Request{
		Subject: e.Subject, Risk: s.decision.Risk, Claims: s.claims, Class: s.class, Timeout: c.timeout,
		Fits: p.fits(connected, s.decision),
	})
	taken.Cluster = uid(ctx, run, connected)
	e.Protection, e.Waited = &taken, (connected.Waited() - before).Seconds()
	for _, skipped := range taken.Skipped {
		run.Log.Info("skipped", "what", skipped)
	}
	for _, note := range taken.Notes {
		run.Log.Warn("note", "what", note)
	}
	return errors.Join(err,
		run.Host.Output("snapshots", strings.Join(ready(taken.Snapshots), ",")),
		run.Host.Output("frozen-seconds", strconv.FormatFloat(taken.FrozenSeconds, 'f', 3, 64)),
		run.Host.Output("consistency", string(weakest(taken.Snapshots))))
}

func ready(snapshots []release.Snapshot) []string {
	var names []string
	for _, s := range snapshots {
		if s.Ready {
			names = append(names, s.Name)
		}
	}
	return names
}

// weakest returns the least that can be said of all snapshots that are ready, "" of none.
func weakest(snapshots []release.Snapshot) release.Consistency {
	order := []release.Consistency{release.ConsistencyApplication, release.ConsistencyCrash, release.ConsistencyUnproven}
	var found []release.Consistency
	for _, s := range snapshots {
		if s.Ready {
			found = append(found, s.Consistency)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b release.Consistency) int {
		return cmp.Compare(slices.Index(order, a), slices.Index(order, b))
	})
}
