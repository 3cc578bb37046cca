// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/kube"
)

// A Survey is who is there in a namespace, as of one moment. It is not safe for concurrent use.
type Survey struct {
	cluster   *kube.Cluster
	workloads []*Workload
	services  []corev1.Service
	budgets   []policyv1.PodDisruptionBudget
	ingresses []networkingv1.Ingress
	pods      []corev1.Pod
	// owners of pods by the uid of what controls them, or by their own.
	owners map[types.UID]kube.Workload
}

// Take surveys the cluster's namespace.
func Take(ctx context.Context, c *kube.Cluster) (*Survey, error) {
	s := &Survey{cluster: c, owners: map[types.UID]kube.Workload{}}
	for _, read := range []func(context.Context) error{s.readWorkloads, s.readNeighbours, s.Refresh} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Survey) readWorkloads(ctx context.Context) error {
	all, namespace := metav1.ListOptions{}, s.cluster.Namespace
	apps := s.cluster.Core.AppsV1()
	deployments, err := apps.Deployments(namespace).List(ctx, all)
	if err != nil {
		return s.explain(ctx, "apps/deployments", err)
	}
	for i := range deployments.Items {
		s.workloads = append(s.workloads, fromDeployment(&deployments.Items[i]))
	}
	statefulSets, err := apps.StatefulSets(namespace).List(ctx, all)
	if err != nil {
		return s.explain(ctx, "apps/statefulsets", err)
	}
	for i := range statefulSets.Items {
		s.workloads = append(s.workloads, fromStatefulSet(&statefulSets.Items[i]))
	}
	daemonSets, err := apps.DaemonSets(namespace).List(ctx, all)
	if err != nil {
		return s.explain(ctx, "apps/daemonsets", err)
	}
	for i := range daemonSets.Items {
		s.workloads = append(s.workloads, fromDaemonSet(&daemonSets.Items[i]))
	}
	return nil
}

// readNeighbours reads what says how the workloads are reached, and how many of them are needed.
func (s *Survey) readNeighbours(ctx context.Context) error {
	all, namespace, core := metav1.ListOptions{}, s.cluster.Namespace, s.cluster.Core
	services, err := core.CoreV1().Services(namespace).List(ctx, all)
	if err != nil {
		return s.explain(ctx, "services", err)
	}
	budgets, err := core.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, all)
	if err != nil {
		return s.explain(ctx, "policy/poddisruptionbudgets", err)
	}
	ingresses, err := core.NetworkingV1().Ingresses(namespace).List(ctx, all)
	if err != nil {
		return s.explain(ctx, "networking.k8s.io/ingresses", err)
	}
	s.services, s.budgets, s.ingresses = services.Items, budgets.Items, ingresses.Items
	return nil
}

// Refresh reads the pods again.
func (s *Survey) Refresh(ctx context.Context) error {
	pods, err := s.cluster.Core.CoreV1().Pods(s.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return s.explain(ctx, "pods", err)
	}
	s.pods = pods.Items
	sort.Slice(s.pods, func(i, j int) bool { return s.pods[i].Name < s.pods[j].Name })
	return nil
}

func (s *Survey) explain(ctx context.Context, resource string, err error) error {
	return s.cluster.Explain(ctx, kube.Call{Verb: "list", Resource: resource, Namespace: s.cluster.Namespace}, err)
}

// Consumers are the users of one Secret.
type Consumers struct {
	// Workloads may serve it, by kind and name.
	Workloads []*Workload
	// Passed names the users that have nothing to prove, and why, for people.
	Passed []string
}

// Consumers returns who uses the Secret: by the template of the next pod, and by the pods
// there are, so that a controller of an unknown kind is not overlooked.
func (s *Survey) Consumers(ctx context.Context, secret string) (Consumers, error) {
	var found Consumers
	known := map[types.UID]bool{}
	for _, w := range s.workloads {
		found.consider(w, secret, known)
	}
	for i := range s.pods {
		pod := &s.pods[i]
		if ended(pod) || pod.DeletionTimestamp != nil || len(Uses(&pod.Spec, secret)) == 0 {
			continue
		}
		owner, err := s.owner(ctx, pod)
		if err != nil {
			return Consumers{}, err
		}
		found.consider(s.workloadOf(pod, owner), secret, known)
	}
	for i := range s.ingresses {
		if ingress := &s.ingresses[i]; slices.ContainsFunc(ingress.Spec.TLS, func(t networkingv1.IngressTLS) bool { return t.SecretName == secret }) {
			found.Passed = append(found.Passed, fmt.Sprintf("Ingress %s: its controller serves Secret %s, and is not looked at", ingress.Name, secret))
		}
	}
	slices.SortFunc(found.Workloads, func(a, b *Workload) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return found, nil
}

// consider adds a workload that is not known yet to those that matter or to those passed over.
func (f *Consumers) consider(w *Workload, secret string, known map[types.UID]bool) {
	uses := Uses(&w.Template.Spec, secret)
	if known[w.UID] || len(uses) == 0 {
		return
	}
	known[w.UID] = true
	trust := !slices.ContainsFunc(uses, func(u Use) bool { return !u.Trust() })
	switch {
	case trust:
		f.Passed = append(f.Passed, fmt.Sprintf("%s: reads only the authority in Secret %s", w, secret))
	case w.Kind == "Job" || w.Kind == "CronJob":
		f.Passed = append(f.Passed, fmt.Sprintf("%s: uses Secret %s and runs to its end", w, secret))
	case w.Replicas == 0:
		f.Passed = append(f.Passed, fmt.Sprintf("%s: uses Secret %s and has no pods", w, secret))
	default:
		f.Workloads = append(f.Workloads, w)
	}
}

// workloadOf returns the workload that a pod belongs to. Of a Deployment whose template does
// not use the Secret any more the pod's own use still counts: the pod serves until it goes.
func (s *Survey) workloadOf(pod *corev1.Pod, owner kube.Workload) *Workload {
	for _, w := range s.workloads {
		if w.UID == owner.UID {
			old := *w
			old.Template = corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
			return &old
		}
	}
	return fromPod(pod, owner.Kind, owner.Name, owner.UID)
}

func (s *Survey) owner(ctx context.Context, pod *corev1.Pod) (kube.Workload, error) {
	key := pod.UID
	if controller := metav1.GetControllerOf(pod); controller != nil {
		key = controller.UID
	}
	if owner, ok := s.owners[key]; ok {
		return owner, nil
	}
	owner, err := s.cluster.Owner(ctx, pod)
	if err == nil {
		s.owners[key] = owner
	}
	return owner, err
}

// Ready returns the pods of a workload that take requests: ready, and not about to go.
func (s *Survey) Ready(ctx context.Context, w *Workload) ([]corev1.Pod, error) {
	var ready []corev1.Pod
	for i := range s.pods {
		pod := &s.pods[i]
		if pod.DeletionTimestamp != nil || !isReady(pod) {
			continue
		}
		owner, err := s.owner(ctx, pod)
		if err != nil {
			return nil, err
		}
		if owner.UID == w.UID {
			ready = append(ready, *pod)
		}
	}
	return ready, nil
}

// Replicas returns how many pods a workload wants as of this survey; ok is false where it is not
// one that a survey reads.
func (s *Survey) Replicas(w *Workload) (n int, ok bool) {
	for _, known := range s.workloads {
		if known.UID == w.UID {
			return known.Replicas, true
		}
	}
	return 0, false
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Endpoints returns where the workload may serve the Secret; see the function of that name.
func (s *Survey) Endpoints(w *Workload, secret string) (all []Endpoint, served bool, err error) {
	all, served, err = Endpoints(&w.Template, secret, s.services)
	if err != nil {
		err = fmt.Errorf("%s: %w", w, err)
	}
	return all, served, err
}

// Hazards returns why a restart could interrupt the service; see the function of that name.
func (s *Survey) Hazards(w *Workload, secret string) []string { return Hazards(w, secret, s.budgets) }
