// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// An outcome is how far a rollout has come.
type outcome struct {
	done bool
	// state tells what is missing, for people.
	state string
	// dead is true when the controller has given up: no change will come by itself.
	dead bool
}

// deploymentOutcome judges as kubectl does, and asks beyond it that every replica be available.
func deploymentOutcome(d *appsv1.Deployment) outcome {
	if d.Generation > d.Status.ObservedGeneration {
		return outcome{state: "the controller has not seen the change"}
	}
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing && condition.Reason == "ProgressDeadlineExceeded" {
			return outcome{state: "ProgressDeadlineExceeded: " + condition.Message, dead: true}
		}
	}
	want, status := int32(orOne(d.Spec.Replicas)), d.Status //nolint:gosec // a replica count
	switch {
	case status.UpdatedReplicas < want:
		return outcome{state: fmt.Sprintf("%d of %d pods are new", status.UpdatedReplicas, want)}
	case status.Replicas > status.UpdatedReplicas:
		return outcome{state: fmt.Sprintf("%d old pods are still there", status.Replicas-status.UpdatedReplicas)}
	case status.AvailableReplicas < want || status.ReadyReplicas < want:
		return outcome{state: fmt.Sprintf("%d of %d pods are available", min(status.AvailableReplicas, status.ReadyReplicas), want)}
	}
	return outcome{done: true}
}

func statefulSetOutcome(s *appsv1.StatefulSet) outcome {
	if s.Generation > s.Status.ObservedGeneration {
		return outcome{state: "the controller has not seen the change"}
	}
	want, status := int32(orOne(s.Spec.Replicas)), s.Status //nolint:gosec // a replica count
	switch {
	case status.UpdatedReplicas < want && status.CurrentRevision != status.UpdateRevision:
		return outcome{state: fmt.Sprintf("%d of %d pods are new", status.UpdatedReplicas, want)}
	case status.Replicas != want:
		return outcome{state: fmt.Sprintf("%d pods exist, want %d", status.Replicas, want)}
	case status.ReadyReplicas < want || status.AvailableReplicas < want:
		return outcome{state: fmt.Sprintf("%d of %d pods are available", min(status.AvailableReplicas, status.ReadyReplicas), want)}
	}
	return outcome{done: true}
}

func daemonSetOutcome(d *appsv1.DaemonSet) outcome {
	if d.Generation > d.Status.ObservedGeneration {
		return outcome{state: "the controller has not seen the change"}
	}
	want, status := d.Status.DesiredNumberScheduled, d.Status
	switch {
	case status.UpdatedNumberScheduled < want:
		return outcome{state: fmt.Sprintf("%d of %d pods are new", status.UpdatedNumberScheduled, want)}
	case status.NumberAvailable < want || status.NumberReady < want:
		return outcome{state: fmt.Sprintf("%d of %d pods are available", min(status.NumberAvailable, status.NumberReady), want)}
	}
	return outcome{done: true}
}

// crashes is how often a container of a new pod may have crashed before the rollout counts as
// dead: after so many the kubelet waits longer each time (10 s, 20 s, 40 s, …).
const crashes = 3

// ailment returns what keeps a pod from being ready, "" when nothing is seen, and whether it
// is one that only a person cures.
func ailment(pod *corev1.Pod) (text string, dead bool) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			text = fmt.Sprintf("pod %s: %s: %s", pod.Name, condition.Reason, condition.Message)
		}
	}
	statuses := append(pod.Status.InitContainerStatuses[:len(pod.Status.InitContainerStatuses):len(pod.Status.InitContainerStatuses)],
		pod.Status.ContainerStatuses...)
	for _, status := range statuses {
		waiting := status.State.Waiting
		switch {
		case waiting == nil:
			continue
		case waiting.Reason == "CrashLoopBackOff":
			return fmt.Sprintf("pod %s: container %s crashes (%d times%s)", pod.Name, status.Name, status.RestartCount, lastExit(status)),
				status.RestartCount >= crashes
		case waiting.Reason == "InvalidImageName" || waiting.Reason == "CreateContainerConfigError":
			return fmt.Sprintf("pod %s: container %s: %s: %s", pod.Name, status.Name, waiting.Reason, waiting.Message),
				waiting.Reason == "InvalidImageName"
		case waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
			text = fmt.Sprintf("pod %s: container %s: %s: %s", pod.Name, status.Name, waiting.Reason, waiting.Message)
		}
	}
	return text, false
}

func lastExit(status corev1.ContainerStatus) string {
	last := status.LastTerminationState.Terminated
	if last == nil {
		return ""
	}
	return fmt.Sprintf(", last with exit status %d", last.ExitCode)
}
