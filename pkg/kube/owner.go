// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Workload is what a pod belongs to: a Deployment, StatefulSet, DaemonSet, CronJob, Job,
// any other kind that controls pods, or the pod itself.
type Workload struct {
	APIVersion string
	Kind       string
	Name       string
	UID        types.UID
}

// String returns e.g. "StatefulSet db".
func (w Workload) String() string { return w.Kind + " " + w.Name }

// Owner follows the controlling owners of a pod up to the one that nobody controls. A kind
// that this package does not know (an operator's own) ends the climb and is returned.
func (c *Cluster) Owner(ctx context.Context, pod *corev1.Pod) (Workload, error) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return Workload{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}, nil
	}
	above, err := c.controller(ctx, pod.Namespace, owner)
	if err != nil {
		return Workload{}, err
	}
	if above != nil {
		owner = above
	}
	return Workload{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID}, nil
}

// controller returns who controls the owner, for the two kinds that stand between a pod and
// its workload; nil when nobody does.
func (c *Cluster) controller(ctx context.Context, namespace string, owner *metav1.OwnerReference) (*metav1.OwnerReference, error) {
	switch owner.APIVersion + " " + owner.Kind {
	case "apps/v1 ReplicaSet":
		set, err := c.Core.AppsV1().ReplicaSets(namespace).Get(ctx, owner.Name, metav1.GetOptions{})
		if err != nil {
			return nil, c.Explain(ctx, Call{"get", "apps/replicasets", namespace, owner.Name}, err)
		}
		return metav1.GetControllerOf(set), nil
	case "batch/v1 Job":
		job, err := c.Core.BatchV1().Jobs(namespace).Get(ctx, owner.Name, metav1.GetOptions{})
		if err != nil {
			return nil, c.Explain(ctx, Call{"get", "batch/jobs", namespace, owner.Name}, err)
		}
		return metav1.GetControllerOf(job), nil
	}
	return nil, nil
}
