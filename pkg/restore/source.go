// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"errors"
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

// origin settles which copy of a claim is restored, and returns the part of a record that tells of
// it, and the backup where it is one. What is not the person's choice and not as it should be is
// noted.
func (p *Plan) origin(ctx context.Context, s release.Snapshot) (release.RestoredClaim, *release.Backup, error) {
	if err := modeKnown(s); err != nil {
		return release.RestoredClaim{}, nil, err
	}
	b := p.backup(s.Claim)
	if p.request.From == FromBackup {
		if b == nil {
			return release.RestoredClaim{}, nil, fault.Hint(fault.Usagef("run %s has left no backup of claim %s", p.request.Lineage.Run, s.Claim), "choose another run with --run, or leave --from out")
		}
		from, err := p.fromBackup(s, b)
		return from, b, err
	}
	from, err := p.usable(ctx, s)
	if err == nil || p.request.From == FromSnapshot || b == nil || fault.StatusOf(err) != fault.Usage && !errors.Is(err, errUnready) {
		return from, nil, err
	}
	if b.Verified != nil && !b.Verified.Proved {
		return from, nil, fault.Hint(err, "its backup %s came back otherwise than it was saved, or its check failed: --from backup takes it all the same", b.ID)
	}
	gone := err
	if from, err = p.fromBackup(s, b); err == nil {
		p.note("%v: the data comes from backup %s", gone, b.ID)
	}
	return from, b, err
}

// backup returns the backup that was saved of a claim, nil for none.
func (p *Plan) backup(claim string) *release.Backup {
	for i := range p.request.Backups {
		if b := &p.request.Backups[i]; b.Volume == claim {
			return b
		}
	}
	return nil
}

// fromBackup returns the part of a record that tells of a claim which a backup is brought into.
func (p *Plan) fromBackup(s release.Snapshot, b *release.Backup) (release.RestoredClaim, error) {
	from := release.RestoredClaim{Namespace: p.cluster.Namespace, Of: s.Claim, Backup: b.ID, Cut: s.Cut, Consistency: s.Consistency, Bytes: b.Bytes}
	if err := ofMode(b, s); err != nil {
		return from, err
	}
	switch {
	case b.Unread > 0:
		return from, fault.Hint(fault.Usagef("backup %s of claim %s lacks the content of %d entries", b.ID, s.Claim, b.Unread),
			"restore what it has to a folder with knowngood backup restore, or choose another run with --run")
	case b.Verified == nil:
		p.note("backup %s was never restored to prove it", b.ID)
	case !b.Verified.Proved:
		p.note("the newest test restore of backup %s failed", b.ID)
	}
	return from, nil
}

// copyID is what says which copy a claim was made from.
func copyID(from release.RestoredClaim) string { return cmp.Or(from.SnapshotUID, from.Backup) }

// copyWords names the copy that a claim is made from.
func copyWords(from release.RestoredClaim) string {
	if from.Backup != "" {
		return "backup " + from.Backup
	}
	return "VolumeSnapshot " + from.Snapshot
}

var errUnready = errors.New("is not ready to use")

// usable checks that a recorded snapshot is there, is the very one and can be restored from,
// and returns the part of a record that tells of it.
func (p *Plan) usable(ctx context.Context, s release.Snapshot) (release.RestoredClaim, error) {
	from := release.RestoredClaim{
		Namespace: s.Namespace, Of: s.Claim, Snapshot: s.Name, SnapshotUID: s.UID, Cut: s.Cut, Consistency: s.Consistency, Bytes: s.RestoreBytes,
	}
	if s.Namespace != p.cluster.Namespace {
		return from, fault.Hint(fault.Usagef("VolumeSnapshot %s is in namespace %s, and gives claims to that alone", s.Name, s.Namespace), "restore a backup with --from backup")
	}
	there, err := p.cluster.Snapshots.SnapshotV1().VolumeSnapshots(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		hint := "choose another run with --run or --commit: knowngood history shows them"
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
		return from, fault.Hint(fmt.Errorf("VolumeSnapshot %s/%s %w", s.Namespace, s.Name, errUnready),
			"look at it: kubectl -n %s describe volumesnapshot %s", s.Namespace, s.Name)
	}
	if there.Status.RestoreSize != nil {
		from.Bytes = max(from.Bytes, there.Status.RestoreSize.Value())
	}
	from.SnapshotUID = string(there.UID)
	return from, nil
}

func of(driver string) string {
	if driver == "" {
		return ""
	}
	return " of driver " + driver
}

// class settles the storage class of a claim that is to be made from a snapshot of the driver, or
// from a backup, for which any driver will do,
// and tells whether such a claim gets its volume only with its first pod.
func (p *Plan) class(ctx context.Context, claim *corev1.PersistentVolumeClaim, driver string) (waits bool, err error) {
	if p.request.StorageClass != "" {
		claim.Spec.StorageClassName = &p.request.StorageClass
	}
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return false, fault.Hint(fault.Usagef("claim %s has no storage class, so that nobody makes a volume for it", claim.Name),
			"name one%s with --storage-class", of(driver))
	}
	name := *claim.Spec.StorageClassName
	class, err := p.cluster.Core.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, fault.Hint(fault.Usagef("there is no StorageClass %s, which claim %s has", name, claim.Name), "name another one%s with --storage-class", of(driver))
	case err != nil:
		return false, p.cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "storage.k8s.io/storageclasses", Name: name}, err)
	case driver != "" && class.Provisioner != driver:
		return false, fault.Hint(fault.Usagef("StorageClass %s is of %s, and the snapshot of driver %s", name, class.Provisioner, driver),
			"name one of driver %s with --storage-class", driver)
	}
	return class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer, nil
}
