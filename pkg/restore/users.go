// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// users are who mounts the claims of a restore in place.
type users struct {
	plan      *Plan
	claims    []string
	workloads []*workload
	// refused says who keeps the claims from being taken away, and why.
	refused []error
	notes   []string
}

func (u *users) refuse(hint, format string, args ...any) {
	u.refused = append(u.refused, fault.Hint(fault.Usagef(format, args...), "%s", hint))
}

// users finds who mounts the claims, or could: pods as they are, and templates. What cannot be
// scaled down, or would be scaled up again, is an error.
func (p *Plan) users(ctx context.Context, claims []string) (*users, error) {
	u := &users{plan: p, claims: claims}
	for _, look := range []func(context.Context) error{u.deployments, u.statefulSets, u.daemonSets, u.jobs, u.pods, u.scalers} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(u.workloads, func(a, b *workload) int { return compare(a.String(), b.String()) })
	return u, errors.Join(u.refused...)
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// mounts tells whether a pod's specification mounts one of the claims.
func (u *users) mounts(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && slices.Contains(u.claims, v.PersistentVolumeClaim.ClaimName)
	})
}

func (u *users) deployments(ctx context.Context) error {
	list, err := u.plan.cluster.Core.AppsV1().Deployments(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "apps/deployments", ""), err)
	}
	for i := range list.Items {
		if d := &list.Items[i]; u.mounts(&d.Spec.Template.Spec) {
			u.scalable(&workload{kind: kindDeployment, name: d.Name, uid: d.UID, replicas: orOne(d.Spec.Replicas), meta: d.ObjectMeta})
		}
	}
	return nil
}

func (u *users) statefulSets(ctx context.Context) error {
	list, err := u.plan.cluster.Core.AppsV1().StatefulSets(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "apps/statefulsets", ""), err)
	}
	for i := range list.Items {
		s := &list.Items[i]
		if !u.mounts(&s.Spec.Template.Spec) && !u.numbered(s) {
			continue
		}
		u.scalable(&workload{kind: kindStatefulSet, name: s.Name, uid: s.UID, replicas: orOne(s.Spec.Replicas), meta: s.ObjectMeta})
		if keep := s.Spec.PersistentVolumeClaimRetentionPolicy; keep != nil && keep.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
			u.refuse(fmt.Sprintf("set persistentVolumeClaimRetentionPolicy.whenScaled of StatefulSet %s to Retain first", s.Name),
				"StatefulSet %s deletes its claims when it is scaled down", s.Name)
		}
	}
	return nil
}

// numbered tells whether one of the claims is made from a template of the StatefulSet.
func (u *users) numbered(s *appsv1.StatefulSet) bool {
	for _, template := range s.Spec.VolumeClaimTemplates {
		form := regexp.MustCompile("^" + regexp.QuoteMeta(template.Name+"-"+s.Name) + "-[0-9]+$")
		if slices.ContainsFunc(u.claims, form.MatchString) {
			return true
		}
	}
	return false
}

// appliedBy names the tool that sets the replicas of an object back to what a repository says,
// "" where none is known to.
func appliedBy(meta *metav1.ObjectMeta) string {
	for _, mark := range []struct{ key, tool string }{
		{"argocd.argoproj.io/instance", "Argo CD"},
		{"argocd.argoproj.io/tracking-id", "Argo CD"},
		{"kustomize.toolkit.fluxcd.io/name", "Flux"},
		{"helm.toolkit.fluxcd.io/name", "Flux"},
	} {
		if meta.Labels[mark.key] != "" || meta.Annotations[mark.key] != "" {
			return mark.tool
		}
	}
	return ""
}

// scalable adds a workload that a restore scales, unless somebody else does.
func (u *users) scalable(w *workload) {
	u.workloads = append(u.workloads, w)
	if owner := metav1.GetControllerOf(&w.meta); owner != nil {
		u.refuse(fmt.Sprintf("tell %s %s to stop its pods, or restore to a new claim and hand that to it", owner.Kind, owner.Name),
			"%s is kept by %s %s, which would scale it up again", w, owner.Kind, owner.Name)
	}
	if tool := appliedBy(&w.meta); tool != "" {
		u.notes = append(u.notes, fmt.Sprintf("%s is applied by %s: if that heals what differs by itself, pause it while the restore goes on", w, tool))
	}
}

func (u *users) daemonSets(ctx context.Context) error {
	list, err := u.plan.cluster.Core.AppsV1().DaemonSets(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "apps/daemonsets", ""), err)
	}
	for i := range list.Items {
		if d := &list.Items[i]; u.mounts(&d.Spec.Template.Spec) {
			u.refuse("delete the DaemonSet while the restore goes on, and apply it again afterwards",
				"DaemonSet %s mounts %s and cannot be scaled down", d.Name, claimWords(u.claims))
		}
	}
	return nil
}

// jobs refuses what starts pods by itself or has not ended.
func (u *users) jobs(ctx context.Context) error {
	crons, err := u.plan.cluster.Core.BatchV1().CronJobs(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "batch/cronjobs", ""), err)
	}
	for i := range crons.Items {
		c := &crons.Items[i]
		if u.mounts(&c.Spec.JobTemplate.Spec.Template.Spec) && (c.Spec.Suspend == nil || !*c.Spec.Suspend) {
			u.refuse(fmt.Sprintf("suspend it: kubectl -n %s patch cronjob %s -p '{\"spec\":{\"suspend\":true}}'", c.Namespace, c.Name),
				"CronJob %s mounts %s and may start a pod at any time", c.Name, claimWords(u.claims))
		}
	}
	jobs, err := u.plan.cluster.Core.BatchV1().Jobs(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "batch/jobs", ""), err)
	}
	for i := range jobs.Items {
		j := &jobs.Items[i]
		if u.mounts(&j.Spec.Template.Spec) && j.Status.CompletionTime == nil && !jobFailed(j.Status.Conditions) && (j.Spec.Suspend == nil || !*j.Spec.Suspend) {
			u.refuse("wait until it has ended, or delete it", "Job %s mounts %s and has not ended", j.Name, claimWords(u.claims))
		}
	}
	return nil
}

// pods refuses those that none of the workloads found owns. Those of Jobs, DaemonSets and
// CronJobs are told by their owners.
func (u *users) pods(ctx context.Context) error {
	list, err := u.plan.cluster.Core.CoreV1().Pods(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "pods", ""), err)
	}
	told := map[string]bool{}
	for i := range list.Items {
		pod := &list.Items[i]
		if !using(pod, u.claims) {
			continue
		}
		owner, err := u.plan.cluster.Owner(ctx, pod)
		if err != nil {
			return err
		}
		known := slices.ContainsFunc(u.workloads, func(w *workload) bool { return w.uid == owner.UID })
		switch {
		case known || told[owner.String()], owner.Kind == "DaemonSet", owner.Kind == "Job", owner.Kind == "CronJob":
		case owner.Kind == "Pod":
			u.refuse("delete it, or let a workload make it", "Pod %s mounts %s and no workload made it: nothing would start it again", pod.Name, claimWords(u.claims))
		case pod.DeletionTimestamp == nil:
			u.refuse(fmt.Sprintf("stop it with the tool that made the %s, or restore to a new claim", owner.Kind),
				"%s has pods that mount %s, and it is not known how that is scaled", owner, claimWords(u.claims))
		}
		told[owner.String()] = true
	}
	return nil
}

// scalers refuses what sets the number of replicas of a workload by itself.
func (u *users) scalers(ctx context.Context) error {
	if len(u.workloads) == 0 {
		return nil
	}
	list, err := u.plan.cluster.Core.AutoscalingV2().HorizontalPodAutoscalers(u.plan.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return u.plan.cluster.Explain(ctx, u.plan.call("list", "autoscaling/horizontalpodautoscalers", ""), err)
	}
	for i := range list.Items {
		h := &list.Items[i]
		for _, w := range u.workloads {
			if h.Spec.ScaleTargetRef.Kind == w.kind && h.Spec.ScaleTargetRef.Name == w.name {
				u.refuse("delete it while the restore goes on, and apply it again afterwards (an autoscaler of KEDA: pause its ScaledObject)",
					"HorizontalPodAutoscaler %s scales %s and could scale it up again", h.Name, w)
			}
		}
	}
	return nil
}

// using tells whether a pod that has not ended mounts one of the claims.
func using(pod *corev1.Pod, claims []string) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil && slices.Contains(claims, v.PersistentVolumeClaim.ClaimName),
			v.Ephemeral != nil && slices.Contains(claims, pod.Name+"-"+v.Name):
			return true
		}
	}
	return false
}

// unused waits until no pod uses the claims.
func (p *Plan) unused(ctx context.Context, claims []string) error {
	spec := kube.WaitSpec{
		What: "no pod to use " + claimWords(claims), Timeout: p.request.Timeout, Resource: "pods", Namespace: p.cluster.Namespace,
		TimeoutHint: "a pod has its terminationGracePeriodSeconds to end; if it only needs longer, give a longer --timeout",
	}
	return kube.Wait(ctx, p.cluster, spec, p.cluster.Core.CoreV1().Pods(p.cluster.Namespace), func(pods []*corev1.Pod) (kube.Progress, error) {
		var left []string
		for _, pod := range pods {
			if using(pod, claims) {
				left = append(left, pod.Name)
			}
		}
		return kube.Progress{Done: len(left) == 0, State: "still used by " + nameWords("pod", left)}, nil
	})
}
