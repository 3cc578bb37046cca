// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

const restartedAt = "kubectl.kubernetes.io/restartedAt"

// control follows Deployments, StatefulSets and pods until the test ends.
func (d *Double) control() {
	ctx := d.t.Context()
	deployments, err := d.CoreFake.AppsV1().Deployments(d.Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	sets, err := d.CoreFake.AppsV1().StatefulSets(d.Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	pods, err := d.CoreFake.CoreV1().Pods(d.Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	d.t.Cleanup(func() { deployments.Stop(); sets.Stop(); pods.Stop(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			select {
			case event := <-deployments.ResultChan():
				d.check(d.deployment(ctx, event))
			case event := <-sets.ResultChan():
				d.check(d.statefulSet(ctx, event))
			case event := <-pods.ResultChan():
				d.kubelet(event)
			case <-ctx.Done():
			}
		}
	}()
}

// count makes a patch of a workload count up its generation, as an API server does when a spec
// has changed.
func (d *Double) count() {
	tracker := d.CoreFake.Tracker()
	patch := clienttesting.ObjectReaction(tracker)
	for _, resource := range []string{"deployments", "statefulsets"} {
		d.CoreFake.PrependReactor("patch", resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
			_, object, err := patch(action)
			if err != nil {
				return true, nil, err
			}
			access, err := meta.Accessor(object)
			if err != nil {
				return true, nil, err
			}
			access.SetGeneration(access.GetGeneration() + 1)
			return true, object, tracker.Update(action.GetResource(), object, action.GetNamespace())
		})
	}
}

func (d *Double) check(err error) {
	if err != nil && d.t.Context().Err() == nil {
		d.t.Errorf("the workloads' double: %v", err)
	}
}

// kubelet brings the Secret into a pod that was nudged.
func (d *Double) kubelet(event watch.Event) {
	changed, ok := event.Object.(*corev1.Pod)
	if !ok || event.Type != watch.Modified || changed.Annotations["knowngood.dev/nudged"] == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nudges[changed.Name]++
	if p := d.pods[changed.Name]; p != nil && !p.app.Late {
		p.file = d.secrets[p.app.Secret]
	}
}

func (d *Double) deployment(ctx context.Context, event watch.Event) error {
	changed, ok := event.Object.(*appsv1.Deployment)
	if !ok || event.Type != watch.Modified {
		return nil
	}
	client := d.CoreFake.AppsV1().Deployments(d.Namespace)
	now, err := client.Get(ctx, changed.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	app, fresh := d.restarted(now.Name, now.Spec.Template)
	if !fresh {
		return nil
	}
	rolled, stuck, err := d.roll(ctx, app, now.Spec.Template)
	if err != nil || !rolled && !stuck && app.Mood != Reverts {
		return err
	}
	now.Status.ObservedGeneration = now.Generation
	switch {
	case app.Mood == Reverts:
		delete(now.Spec.Template.Annotations, restartedAt)
	case stuck:
		now.Status.UpdatedReplicas, now.Status.Replicas = 1, app.Replicas+1
		if app.Mood == Sticks {
			now.Status.Conditions = []appsv1.DeploymentCondition{{
				Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "it has timed out progressing",
			}}
		}
	}
	_, err = client.Update(ctx, now, metav1.UpdateOptions{})
	return err
}

func (d *Double) statefulSet(ctx context.Context, event watch.Event) error {
	changed, ok := event.Object.(*appsv1.StatefulSet)
	if !ok || event.Type != watch.Modified {
		return nil
	}
	client := d.CoreFake.AppsV1().StatefulSets(d.Namespace)
	now, err := client.Get(ctx, changed.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	app, fresh := d.restarted(now.Name, now.Spec.Template)
	if !fresh {
		return nil
	}
	rolled, _, err := d.roll(ctx, app, now.Spec.Template)
	now.Status.ObservedGeneration, now.Status.UpdateRevision = now.Generation, "2"
	if !rolled {
		now.Status.UpdatedReplicas, now.Status.ReadyReplicas = 1, app.Replicas-1
	}
	if err != nil {
		return err
	}
	_, err = client.Update(ctx, now, metav1.UpdateOptions{})
	return err
}

// restarted tells whether a template bears a stamp that was not rolled out yet.
func (d *Double) restarted(name string, template corev1.PodTemplateSpec) (*App, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	app, stamp := d.apps[name], template.Annotations[restartedAt]
	if app == nil || stamp == "" || app.Annotations[restartedAt] == stamp {
		return app, false
	}
	if app.Annotations == nil {
		app.Annotations = map[string]string{}
	}
	app.Annotations[restartedAt] = stamp
	d.restarts[name]++
	return app, true
}

// roll replaces the pods of a workload, as far as its mood allows.
func (d *Double) roll(ctx context.Context, app *App, template corev1.PodTemplateSpec) (rolled, stuck bool, err error) {
	client := d.CoreFake.CoreV1().Pods(d.Namespace)
	switch app.Mood {
	case Halts, Reverts:
		return false, false, nil
	case Sticks, Crashes:
		made := d.newPod(app, template)
		waiting := &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
		if app.Mood == Crashes {
			waiting.Reason = "CrashLoopBackOff"
		}
		made.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: 3, State: corev1.ContainerState{Waiting: waiting}}}
		_, err := client.Create(ctx, made, metav1.CreateOptions{})
		return false, true, err
	case Rolls:
	}
	old, err := client.List(ctx, metav1.ListOptions{LabelSelector: "app=" + app.Name})
	if err != nil {
		return false, false, err
	}
	for i := range old.Items {
		if err := d.birth(app, template); err != nil {
			return false, false, err
		}
		if err := client.Delete(ctx, old.Items[i].Name, metav1.DeleteOptions{}); err != nil {
			return false, false, err
		}
	}
	return true, false, nil
}
