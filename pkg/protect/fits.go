// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// Ready tells whether the request makes sense and its Secrets are there, without reading them.
// Where the account may not even know that, the Job itself says so within seconds.
func (q Request) Ready(ctx context.Context, cluster *kube.Cluster) error {
	if limit, err := resource.ParseQuantity(q.Memory); err != nil || limit.Sign() <= 0 {
		return fault.Usagef("backup-memory %q: want it as Kubernetes writes it, e.g. 1Gi", q.Memory)
	}
	for _, one := range []struct{ name, cure string }{
		{q.KeySecret, "make it: knowngood key init --key-secret " + cluster.Namespace + "/" + q.KeySecret},
		{q.BucketSecret, "make it, with the variables by which the provider's own tools read credentials, e.g. AWS_ACCESS_KEY_ID"},
	} {
		if one.name == "" {
			continue
		}
		_, err := cluster.Metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).
			Namespace(cluster.Namespace).Get(ctx, one.name, metav1.GetOptions{})
		explained := cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "secrets", Namespace: cluster.Namespace, Name: one.name}, err)
		switch {
		case errors.Is(explained, kube.ErrForbidden):
			cluster.Log.Debug("whether the Secret is there will be seen by the Job", "secret", one.name)
		case apierrors.IsNotFound(err):
			return fault.Hint(fault.Usagef("there is no Secret %s in namespace %s", one.name, cluster.Namespace), "%s", one.cure)
		case err != nil:
			return explained
		}
	}
	return nil
}

// Fits returns an error, before anything is touched, where a snapshot as it is planned cannot be
// saved.
func (q Request) Fits(ctx context.Context, cluster *kube.Cluster, s release.Snapshot) error {
	switch corev1.PersistentVolumeMode(s.VolumeMode) {
	case corev1.PersistentVolumeFilesystem, corev1.PersistentVolumeBlock, "": // which Kubernetes takes for a file system
	default:
		return fault.Hint(fault.Usagef("claim %s/%s has volume mode %.40q, which is not known", s.Namespace, s.Claim, s.VolumeMode),
			"leave it out with --claims, and copy it by the application's own means")
	}
	name := q.classOf(s)
	if name == "" {
		return fault.Hint(fault.Usagef("claim %s/%s has no StorageClass, of which a temporary claim could be made", s.Namespace, s.Claim),
			"name one of driver %s with --backup-class", s.Driver)
	}
	class, err := cluster.Core.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fault.Hint(fault.Usagef("claim %s/%s: there is no StorageClass %s", s.Namespace, s.Claim, name), "name one of driver %s with --backup-class", s.Driver)
	case err != nil:
		return fmt.Errorf("claim %s: %w", s.Claim, cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "storage.k8s.io/storageclasses", Name: name}, err))
	case class.Provisioner != s.Driver:
		return fault.Usagef("StorageClass %s is of %s, and claim %s/%s of driver %s: nothing can be made of its snapshot", name, class.Provisioner, s.Namespace, s.Claim, s.Driver)
	case class.ReclaimPolicy != nil && *class.ReclaimPolicy == corev1.PersistentVolumeReclaimRetain:
		return fault.Hint(fault.Usagef("StorageClass %s retains volumes: the temporary one of each backup would stay for ever", name),
			"name one of driver %s with reclaimPolicy Delete with --backup-class", s.Driver)
	}
	return nil
}
