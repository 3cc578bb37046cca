// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

const volumeSnapshots = "snapshot.storage.k8s.io/volumesnapshots"

// usable checks that a recorded snapshot is there, is the very one and can be restored from,
// and returns the part of a record that tells of it.
func (p *Plan) usable(ctx context.Context, s release.Snapshot) (release.RestoredClaim, error) {
	from := release.RestoredClaim{
		Namespace: s.Namespace, Of: s.Claim, Snapshot: s.Name, SnapshotUID: s.UID, Cut: s.Cut, Consistency: s.Consistency, Bytes: s.RestoreBytes,
	}
	there, err := p.cluster.Snapshots.SnapshotV1().VolumeSnapshots(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		hint := "choose another run with --run or --commit (knowngood history shows them), or restore a backup"
		if s.RetainedByClass && s.Content != "" {
			hint = fmt.Sprintf("its class keeps the content %s: make a VolumeSnapshot from that by hand, or choose another run with --run", s.Content)
		}
		return from, fault.Hint(fault.Usagef("VolumeSnapshot %s/%s of run %s is gone", s.Namespace, s.Name, p.request.Lineage.Run), "%s", hint)
	case err != nil:
		return from, p.cluster.Explain(ctx, p.call("get", volumeSnapshots, s.Name), err)
	case s.UID != "" && string(there.UID) != s.UID:
		return from, fault.Hint(fault.Usagef("VolumeSnapshot %s/%s has uid %s, and the record's has %s: it is another one", s.Namespace, s.Name, there.UID, s.UID),
			"choose another run with --run")
	case there.DeletionTimestamp != nil:
		return from, fault.Usagef("VolumeSnapshot %s/%s is being deleted", s.Namespace, s.Name)
	case there.Status == nil || there.Status.ReadyToUse == nil || !*there.Status.ReadyToUse:
		return from, fault.Hint(fmt.Errorf("VolumeSnapshot %s/%s is not ready to use", s.Namespace, s.Name),
			"look at it: kubectl -n %s describe volumesnapshot %s", s.Namespace, s.Name)
	}
	if there.Status.RestoreSize != nil {
		from.Bytes = max(from.Bytes, there.Status.RestoreSize.Value())
	}
	from.SnapshotUID = string(there.UID)
	return from, nil
}

// class settles the storage class of a claim that is to be made from a snapshot of the driver,
// and tells whether such a claim gets its volume only with its first pod.
func (p *Plan) class(ctx context.Context, claim *corev1.PersistentVolumeClaim, driver string) (waits bool, err error) {
	if p.request.StorageClass != "" {
		claim.Spec.StorageClassName = &p.request.StorageClass
	}
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return false, fault.Hint(fault.Usagef("claim %s has no storage class, so that nobody makes a volume for it", claim.Name),
			"name one of driver %s with --storage-class", driver)
	}
	name := *claim.Spec.StorageClassName
	class, err := p.cluster.Core.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, fault.Hint(fault.Usagef("there is no StorageClass %s, which claim %s has", name, claim.Name), "name another one of driver %s with --storage-class", driver)
	case err != nil:
		return false, p.cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "storage.k8s.io/storageclasses", Name: name}, err)
	case driver != "" && class.Provisioner != driver:
		return false, fault.Hint(fault.Usagef("StorageClass %s is of %s, and the snapshot of driver %s", name, class.Provisioner, driver),
			"name one of driver %s with --storage-class", driver)
	}
	return class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer, nil
}
