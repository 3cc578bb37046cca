// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// restartedAt is the annotation by which kubectl restarts a workload.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// FieldManager owns what knowngood writes into other people's objects, so that tools which
// apply them leave it alone.
const FieldManager = "knowngood"

// Restart begins a rolling restart, as `kubectl rollout restart` does, and returns the stamp
// that it put on the template, for Settle. It checks nothing: the caller has asked Hazards.
func Restart(ctx context.Context, c *kube.Cluster, w *Workload) (stamp string, err error) {
	if w.Stuck != "" {
		return "", fmt.Errorf("restart %s: %s", w, w.Stuck)
	}
	// With fractions of a second: two restarts within one would otherwise be one.
	stamp = c.Now().UTC().Format(time.RFC3339Nano)
	patch, err := annotate(stamp)
	if err != nil {
		return "", err
	}
	options := metav1.PatchOptions{FieldManager: FieldManager}
	apps, resource := c.Core.AppsV1(), ""
	switch w.Kind {
	case kindDeployment:
		resource = "apps/deployments"
		_, err = apps.Deployments(w.Namespace).Patch(ctx, w.Name, types.StrategicMergePatchType, patch, options)
	case kindStatefulSet:
		resource = "apps/statefulsets"
		_, err = apps.StatefulSets(w.Namespace).Patch(ctx, w.Name, types.StrategicMergePatchType, patch, options)
	case kindDaemonSet:
		resource = "apps/daemonsets"
		_, err = apps.DaemonSets(w.Namespace).Patch(ctx, w.Name, types.StrategicMergePatchType, patch, options)
	default:
		return "", fmt.Errorf("restart %s: a %s is not known here", w, w.Kind)
	}
	return stamp, c.Explain(ctx, kube.Call{Verb: "patch", Resource: resource, Namespace: w.Namespace, Name: w.Name}, err)
}

func annotate(stamp string) ([]byte, error) {
	type object = map[string]any
	return json.Marshal(object{"spec": object{"template": object{"metadata": object{"annotations": object{restartedAt: stamp}}}}})
}

// Settle waits until the workload has rolled out: all replicas are of its present template
// and available, and no older one is left. stamp is what Restart returned, "" when the
// rollout is somebody else's; a restart that somebody undoes meanwhile is an error. It ends
// early when the controller has given up or a new pod crashes again and again.
func Settle(ctx context.Context, c *kube.Cluster, w *Workload, stamp string, timeout time.Duration) error {
	spec := kube.WaitSpec{
		What: w.String() + " to be rolled out", Timeout: timeout, Namespace: w.Namespace, Name: w.Name,
		TimeoutHint: settleHint(w),
	}
	waiting := &settling{cluster: c, workload: w, stamp: stamp}
	apps := c.Core.AppsV1()
	switch w.Kind {
	case kindDeployment:
		spec.Resource = "apps/deployments"
		return kube.Wait(ctx, c, spec, apps.Deployments(w.Namespace), kube.Named(func(d *appsv1.Deployment) (kube.Progress, error) {
			if d == nil {
				return waiting.gone()
			}
			return waiting.judge(ctx, d.UID, d.Spec.Template, d.Spec.Paused, deploymentOutcome(d))
		}))
	case kindStatefulSet:
		spec.Resource = "apps/statefulsets"
		return kube.Wait(ctx, c, spec, apps.StatefulSets(w.Namespace), kube.Named(func(s *appsv1.StatefulSet) (kube.Progress, error) {
			if s == nil {
				return waiting.gone()
			}
			return waiting.judge(ctx, s.UID, s.Spec.Template, false, statefulSetOutcome(s))
		}))
	case kindDaemonSet:
		spec.Resource = "apps/daemonsets"
		return kube.Wait(ctx, c, spec, apps.DaemonSets(w.Namespace), kube.Named(func(d *appsv1.DaemonSet) (kube.Progress, error) {
			if d == nil {
				return waiting.gone()
			}
			return waiting.judge(ctx, d.UID, d.Spec.Template, false, daemonSetOutcome(d))
		}))
	}
	return nil // pods on their own are what they are
}

func settleHint(w *Workload) string {
	kind := strings.ToLower(w.Kind)
	return fmt.Sprintf("look at its pods: kubectl -n %s describe %s %s; to take the new pods back: kubectl -n %s rollout undo %s/%s",
		w.Namespace, kind, w.Name, w.Namespace, kind, w.Name)
}

// settling is one wait for a rollout.
type settling struct {
	cluster  *kube.Cluster
	workload *Workload
	stamp    string
}

// diagnosis is how often a wait looks at the new pods to tell what ails them. The end of a
// rollout does not hang on it: that is watched.
const diagnosis = 5 * time.Second

func (s *settling) gone() (kube.Progress, error) {
	return kube.Progress{}, fmt.Errorf("%s: it was deleted", s.workload)
}

func (s *settling) judge(ctx context.Context, uid types.UID, template corev1.PodTemplateSpec, paused bool, found outcome) (kube.Progress, error) {
	w := s.workload
	switch {
	case uid != w.UID:
		return s.gone()
	case isUndone(s.stamp, template.Annotations[restartedAt]):
		return kube.Progress{}, fault.Hint(fmt.Errorf("%s: somebody undid the restart while it was under way", w),
			"%s", undone(w))
	case found.done:
		return kube.Progress{Done: true}, nil
	case paused:
		return kube.Progress{}, fmt.Errorf("%s: it is paused in the middle of a rollout (%s)", w, found.state)
	}
	ails, dead := s.ailments(ctx, template.Labels)
	if found.dead || dead {
		return kube.Progress{}, fault.Hint(fmt.Errorf("%s: the rollout is stuck: %s", w, kube.OneLine(join(found.state, ails))), "%s", settleHint(w))
	}
	return kube.Progress{State: kube.OneLine(join(found.state, ails)), Recheck: diagnosis}, nil
}

// isUndone tells whether a template's stamp is no longer ours. A later one is another restart,
// which serves as well.
func isUndone(ours, now string) bool {
	if ours == "" || now == ours {
		return false
	}
	begun, err := time.Parse(time.RFC3339Nano, ours)
	other, otherErr := time.Parse(time.RFC3339Nano, now)
	return err != nil || otherErr != nil || other.Before(begun.Truncate(time.Second))
}

func undone(w *Workload) string {
	if w.Keeper != "" {
		return fmt.Sprintf("%s keeps it: let it leave the annotation %s alone, or let the workload reload (annotation %s)",
			w.Keeper, restartedAt, AnnotationReload)
	}
	return fmt.Sprintf("whatever applies it removes the annotation %s of its template: let it leave that alone", restartedAt)
}

func join(state, ails string) string {
	if ails == "" {
		return state
	}
	return state + "; " + ails
}

// ailments tells what keeps the new pods from being ready. In a rollout that is not ours the
// new ones cannot be told from the old, so that none of them makes it a dead one.
func (s *settling) ailments(ctx context.Context, of map[string]string) (text string, dead bool) {
	pods, err := s.cluster.Core.CoreV1().Pods(s.workload.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(of).String()})
	if err != nil {
		return kube.OneLine(err.Error()), false
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil || s.stamp != "" && pod.Annotations[restartedAt] != s.stamp {
			continue
		}
		if found, over := ailment(pod); found != "" {
			text, dead = found, over && s.stamp != ""
		}
		if dead {
			break
		}
	}
	return text, dead
}

// annotationNudged is what Nudge writes.
const annotationNudged = "knowngood.dev/nudged"

// Nudge changes an annotation of a pod, so that the kubelet looks at the pod, and at its
// Secrets, earlier than at its next regular sync. A pod that has gone is no error.
func Nudge(ctx context.Context, c *kube.Cluster, pod *corev1.Pod) error {
	type object = map[string]any
	patch, err := json.Marshal(object{"metadata": object{"annotations": object{annotationNudged: c.Now().UTC().Format(time.RFC3339Nano)}}})
	if err != nil {
		return err
	}
	_, err = c.Core.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
	return c.Explain(ctx, kube.Call{Verb: "patch", Resource: "pods", Namespace: pod.Namespace, Name: pod.Name}, err)
}

// Reload runs the recipe in a pod. The command's own failure is a kube.ExitError.
func Reload(ctx context.Context, c *kube.Cluster, pod *corev1.Pod, recipe Recipe) error {
	_, err := c.Streams.Exec(ctx, kube.Command{Namespace: pod.Namespace, Pod: pod.Name, Container: recipe.Container, Args: recipe.Command})
	return err
}
