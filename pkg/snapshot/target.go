// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"maps"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A target is one claim, and its snapshot as far as it has come.
type target struct {
	claim  *corev1.PersistentVolumeClaim
	record release.Snapshot

	// found is this run's snapshot of an earlier attempt, or nil.
	found *snapshotv1.VolumeSnapshot
	// begun is true once there is, or may be, a VolumeSnapshot of this run.
	begun bool

	settled sync.Once
	// cut is closed once the storage has cut the snapshot, or it will not be cut any more.
	cut chan struct{}
	// cutSeen is when, by our clock, the storage was first seen to have cut it; zero when
	// it was not seen. Read after cut is closed.
	cutSeen time.Time
	// createdAt is when, by our clock, the request to create it was sent.
	createdAt time.Time
}

// fresh tells whether this attempt takes the snapshot itself.
func (t *target) fresh() bool { return t.found == nil }

// settle lets go of whoever waits for the cut.
func (t *target) settle() { t.settled.Do(func() { close(t.cut) }) }

func (t *target) sawCut(now time.Time) {
	t.settled.Do(func() {
		t.cutSeen = now
		close(t.cut)
	})
}

// find looks for snapshots that an earlier attempt of this run left.
func (t *taking) find(ctx context.Context) error {
	list, err := t.snapshots().List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{
		MatchLabels: map[string]string{
			release.LabelManagedBy: release.ManagedBy,
			release.LabelRun:       kube.LabelValue(t.request.Subject.Run),
		},
	})})
	if err != nil {
		return t.cluster.Explain(ctx, t.call("list", volumeSnapshots, ""), err)
	}
	for i := range list.Items {
		for _, target := range t.targets {
			if list.Items[i].Name != target.record.Name {
				continue
			}
			if err := t.adopt(target, &list.Items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// adopt takes a snapshot over that is there already. One with our name that is not of this
// run and claim is never touched.
func (t *taking) adopt(target *target, there *snapshotv1.VolumeSnapshot) error {
	want := t.object(target)
	for _, key := range []string{release.AnnotationRun, release.AnnotationCommit, release.AnnotationClaim, release.AnnotationApp, release.AnnotationEnvironment} {
		if there.Annotations[key] != want.Annotations[key] {
			return fault.Hint(fault.Usagef("VolumeSnapshot %s/%s is not this run's: its annotation %s is %q, want %q",
				there.Namespace, there.Name, key, kube.OneLine(there.Annotations[key]), want.Annotations[key]),
				"delete it if it is not needed, or give this run another name with --run")
		}
	}
	if source := there.Spec.Source.PersistentVolumeClaimName; source == nil || *source != target.claim.Name {
		return fault.Usagef("VolumeSnapshot %s/%s has this run's annotations and is not of claim %s", there.Namespace, there.Name, target.claim.Name)
	}
	target.found, target.begun = there, true
	target.record.Reused = true
	target.record.Consistency = release.Consistency(there.Annotations[release.AnnotationConsistency])
	switch target.record.Consistency {
	case release.ConsistencyApplication, release.ConsistencyCrash:
	default:
		target.record.Consistency = release.ConsistencyUnproven
	}
	return nil
}

// object is the VolumeSnapshot to create. Until it is proved, a snapshot around which hooks
// run is called unproven, so that our death leaves no claim behind that is not true.
func (t *taking) object(target *target) *snapshotv1.VolumeSnapshot {
	about := t.request.Subject
	class, claim := target.record.Class, target.claim.Name
	labels := map[string]string{
		release.LabelManagedBy: release.ManagedBy,
		release.LabelApp:       kube.LabelValue(about.App),
		release.LabelCommit:    about.Commit.Label(),
	}
	maps.Copy(labels, map[string]string{
		release.LabelEnvironment: kube.LabelValue(about.Environment),
		release.LabelRun:         kube.LabelValue(about.Run),
		release.LabelClaim:       kube.LabelValue(claim),
	})
	annotations := map[string]string{
		release.AnnotationApp:         about.App,
		release.AnnotationEnvironment: about.Environment,
		release.AnnotationRun:         about.Run,
		release.AnnotationCommit:      string(about.Commit),
		release.AnnotationClaim:       claim,
		release.AnnotationConsistency: string(target.record.Consistency),
	}
	if about.Head != "" && about.Head != about.Commit {
		annotations[release.AnnotationHead] = string(about.Head)
	}
	if t.request.Risk != "" {
		annotations[release.AnnotationRisk] = string(t.request.Risk)
	}
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: target.claim.Namespace, Name: target.record.Name, Labels: labels, Annotations: annotations},
		Spec: snapshotv1.VolumeSnapshotSpec{
			Source:                  snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &claim},
			VolumeSnapshotClassName: &class,
		},
	}
}

// one creates and awaits the snapshot of one target.
func (t *taking) one(ctx context.Context, target *target, creating chan struct{}) error {
	if target.fresh() {
		if err := t.create(ctx, target, creating); err != nil {
			return t.failed(ctx, target, err)
		}
	}
	began := t.cluster.Now()
	if err := t.await(ctx, target); err != nil {
		return t.failed(ctx, target, err)
	}
	target.record.Ready = true
	t.cluster.Log.Info("snapshot ready", "claim", target.claim.Name, "snapshot", target.record.Name,
		"seconds", int(t.cluster.Now().Sub(began).Round(time.Second).Seconds()), "reused", target.record.Reused)
	return nil
}

func (t *taking) create(ctx context.Context, target *target, creating chan struct{}) error {
	select {
	case creating <- struct{}{}:
		defer func() { <-creating }()
	case <-ctx.Done():
		return ctx.Err()
	}
	target.begun = true
	target.createdAt = t.cluster.Now()
	made, err := t.snapshots().Create(ctx, t.object(target), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		// Made between find and now by another attempt of this run, whose hooks we cannot vouch for.
		target.begun = false
		return t.adoptLate(ctx, target)
	}
	if err != nil {
		target.begun = !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err)
		return t.cluster.Explain(ctx, t.call("create", volumeSnapshots, target.record.Name), err)
	}
	target.record.UID = string(made.UID)
	return nil
}

func (t *taking) adoptLate(ctx context.Context, target *target) error {
	there, err := t.snapshots().Get(ctx, target.record.Name, metav1.GetOptions{})
	if err != nil {
		return t.cluster.Explain(ctx, t.call("get", volumeSnapshots, target.record.Name), err)
	}
	return t.adopt(target, there)
}
