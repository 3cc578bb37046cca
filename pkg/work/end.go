// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// ErrExited is the error of a program of the application's that ran, and did not end well by itself.
var ErrExited = errors.New("ended with exit status")

// ended reads what the programs of a pod handed back, and returns the error of the first that
// failed.
func (r *running) ended(pod *corev1.Pod) error {
	all := statuses(pod)
	for _, p := range r.job.Programs {
		at := slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == p.Name })
		if at < 0 || all[at].State.Terminated == nil {
			return fault.Hint(fmt.Errorf("program %s never ran: pod %s: %s", p.Name, pod.Status.Reason, kube.OneLine(pod.Status.Message)),
				"%s", r.evicted(pod))
		}
		if err := r.exited(p, all[at].State.Terminated); err != nil {
			return err
		}
	}
	r.outcome.Seconds = span(all)
	return nil
}

// span is how long it took from the first program's start to the last one's end.
func span(all []corev1.ContainerStatus) float64 {
	var first, last metav1.Time
	for _, s := range all {
		t := s.State.Terminated
		if t == nil {
			continue // put beside ours by the cluster
		}
		if first.IsZero() || t.StartedAt.Before(&first) {
			first = t.StartedAt
		}
		if last.Before(&t.FinishedAt) {
			last = t.FinishedAt
		}
	}
	return last.Sub(first.Time).Seconds()
}

func (r *running) evicted(pod *corev1.Pod) string {
	if pod.Status.Reason == "Evicted" {
		return "its node had too little room or memory" + r.again()
	}
	return "the pod's events tell more"
}

// again is what a hint ends in, about a further attempt.
func (r *running) again() string {
	if r.job.Again == "" {
		return ""
	}
	return "; " + r.job.Again
}

// exited judges one program by its message, or by its exit status where it has none.
func (r *running) exited(p Program, t *corev1.ContainerStateTerminated) error {
	if t.Reason == "OOMKilled" {
		return fault.Hint(fmt.Errorf("program %s was killed: it needed more memory than its limit of %s", p.Name, p.Memory),
			"give more with --backup-memory%s", r.again())
	}
	if !p.Ours {
		if t.ExitCode == 0 {
			return nil
		}
		return fmt.Errorf("program %s %w %d: %s", p.Name, ErrExited, t.ExitCode, tail(t.Message))
	}
	message, err := Parse(t.Message)
	if err != nil {
		return r.silent(p, t, err)
	}
	if message.Status != fault.Status(t.ExitCode) {
		return fmt.Errorf("program %s ended with exit status %d, and says %d", p.Name, t.ExitCode, message.Status)
	}
	r.outcome.Messages[p.Name] = message
	return message.Err()
}

// silent is the error of a program of ours that handed no message back.
func (r *running) silent(p Program, t *corev1.ContainerStateTerminated, err error) error {
	r.mu.Lock()
	said := strings.Join(r.lastLines, " | ")
	r.mu.Unlock()
	err = fmt.Errorf("program %s ended with exit status %d: %w", p.Name, t.ExitCode, err)
	if said != "" {
		err = fmt.Errorf("%w; the last that it said: %s", err, kube.OneLine(said))
	}
	return fault.Hint(err, "is %s an image of knowngood, as new as this one?", kube.OneLine(p.Image))
}

// tail is the end of what a program said, where a failure is told.
func tail(text string) string {
	const most = 300
	if len(text) > most {
		text = "…" + strings.ToValidUTF8(text[len(text)-most:], "")
	}
	if text = kube.OneLine(text); text == "" {
		return "it said nothing"
	}
	return text
}

// told returns the newest warnings of the cluster about objects, each after "; ". Without the
// permission to read events, none.
func (r *running) told(ctx context.Context, kind string, names ...string) string {
	var told string
	for _, name := range names {
		list, err := r.cluster.Core.CoreV1().Events(r.cluster.Namespace).List(ctx, metav1.ListOptions{
			FieldSelector: fields.Set{"involvedObject.kind": kind, "involvedObject.name": name}.String(),
		})
		if err != nil {
			if ctx.Err() == nil && errors.Is(r.cluster.Explain(ctx, r.call("list", "events", ""), err), kube.ErrForbidden) {
				return "; its events may not be read"
			}
			continue
		}
		var newest *corev1.Event
		for i := range list.Items {
			event := &list.Items[i]
			if event.Type != corev1.EventTypeWarning || event.InvolvedObject.Name != name || event.InvolvedObject.Kind != kind ||
				event.Reason == "FailedScheduling" { // the pod's own condition says that as it is now
				continue
			}
			if newest == nil || when(newest).Before(when(event)) {
				newest = event
			}
		}
		if newest != nil {
			told += fmt.Sprintf("; %s %s: %s", strings.ToLower(kind), newest.Reason, kube.OneLine(newest.Message))
		}
	}
	return told
}

func when(event *corev1.Event) *metav1.Time {
	if !event.LastTimestamp.IsZero() {
		return &event.LastTimestamp
	}
	return &event.CreationTimestamp
}
