// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Jobs play the controllers of Jobs and of garbage, the scheduler and the kubelet: a Job gets a
// pod, whose programs run one after the other once its claims are there. It ends by itself at its
// deadline, goes a while after its end, and takes what it owns with it.
type Jobs struct {
	// Program runs a container and returns its exit status and termination message.
	Program func(ctx context.Context, pod *corev1.Pod, c *corev1.Container) (status int32, message string)
	// Waits says what a container waits for, for ever; nil lets all run.
	Waits func(c *corev1.Container) *corev1.ContainerStateWaiting
	// Unscheduled is why no node takes the pods, "" where one does.
	Unscheduled string
	// Refused is why no pod may be made, "" where they may.
	Refused string
	// Killed is the reason that the kubelet gives for the end of a container, "" where it ended
	// by itself.
	Killed string

	cluster *Cluster
}

// Play begins to play until the test ends.
func (j *Jobs) Play(t testing.TB, c *Cluster) {
	t.Helper()
	j.cluster = c
	watcher, err := c.Core.BatchV1().Jobs(c.Namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer watcher.Stop()
		running := map[types.UID]context.CancelFunc{}
		for {
			select {
			case event := <-watcher.ResultChan():
				job, ok := event.Object.(*batchv1.Job)
				if !ok {
					return
				}
				switch {
				case event.Type == watch.Added && running[job.UID] == nil:
					ctx, cancel := context.WithCancel(t.Context())
					running[job.UID] = cancel
					go j.run(ctx, job.DeepCopy())
				case event.Type == watch.Deleted && running[job.UID] != nil:
					running[job.UID]()
					j.collect(t.Context(), job)
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
}

// collect takes away what a Job owned.
func (j *Jobs) collect(ctx context.Context, job *batchv1.Job) {
	owned := func(meta *metav1.ObjectMeta) bool {
		return slices.ContainsFunc(meta.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == job.UID })
	}
	core := j.cluster.Core.CoreV1()
	pods, _ := core.Pods(job.Namespace).List(ctx, metav1.ListOptions{})
	for i := range pods.Items {
		if owned(&pods.Items[i].ObjectMeta) {
			_ = core.Pods(job.Namespace).Delete(ctx, pods.Items[i].Name, metav1.DeleteOptions{})
		}
	}
	claims, _ := core.PersistentVolumeClaims(job.Namespace).List(ctx, metav1.ListOptions{})
	for i := range claims.Items {
		if owned(&claims.Items[i].ObjectMeta) {
			_ = core.PersistentVolumeClaims(job.Namespace).Delete(ctx, claims.Items[i].Name, metav1.DeleteOptions{})
		}
	}
}

// run is the life of one Job.
func (j *Jobs) run(ctx context.Context, job *batchv1.Job) {
	if j.Refused != "" {
		j.warn(ctx, job.Name, "Job", "FailedCreate", j.Refused)
		return
	}
	alive, cancel := context.WithTimeout(ctx, time.Duration(*job.Spec.ActiveDeadlineSeconds)*time.Second)
	defer cancel()
	pod := j.pod(ctx, job)
	if pod == nil {
		return
	}
	ended := j.pass(alive, pod)
	kind, reason := batchv1.JobComplete, ""
	switch {
	case ctx.Err() != nil:
		return
	case alive.Err() != nil:
		kind, reason = batchv1.JobFailed, batchv1.JobReasonDeadlineExceeded
		_ = j.cluster.Core.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
	case !ended:
		kind, reason = batchv1.JobFailed, batchv1.JobReasonBackoffLimitExceeded
	}
	client := j.cluster.Core.BatchV1().Jobs(job.Namespace)
	now, err := client.Get(ctx, job.Name, metav1.GetOptions{})
	if err != nil {
		return
	}
	now.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.Now()}}
	_, _ = client.UpdateStatus(ctx, now, metav1.UpdateOptions{})
	select {
	case <-time.After(time.Duration(*job.Spec.TTLSecondsAfterFinished) * time.Second):
		_ = client.Delete(ctx, job.Name, metav1.DeleteOptions{})
	case <-ctx.Done():
	}
}

// pod makes the pod of a Job.
func (j *Jobs) pod(ctx context.Context, job *batchv1.Job) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: job.Spec.Template.Spec}
	pod.Namespace, pod.Name = job.Namespace, job.Name+"-"+string(job.UID)
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID}}
	pod.Status.Phase = corev1.PodPending
	made, err := j.cluster.Core.CoreV1().Pods(job.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil
	}
	return made
}

// pass brings a pod through its programs; false where one failed.
func (j *Jobs) pass(ctx context.Context, pod *corev1.Pod) bool {
	for why := j.unscheduled(ctx, pod); why != ""; why = j.unscheduled(ctx, pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: why}}
		j.update(ctx, pod)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return false
		}
	}
	pod.Spec.NodeName = "node"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for i := range all {
		state, good := j.container(ctx, pod, &all[i], i < len(pod.Spec.InitContainers))
		if !good {
			pod.Status.Phase = corev1.PodFailed
		} else if i == len(all)-1 {
			pod.Status.Phase = corev1.PodSucceeded
		}
		if ctx.Err() != nil {
			return false
		}
		j.set(pod, all[i].Name, i < len(pod.Spec.InitContainers), corev1.ContainerState{Terminated: state})
		j.update(ctx, pod)
		if !good {
			return false
		}
	}
	return true
}

func (j *Jobs) unscheduled(ctx context.Context, pod *corev1.Pod) string {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		name := volume.PersistentVolumeClaim.ClaimName
		if _, err := j.cluster.Core.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return fmt.Sprintf("persistentvolumeclaim %q not found", name)
		}
	}
	return j.Unscheduled
}

func (j *Jobs) container(ctx context.Context, pod *corev1.Pod, c *corev1.Container, early bool) (*corev1.ContainerStateTerminated, bool) {
	if j.Waits != nil {
		if waits := j.Waits(c); waits != nil {
			j.set(pod, c.Name, early, corev1.ContainerState{Waiting: waits})
			j.update(ctx, pod)
			<-ctx.Done()
			return nil, false
		}
	}
	pod.Status.Phase = corev1.PodRunning
	began := metav1.Now()
	j.set(pod, c.Name, early, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}})
	j.update(ctx, pod)
	status, message := j.Program(ctx, pod, c)
	return &corev1.ContainerStateTerminated{
		ExitCode: status, Message: message, Reason: j.Killed, StartedAt: began, FinishedAt: metav1.Now(),
	}, status == 0
}

// set puts the state of one container into a pod.
func (*Jobs) set(pod *corev1.Pod, name string, early bool, state corev1.ContainerState) {
	list := &pod.Status.ContainerStatuses
	if early {
		list = &pod.Status.InitContainerStatuses
	}
	*list = slices.DeleteFunc(*list, func(s corev1.ContainerStatus) bool { return s.Name == name })
	*list = append(*list, corev1.ContainerStatus{Name: name, State: state})
}

func (j *Jobs) update(ctx context.Context, pod *corev1.Pod) {
	_, _ = j.cluster.Core.CoreV1().Pods(pod.Namespace).Update(ctx, pod.DeepCopy(), metav1.UpdateOptions{})
}

func (j *Jobs) warn(ctx context.Context, name, kind, reason, message string) {
	_, _ = j.cluster.Core.CoreV1().Events(j.cluster.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: j.cluster.Namespace, Name: name + "." + reason},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
	}, metav1.CreateOptions{})
}
