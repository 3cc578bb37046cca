// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Kinds of workloads that can be restarted.
const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
)

// A Workload is something whose pods get a Secret.
type Workload struct {
	Kind      string
	Namespace string
	Name      string
	UID       types.UID
	// Template is what the next pod is made from. For a pod that nobody controls, and for
	// kinds that are not known here, it is that of a running pod.
	Template corev1.PodTemplateSpec
	// Replicas is how many pods are wanted.
	Replicas int
	// Away is the largest number of pods that a restart takes away at once.
	Away int
	// Stuck says why a restart cannot be done from here, "" when it can.
	Stuck string
	// Keeper names the controller that made the workload (an operator), "" for none: it may
	// undo a restart.
	Keeper string
}

// String returns e.g. "Deployment web".
func (w *Workload) String() string { return w.Kind + " " + w.Name }

func fromDeployment(d *appsv1.Deployment) *Workload {
	w := &Workload{
		Kind: kindDeployment, Namespace: d.Namespace, Name: d.Name, UID: d.UID,
		Template: d.Spec.Template, Replicas: orOne(d.Spec.Replicas), Keeper: keeper(d),
	}
	switch {
	case d.Spec.Paused:
		w.Stuck = fmt.Sprintf("it is paused (kubectl rollout resume deployment/%s)", d.Name)
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		w.Away = w.Replicas
	default:
		w.Away = deploymentAway(d.Spec.Strategy.RollingUpdate, w.Replicas)
	}
	return w
}

// deploymentAway resolves maxUnavailable as the Deployment controller does: rounded down, and
// 1 where both it and maxSurge come to 0.
func deploymentAway(rolling *appsv1.RollingUpdateDeployment, replicas int) int {
	unavailable, surge := intstr.FromString("25%"), intstr.FromString("25%")
	if rolling != nil && rolling.MaxUnavailable != nil {
		unavailable = *rolling.MaxUnavailable
	}
	if rolling != nil && rolling.MaxSurge != nil {
		surge = *rolling.MaxSurge
	}
	away := scaled(unavailable, replicas, false)
	if away == 0 && scaled(surge, replicas, true) == 0 {
		return 1
	}
	return min(away, replicas)
}

func fromStatefulSet(s *appsv1.StatefulSet) *Workload {
	w := &Workload{
		Kind: kindStatefulSet, Namespace: s.Namespace, Name: s.Name, UID: s.UID,
		Template: s.Spec.Template, Replicas: orOne(s.Spec.Replicas), Away: 1, Keeper: keeper(s),
	}
	rolling := s.Spec.UpdateStrategy.RollingUpdate
	switch {
	case s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType:
		w.Stuck = "its update strategy is OnDelete: its pods are replaced only when somebody deletes them"
	case rolling != nil && rolling.Partition != nil && *rolling.Partition > 0:
		w.Stuck = fmt.Sprintf("its update strategy has partition %d: the pods below it are not replaced", *rolling.Partition)
	case rolling != nil && rolling.MaxUnavailable != nil:
		w.Away = max(1, scaled(*rolling.MaxUnavailable, w.Replicas, false))
	}
	return w
}

func fromDaemonSet(d *appsv1.DaemonSet) *Workload {
	w := &Workload{
		Kind: kindDaemonSet, Namespace: d.Namespace, Name: d.Name, UID: d.UID,
		Template: d.Spec.Template, Replicas: int(d.Status.DesiredNumberScheduled), Away: 1, Keeper: keeper(d),
	}
	if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		w.Stuck = "its update strategy is OnDelete: its pods are replaced only when somebody deletes them"
	}
	if rolling := d.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.MaxUnavailable != nil {
		// The DaemonSet controller rounds up; with maxSurge it is 0.
		w.Away = scaled(*rolling.MaxUnavailable, w.Replicas, true)
	}
	return w
}

// fromPod stands for pods of which no known workload could be restarted: owner is who
// controls them, or the pod itself.
func fromPod(pod *corev1.Pod, kind, name string, uid types.UID) *Workload {
	w := &Workload{
		Kind: kind, Namespace: pod.Namespace, Name: name, UID: uid, Replicas: 1,
		Template: corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec},
	}
	if kind == "Pod" {
		w.Stuck = "no controller would make it again: delete it and create it anew"
	} else {
		w.Stuck = fmt.Sprintf("knowngood does not know how a %s is restarted: restart it with its own tool", kind)
	}
	return w
}

func orOne(replicas *int32) int {
	if replicas == nil {
		return 1
	}
	return int(*replicas)
}

// scaled resolves a number or percentage. One that cannot be read counts as all, which no
// check lets pass.
func scaled(value intstr.IntOrString, of int, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, of, up)
	if err != nil {
		return of
	}
	return n
}

func keeper(object metav1.Object) string {
	if owner := metav1.GetControllerOf(object); owner != nil {
		return owner.Kind + " " + owner.Name
	}
	return ""
}
