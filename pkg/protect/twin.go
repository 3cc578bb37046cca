// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// tellTwin warns where the temporary claim may not be mounted: what is made of a snapshot of XFS
// bears the same UUID, and a node that has the one mounted refuses the other, unless it is told not
// to look or the driver gives it another UUID. Which options a volume is mounted with is its
// StorageClass's to say.
func (q Request) tellTwin(ctx context.Context, cluster *kube.Cluster, s release.Snapshot, cut *corev1.PersistentVolume) error {
	if raw(s) || cut.Spec.CSI == nil || cut.Spec.CSI.FSType != "xfs" {
		return nil
	}
	name := q.classOf(s)
	class, err := cluster.Core.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("claim %s: %w", s.Claim, cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "storage.k8s.io/storageclasses", Name: name}, err))
	}
	if !slices.Contains(class.MountOptions, "nouuid") {
		cluster.Log.Warn("the volume is XFS, and a node may refuse to mount two of one UUID: should the Job wait for its volume, give a StorageClass with mountOptions [nouuid] as --backup-class",
			"claim", s.Claim, "class", name)
	}
	return nil
}

// classOf is the StorageClass of the temporary claim.
func (q Request) classOf(s release.Snapshot) string {
	if q.Class != "" {
		return q.Class
	}
	return s.StorageClass
}
