// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/kube"
)

// Bound waits until a claim has its volume.
func (c *Cluster) Bound(t *testing.T, claim string) {
	t.Helper()
	spec := kube.WaitSpec{What: "claim " + claim, Timeout: time.Minute, Resource: "persistentvolumeclaims", Namespace: c.Namespace, Name: claim}
	if err := kube.Wait(t.Context(), c.Cluster, spec, c.Core.CoreV1().PersistentVolumeClaims(c.Namespace),
		kube.Named(func(now *corev1.PersistentVolumeClaim) (kube.Progress, error) {
			return kube.Progress{Done: now != nil && now.Status.Phase == corev1.ClaimBound, State: "not bound"}, nil
		})); err != nil {
		t.Fatal(err)
	}
}
