// SPDX-License-Identifier: Apache-2.0

package retire_test

import (
	"context"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// driver is the CSI driver of test/cluster.
const driver = "loop.csi.knowngood.test"

// onReal makes a stage of its own on the real cluster.
func onReal(t *testing.T, retain bool) *stage {
	t.Helper()
	c := realcluster.New(t, "retire")
	s := &stage{Cluster: c.Cluster, real: c, class: "loop"}
	if retain {
		of := c.Snapshots.SnapshotV1().VolumeSnapshotClasses()
		class := &snapshotv1.VolumeSnapshotClass{
			ObjectMeta: metav1.ObjectMeta{Name: "retain-" + c.Namespace}, Driver: driver, DeletionPolicy: snapshotv1.VolumeSnapshotContentRetain,
		}
		_, err := of.Create(t.Context(), class, metav1.CreateOptions{})
		fatal(t, err)
		s.class = class.Name
		t.Cleanup(func() { s.leaveNothing(t, class.Name) })
	}
	storage := "loop"
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "data", Labels: map[string]string{"app": "shop"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &storage,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")}},
		},
	}
	of := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace)
	_, err := of.Create(t.Context(), claim, metav1.CreateOptions{})
	fatal(t, err)
	c.Bound(t, "data")
	return s
}

// leaveNothing takes away what a class that keeps contents would leave on the shared cluster.
func (s *stage) leaveNothing(t *testing.T, class string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	_ = s.Snapshots.SnapshotV1().VolumeSnapshots(s.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	of := s.Snapshots.SnapshotV1().VolumeSnapshotContents()
	list, err := of.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	for i := range list.Items {
		if c := &list.Items[i]; c.Spec.VolumeSnapshotRef.Namespace == s.Namespace {
			// A patch, since the snapshot-controller is writing to it at the same time.
			goes := []byte(`{"spec":{"deletionPolicy":"Delete"}}`)
			if _, err := of.Patch(ctx, c.Name, types.MergePatchType, goes, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
			_ = of.Delete(ctx, c.Name, metav1.DeleteOptions{})
		}
	}
	_ = s.Snapshots.SnapshotV1().VolumeSnapshotClasses().Delete(ctx, class, metav1.DeleteOptions{})
}

// cutOnReal takes the snapshots of a release.
func (s *stage) cutOnReal(t *testing.T, about release.Subject, claims []string) []release.Snapshot {
	t.Helper()
	got, err := snapshot.Take(t.Context(), s.Cluster, snapshot.Request{Subject: about, Claims: "app=shop", Class: s.class, Timeout: time.Minute})
	fatal(t, err)
	if len(got.Snapshots) != len(claims) {
		t.Fatalf("%d snapshots were taken, want %d", len(got.Snapshots), len(claims))
	}
	return got.Snapshots
}
