// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/kube"
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

func waitBound(t *testing.T, c *kube.Cluster, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	spec := kube.WaitSpec{What: "claim " + claim.Name, Timeout: time.Minute, Resource: "persistentvolumeclaims", Namespace: c.Namespace, Name: claim.Name}
	if claim.Spec.StorageClassName != nil && strings.HasPrefix(*claim.Spec.StorageClassName, "absent") {
		return // it stays Pending
	}
	fatal(t, kube.Wait(t.Context(), c, spec, c.Core.CoreV1().PersistentVolumeClaims(c.Namespace),
		kube.Named(func(now *corev1.PersistentVolumeClaim) (kube.Progress, error) {
			return kube.Progress{Done: now != nil && now.Status.Phase == corev1.ClaimBound, State: "not bound"}, nil
		})))
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func bindOn(c *realcluster.Cluster) func(*testing.T, *corev1.PersistentVolumeClaim) {
	return func(t *testing.T, claim *corev1.PersistentVolumeClaim) { t.Helper(); waitBound(t, c.Cluster, claim) }
}
