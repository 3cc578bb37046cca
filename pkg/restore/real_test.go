// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// sample are the tests of the suite that run on the real cluster where KNOWNGOOD_SOAK does not
// ask for all of them.
var sample = []string{"to a new claim", "there and back"}

func TestOnRealCluster(t *testing.T) {
	t.Parallel()
	for name, test := range suite {
		if os.Getenv("KNOWNGOOD_SOAK") == "" && !slices.Contains(sample, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, inCluster(t))
		})
	}
}

// inCluster makes a world of its own on the real cluster.
func inCluster(t *testing.T) *world {
	t.Helper()
	c := realcluster.New(t, "restore")
	later, deleting := storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "later-" + c.Namespace}, Provisioner: driver, VolumeBindingMode: &later, ReclaimPolicy: &deleting,
	}
	_, err := c.Core.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{})
	fatal(t, err)
	t.Cleanup(func() {
		_ = c.Core.StorageV1().StorageClasses().Delete(context.WithoutCancel(t.Context()), class.Name, metav1.DeleteOptions{})
	})
	return &world{Cluster: c.Cluster, later: class.Name, real: c}
}

// cutOnReal starts the database, writes "good" and takes the snapshot of a release.
func (w *world) cutOnReal(t *testing.T, class string) release.Snapshot {
	t.Helper()
	w.database = w.real.Database(t, class)
	w.write(t, "good")
	got, err := snapshot.Take(t.Context(), w.Cluster, snapshot.Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit}, Class: "loop", Timeout: time.Minute,
	})
	fatal(t, err)
	return got.Snapshots[0]
}
