// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"context"
	"regexp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// workloads keeps those that mount one of the claims.
func (c *collecting) workloads(ctx context.Context) {
	apps, everything := c.cluster.Core.AppsV1(), metav1.ListOptions{}
	if list, err := apps.Deployments(c.cluster.Namespace).List(ctx, everything); err != nil {
		c.fail(ctx, "list", "apps/deployments", "", err)
	} else {
		for i := range list.Items {
			c.workload("apps/v1", "Deployment", &list.Items[i], &list.Items[i].Spec.Template, false)
		}
	}
	if list, err := apps.StatefulSets(c.cluster.Namespace).List(ctx, everything); err != nil {
		c.fail(ctx, "list", "apps/statefulsets", "", err)
	} else {
		for i := range list.Items {
			c.workload("apps/v1", "StatefulSet", &list.Items[i], &list.Items[i].Spec.Template, c.numbered(&list.Items[i]))
		}
	}
	if list, err := apps.DaemonSets(c.cluster.Namespace).List(ctx, everything); err != nil {
		c.fail(ctx, "list", "apps/daemonsets", "", err)
	} else {
		for i := range list.Items {
			c.workload("apps/v1", "DaemonSet", &list.Items[i], &list.Items[i].Spec.Template, false)
		}
	}
	if list, err := c.cluster.Core.BatchV1().CronJobs(c.cluster.Namespace).List(ctx, everything); err != nil {
		c.fail(ctx, "list", "batch/cronjobs", "", err)
	} else {
		for i := range list.Items {
			c.workload("batch/v1", "CronJob", &list.Items[i], &list.Items[i].Spec.JobTemplate.Spec.Template, false)
		}
	}
}

func (c *collecting) workload(apiVersion, kind string, of runtime.Object, template *corev1.PodTemplateSpec, numbered bool) {
	if numbered || c.mounts(&template.Spec) {
		c.templates = append(c.templates, *template)
		c.add(apiVersion, kind, of)
	}
}

// numbered tells whether one of the claims is made from a template of the StatefulSet.
func (c *collecting) numbered(s *appsv1.StatefulSet) bool {
	for _, template := range s.Spec.VolumeClaimTemplates {
		if slices.ContainsFunc(c.claims, regexp.MustCompile("^"+regexp.QuoteMeta(template.Name+"-"+s.Name)+"-[0-9]+$").MatchString) {
			return true
		}
	}
	return false
}

// pods names those that mount a claim and belong to no workload that is kept.
func (c *collecting) pods(ctx context.Context) {
	list, err := c.cluster.Core.CoreV1().Pods(c.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		c.fail(ctx, "list", "pods", "", err)
		return
	}
	for i := range list.Items {
		if pod := &list.Items[i]; c.mounts(&pod.Spec) {
			switch owner := metav1.GetControllerOf(pod); {
			case owner == nil:
				c.miss("Pod %s: no workload made it", pod.Name)
			case !slices.Contains([]string{"ReplicaSet", "StatefulSet", "DaemonSet", "Job"}, owner.Kind):
				c.miss("%s %s, which made pod %s: its kind is not known here", owner.Kind, owner.Name, pod.Name)
			}
		}
	}
}
