// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// A raw block volume comes back as one, to a new claim and in place, byte for byte.
func TestARawBlockVolumeOnRealCluster(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "restore-disk")
	disk := c.Disk(t, "loop")
	disk.Write(t, "good")
	_, digest := disk.Read(t, "disk-0")
	cut, err := snapshot.Take(t.Context(), c.Cluster, snapshot.Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit}, Class: "loop", Timeout: time.Minute,
	})
	fatal(t, err)
	if cut.Snapshots[0].VolumeMode != string(corev1.PersistentVolumeBlock) {
		t.Fatalf("recorded %+v", cut.Snapshots[0])
	}
	disk.Write(t, "bad!")
	w := &world{Cluster: c.Cluster, cut: cut.Snapshots[0]}
	got, err := w.restored(t, w.request(release.RestoreNew, func(r *restore.Request) { r.NewClaim = "again" }))
	fatal(t, err)
	made, err := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace).Get(t.Context(), got.Claims[0].Claim, metav1.GetOptions{})
	fatal(t, err)
	if *made.Spec.VolumeMode != corev1.PersistentVolumeBlock {
		t.Errorf("made %+v", made.Spec)
	}
	disk.Start(t, "again")
	if text, now := disk.Read(t, "again"); text != "good" || now != digest {
		t.Errorf("the new claim holds %q, %s", text, now)
	}
	_, err = w.restored(t, w.request(release.RestoreInPlace))
	fatal(t, err)
	disk.Ready(t, "disk-0")
	if text, now := disk.Read(t, "disk-0"); text != "good" || now != digest {
		t.Errorf("in place it holds %q, %s", text, now)
	}
}
