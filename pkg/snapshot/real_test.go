// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/test/realcluster"
)

// cleanup returns a context for what a test does after its end.
func cleanup(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}

// inCluster runs a test in a namespace of its own on the real cluster.
func inCluster(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	c := realcluster.New(t, "snapshot")
	test(t, &world{
		Cluster: c.Cluster, suffix: "-" + c.Namespace, bind: bindOn(c),
	})
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func bindOn(c *realcluster.Cluster) func(*testing.T, *corev1.PersistentVolumeClaim) {
	return func(t *testing.T, claim *corev1.PersistentVolumeClaim) {
		t.Helper()
		if class := claim.Spec.StorageClassName; class == nil || !strings.HasPrefix(*class, "absent") { // else it stays Pending
			c.Bound(t, claim.Name)
		}
	}
}
