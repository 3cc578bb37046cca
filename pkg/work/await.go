// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// again is how soon a pod that does not run yet is looked at again: why is told by events, which
// no watch of the pod sees.
const again = 3 * time.Second

// quiet is a heartbeat for a wait whose progress the programs tell themselves.
const quiet = 24 * time.Hour

// lastWords is how long the end of a log may take after the program's end.
const lastWords = 5 * time.Second

// await waits until the first program runs, then until the last has ended.
func (r *running) await(ctx context.Context) error {
	telling, stop := context.WithCancel(ctx)
	defer r.following.Wait()
	defer stop()
	spec := kube.WaitSpec{
		What: fmt.Sprintf("Job %s to run", r.job.Name), Timeout: r.job.Start,
		Resource: "pods", Namespace: r.cluster.Namespace, Selector: LabelJob + "=" + r.job.Name,
	}
	pods := r.cluster.Core.CoreV1().Pods(r.cluster.Namespace)
	err := kube.Wait(ctx, r.cluster, spec, pods, func(all []*corev1.Pod) (kube.Progress, error) {
		pod := r.current(all)
		progress, err := r.starting(ctx, pod)
		progress.Done = err == nil && pod != nil && started(pod)
		return progress, err
	})
	if err != nil {
		return err
	}
	spec.What, spec.Heartbeat = fmt.Sprintf("Job %s to end", r.job.Name), quiet
	spec.Timeout = r.job.Deadline + 2*grace // the cluster itself ends it before
	var last *corev1.Pod
	err = kube.Wait(ctx, r.cluster, spec, pods, func(all []*corev1.Pod) (kube.Progress, error) {
		last = r.current(all)
		if last != nil && (last.Status.Phase == corev1.PodSucceeded || last.Status.Phase == corev1.PodFailed) {
			return kube.Progress{Done: true}, nil
		}
		if last != nil && started(last) {
			r.follow(telling, last)
		}
		return r.starting(ctx, last)
	})
	if err != nil {
		return err
	}
	r.follow(telling, last) // of programs that were quicker than the watch
	defer time.AfterFunc(lastWords, stop).Stop()
	r.following.Wait()
	return r.ended(last)
}

// current returns the Job's newest pod that its node has not lost, or nil: the Job replaces those.
// The pod of an earlier Job of the same name, which may linger, has ended and says nothing of this.
func (r *running) current(pods []*corev1.Pod) *corev1.Pod {
	var newest *corev1.Pod
	for _, pod := range pods {
		if !owned(pod, r.made.UID) || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed && lost(pod) {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = pod
		}
	}
	return newest
}

// lost tells whether the cluster itself ended the pod, e.g. by draining its node.
func lost(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func statuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

func started(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	for _, s := range statuses(pod) {
		if s.State.Running != nil || s.State.Terminated != nil {
			return true
		}
	}
	return false
}

// starting says what a pod, or its next program, waits for, and ends the wait where that will
// not come.
func (r *running) starting(ctx context.Context, pod *corev1.Pod) (kube.Progress, error) {
	if pod == nil {
		return r.noPod(ctx)
	}
	for _, s := range statuses(pod) {
		if waiting := s.State.Waiting; waiting != nil && !ordinary(waiting.Reason) {
			return r.hangs(s.Name, waiting)
		}
	}
	r.stuck = ""
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			state := fmt.Sprintf("%s: %s", c.Reason, kube.OneLine(c.Message))
			return kube.Progress{State: state + r.told(ctx, "PersistentVolumeClaim", r.claimNames()...), Recheck: again}, nil
		}
	}
	if started(pod) {
		return kube.Progress{State: "at work"}, nil
	}
	told := r.told(ctx, "Pod", pod.Name)
	if pod.Spec.NodeName == "" {
		told += r.told(ctx, "PersistentVolumeClaim", r.claimNames()...)
	}
	return kube.Progress{State: "its volumes and image are being made ready" + told, Recheck: again}, nil
}

func ordinary(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}

// patience is how long a container may wait for what may never come: a registry or a kubelet that
// stumbles once heals within.
const patience = 20 * time.Second

// hangs ends the wait once a container's trouble has stood for long enough.
func (r *running) hangs(name string, waiting *corev1.ContainerStateWaiting) (kube.Progress, error) {
	cure, pull := cures(waiting.Reason)
	kind := waiting.Reason
	if pull {
		kind = "pull" // ErrImagePull and ImagePullBackOff take turns
	}
	if kind = name + " " + kind; kind != r.stuck {
		r.stuck, r.stuckSince = kind, r.cluster.Now()
	}
	state := fmt.Sprintf("container %s: %s: %s", name, waiting.Reason, kube.OneLine(waiting.Message))
	if stood := r.cluster.Now().Sub(r.stuckSince); cure != "" && stood >= patience {
		return kube.Progress{}, fault.Hint(errors.New(state), "%s", cure)
	}
	return kube.Progress{State: state, Recheck: again}, nil
}

// cures says what to do about a reason that does not pass by itself, "" where it may.
func cures(reason string) (cure string, pull bool) {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable":
		return "name an image that the nodes can pull with --backup-image; a private registry's Secret belongs to the service account", true
	case "CreateContainerConfigError":
		return "the Secrets that the Job reads must be in its namespace, with the keys that were named; knowngood key init --key-secret makes that of the repository", false
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PostStartHookError":
		return "the node cannot run the container; the pod's events tell more", false
	}
	return "", false
}

// noPod says why there is no pod, and ends the wait where the Job has ended without one, or none
// may be made.
func (r *running) noPod(ctx context.Context) (kube.Progress, error) {
	job, err := r.cluster.Core.BatchV1().Jobs(r.cluster.Namespace).Get(ctx, r.job.Name, metav1.GetOptions{})
	if err != nil {
		return kube.Progress{}, r.cluster.Explain(ctx, r.call("get", jobs, r.job.Name), err)
	}
	if failed := condition(job, batchv1.JobFailed); failed != nil {
		return kube.Progress{}, r.expired(failed)
	}
	told := r.told(ctx, "Job", r.job.Name)
	switch {
	case strings.Contains(told, "violates PodSecurity"):
		return kube.Progress{}, fault.Hint(errors.New("no pod may be made"+told),
			"reading every file takes root with DAC_OVERRIDE, which Pod Security allows at its level baseline; at the level restricted give the number of the files' owner with --backup-user. A test restore takes root in any case")
	case strings.Contains(told, "serviceaccount") && strings.Contains(told, "not found"):
		return kube.Progress{}, fault.Hint(errors.New("no pod may be made"+told), "name a service account of the namespace with --backup-account")
	}
	return kube.Progress{State: "no pod yet" + told, Recheck: again}, nil
}

// expired is the error of a Job that the cluster ended.
func (r *running) expired(failed *batchv1.JobCondition) error {
	err := fmt.Errorf("it was ended: %s: %s", failed.Reason, kube.OneLine(failed.Message))
	if failed.Reason == batchv1.JobReasonDeadlineExceeded {
		return fault.Hint(err, "it had %s; give a longer --backup-timeout%s", r.job.Deadline, r.again())
	}
	return fault.Hint(err, "its pod was deleted, or its node was lost: repeat the command%s", r.again())
}

// claimNames are the claims that the pod mounts.
func (r *running) claimNames() []string {
	var names []string
	for _, mount := range r.job.Mounts {
		names = append(names, mount.Claim)
	}
	return names
}
