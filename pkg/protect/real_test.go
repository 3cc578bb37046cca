// SPDX-License-Identifier: Apache-2.0

package protect_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/protect"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/realcluster"
)

// Variables that name other images than those which the cluster holds.
const (
	ownImage  = "KNOWNGOOD_TEST_IMAGE"
	diskImage = "KNOWNGOOD_TEST_POSTGRESQL_IMAGE"
)

// diskRequest is what a policy with verify asks for an application on a raw block volume.
func diskRequest(t *testing.T, c *realcluster.Cluster) protect.Request {
	t.Helper()
	return protect.Request{
		Subject:    release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: "0123456789abcdef0123456789abcdef01234567"},
		Repository: c.Store(t, backup.NewKey().Reveal()), AllowHTTP: true,
		KeySecret: realcluster.KeySecret, BucketSecret: realcluster.BucketSecret, Image: c.Image(t, "knowngood.test/knowngood:", ownImage), As: work.Keeper(), Memory: "1Gi",
		Check: protect.Check{Image: c.Image(t, "/shop-db:", diskImage), Line: `test "$(head -c 4 "$KNOWNGOOD_RESTORED")" = good && test "$KNOWNGOOD_CLAIM" = data-disk-0`},
		Start: time.Minute, Deadline: 5 * time.Minute,
	}
}

// A raw block volume is saved, proved by its application on a device of its own, and brought into
// a new claim after it has changed; what its application does not like is not proved.
func TestARawBlockVolumeLeavesARealCluster(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "protect-disk")
	q := diskRequest(t, c)
	disk := c.Disk(t, "loop")
	disk.Write(t, "good")
	_, digest := disk.Read(t, "disk-0")
	first, err := prove(t, c, q, "run-1")
	if err != nil || len(first.Backups) != 1 || !first.Backups[0].Device || first.Backups[0].Bytes != 32<<20 || !first.Backups[0].Verified.Proved {
		t.Fatalf("%v: %+v", err, first)
	}
	disk.Write(t, "bad!")
	second, err := prove(t, c, q, "run-2")
	if fault.StatusOf(err) != fault.Failed || len(second.Backups) != 1 || second.Backups[0].Verified.Proved || second.Backups[0].Stored > 64<<10 {
		t.Fatalf("%v: %+v", err, second)
	}
	block, class := corev1.PersistentVolumeBlock, "loop"
	made, err := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "again", Annotations: map[string]string{release.AnnotationRestore: "restore-1"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class, VolumeMode: &block,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("32Mi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := q.Fill(t.Context(), c.Cluster, made, first.Backups[0]); err != nil || !v.Proved || v.Bytes != 32<<20 {
		t.Fatalf("%v: %+v", err, v)
	}
	disk.Start(t, "again")
	if text, now := disk.Read(t, "again"); text != "good" || now != digest {
		t.Errorf("the new claim holds %q, %s", text, now)
	}
}

// prove takes a snapshot of the volume, and has that saved and proved.
func prove(t *testing.T, c *realcluster.Cluster, q protect.Request, run string) (release.Copies, error) {
	t.Helper()
	q.Subject.Run = run
	taken, err := snapshot.Take(t.Context(), c.Cluster, snapshot.Request{Subject: q.Subject, Class: "loop", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	q.Snapshots = slices.DeleteFunc(taken.Snapshots, func(s release.Snapshot) bool { return s.Claim != "data-disk-0" })
	for _, s := range q.Snapshots {
		if err := q.Fits(t.Context(), c.Cluster, s); err != nil {
			t.Fatal(err)
		}
	}
	copies, err := protect.Save(t.Context(), c.Cluster, q)
	if err != nil {
		t.Fatal(err)
	}
	return q.Verify(t.Context(), c.Cluster, copies)
}
