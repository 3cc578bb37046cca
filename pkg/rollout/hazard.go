// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Hazards returns why a restart would or could interrupt the service, each with what would
// prevent it; none means that a rolling restart keeps it up. Budgets are those of the
// namespace: a rolling restart is not bound by them, yet they say how many pods the owner
// needs.
//
// What cannot be seen from here is not judged: whether the process ends gracefully, and
// whether clients try again.
func Hazards(w *Workload, secret string, budgets []policyv1.PodDisruptionBudget) []string {
	var all []string
	left := w.Replicas - w.Away
	switch {
	case w.Replicas < 2:
		all = append(all, fmt.Sprintf("it has %d replica: run two, or let it reload (annotation %s)", w.Replicas, AnnotationReload))
	case left < 1:
		all = append(all, fmt.Sprintf("a restart takes %d of %d pods away at once: lower maxUnavailable, or use the strategy RollingUpdate", w.Away, w.Replicas))
	}
	for _, name := range unprobed(w, secret) {
		all = append(all, fmt.Sprintf("container %s has no readiness probe: a new pod counts as ready before it serves", name))
	}
	for i := range budgets {
		if needs := needed(&budgets[i], w); w.Replicas >= 2 && left >= 1 && left < needs {
			all = append(all, fmt.Sprintf("PodDisruptionBudget %s asks for %d of %d pods and a restart leaves %d: lower maxUnavailable",
				budgets[i].Name, needs, w.Replicas, left))
		}
	}
	return all
}

// unprobed returns the containers that serve the Secret and have no readiness probe.
func unprobed(w *Workload, secret string) []string {
	serving := map[string]bool{}
	for _, use := range Uses(&w.Template.Spec, secret) {
		serving[use.Container] = serving[use.Container] || !use.Trust()
	}
	var names []string
	for _, c := range running(&w.Template.Spec) {
		if serving[c.Name] && c.ReadinessProbe == nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// needed returns how many pods of the workload a budget asks for; 0 when it selects others.
func needed(budget *policyv1.PodDisruptionBudget, w *Workload) int {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil || budget.Spec.Selector == nil || !selector.Matches(labels.Set(w.Template.Labels)) {
		return 0
	}
	// Both percentages are rounded up, as the disruption controller does.
	switch {
	case budget.Spec.MinAvailable != nil:
		return scaled(*budget.Spec.MinAvailable, w.Replicas, true)
	case budget.Spec.MaxUnavailable != nil:
		return w.Replicas - scaled(*budget.Spec.MaxUnavailable, w.Replicas, true)
	default:
		return 0
	}
}
