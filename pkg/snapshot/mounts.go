// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"regexp"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mountedClaims tells whether a claim is one that a workload mounts: pods as they are, and the
// templates of workloads, which count when they are scaled to zero as well.
func (t *taking) mountedClaims(ctx context.Context, pods []corev1.Pod) (func(claim string) bool, error) {
	names := map[string]bool{}
	for i := range pods {
		for name := range podClaims(&pods[i]) {
			names[name] = true
		}
	}
	templates, sets, err := t.templates(ctx)
	if err != nil {
		return nil, err
	}
	for _, template := range templates {
		for _, volume := range template.Volumes {
			if volume.PersistentVolumeClaim != nil {
				names[volume.PersistentVolumeClaim.ClaimName] = true
			}
		}
	}
	var numbered []*regexp.Regexp
	for i := range sets {
		for _, claim := range sets[i].Spec.VolumeClaimTemplates {
			numbered = append(numbered, regexp.MustCompile("^"+regexp.QuoteMeta(claim.Name+"-"+sets[i].Name)+"-[0-9]+$"))
		}
	}
	return func(claim string) bool {
		if names[claim] {
			return true
		}
		for _, form := range numbered {
			if form.MatchString(claim) {
				return true
			}
		}
		return false
	}, nil
}

// podClaims returns the claims that a pod mounts, ephemeral ones by the name that Kubernetes
// gives them. The value is the volume's name in the pod.
func podClaims(pod *corev1.Pod) map[string]string {
	claims := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.PersistentVolumeClaim != nil:
			claims[volume.PersistentVolumeClaim.ClaimName] = volume.Name
		case volume.Ephemeral != nil:
			claims[pod.Name+"-"+volume.Name] = volume.Name
		}
	}
	return claims
}

// templates lists the pod templates of every kind of workload that Kubernetes itself has.
// Those of operators show in their pods.
func (t *taking) templates(ctx context.Context) (specs []corev1.PodSpec, sets []appsv1.StatefulSet, err error) {
	namespace, everything := t.cluster.Namespace, metav1.ListOptions{}
	apps, batch := t.cluster.Core.AppsV1(), t.cluster.Core.BatchV1()

	deployments, err := apps.Deployments(namespace).List(ctx, everything)
	if err != nil {
		return nil, nil, t.cluster.Explain(ctx, t.call("list", "apps/deployments", ""), err)
	}
	for i := range deployments.Items {
		specs = append(specs, deployments.Items[i].Spec.Template.Spec)
	}
	stateful, err := apps.StatefulSets(namespace).List(ctx, everything)
	if err != nil {
		return nil, nil, t.cluster.Explain(ctx, t.call("list", "apps/statefulsets", ""), err)
	}
	for i := range stateful.Items {
		specs = append(specs, stateful.Items[i].Spec.Template.Spec)
	}
	daemons, err := apps.DaemonSets(namespace).List(ctx, everything)
	if err != nil {
		return nil, nil, t.cluster.Explain(ctx, t.call("list", "apps/daemonsets", ""), err)
	}
	for i := range daemons.Items {
		specs = append(specs, daemons.Items[i].Spec.Template.Spec)
	}
	crons, err := batch.CronJobs(namespace).List(ctx, everything)
	if err != nil {
		return nil, nil, t.cluster.Explain(ctx, t.call("list", "batch/cronjobs", ""), err)
	}
	for i := range crons.Items {
		specs = append(specs, crons.Items[i].Spec.JobTemplate.Spec.Template.Spec)
	}
	jobs, err := batch.Jobs(namespace).List(ctx, everything)
	if err != nil {
		return nil, nil, t.cluster.Explain(ctx, t.call("list", "batch/jobs", ""), err)
	}
	for i := range jobs.Items {
		specs = append(specs, jobs.Items[i].Spec.Template.Spec)
	}
	return specs, stateful.Items, nil
}
