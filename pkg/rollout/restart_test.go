// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/test/fakecluster"
	"github.com/knowngood/knowngood/test/peer"
	"github.com/knowngood/knowngood/test/workloads"
)

// running starts an app that uses the Secret web-tls and returns it as a survey sees it.
func running(t *testing.T, app workloads.App) (*workloads.Double, *rollout.Survey, *rollout.Workload) {
	t.Helper()
	double := workloads.Start(t, fakecluster.New(t, "shop"))
	double.Store("web-tls", peer.NewAuthority(t, "root", time.Now).Issue(t, peer.Order{Names: []string{"web"}}))
	app.Name, app.Secret = "web", "web-tls"
	if app.Kind == "" {
		app.Kind = "Deployment"
	}
	if app.Replicas == 0 {
		app.Replicas = 2
	}
	double.Run(app)
	survey, err := rollout.Take(t.Context(), double.Cluster.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	found, err := survey.Consumers(t.Context(), "web-tls")
	if err != nil || len(found.Workloads) != 1 {
		t.Fatalf("Consumers() = %v, %v, want one", found, err)
	}
	return double, survey, found.Workloads[0]
}

// restart restarts and waits.
func restart(t *testing.T, c *kube.Cluster, w *rollout.Workload, timeout time.Duration) error {
	t.Helper()
	stamp, err := rollout.Restart(t.Context(), c, w)
	if err != nil {
		return err
	}
	return rollout.Settle(t.Context(), c, w, stamp, timeout)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			double, survey, w := running(t, workloads.App{Kind: kind})
			before, err := survey.Ready(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			if err := restart(t, double.Cluster.Cluster, w, 20*time.Second); err != nil {
				t.Fatal(err)
			}
			if err := survey.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			after, err := survey.Ready(t.Context(), w)
			if err != nil || len(before) != 2 || len(after) != 2 || before[0].Name == after[0].Name || before[1].Name == after[1].Name {
				t.Errorf("pods %v became %v, %v, want two new ones", names(before), names(after), err)
			}
			if restarts, _, _ := double.Count(); restarts["web"] != 1 {
				t.Errorf("%d restarts, want 1", restarts["web"])
			}
		})
	}
}

func names(pods []corev1.Pod) []string {
	var all []string
	for i := range pods {
		all = append(all, pods[i].Name)
	}
	return all
}

func TestRestartsWithinOneSecondAreTwo(t *testing.T) {
	t.Parallel()
	double, _, w := running(t, workloads.App{})
	for range 2 {
		if err := restart(t, double.Cluster.Cluster, w, 20*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if restarts, _, _ := double.Count(); restarts["web"] != 2 {
		t.Errorf("%d restarts, want 2", restarts["web"])
	}
}

func TestSettleEndsEarly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind string
		mood workloads.Mood
		text string
		hint string
	}{
		{"Deployment", workloads.Sticks, "the rollout is stuck: ProgressDeadlineExceeded: it has timed out progressing", "kubectl -n shop rollout undo deployment/web"},
		{"Deployment", workloads.Crashes, "container main crashes (3 times)", "rollout undo deployment/web"},
		{"StatefulSet", workloads.Crashes, "container main crashes (3 times)", "rollout undo statefulset/web"},
		{"Deployment", workloads.Reverts, "somebody undid the restart", "restartedAt"},
	} {
		t.Run(test.kind+" "+string(test.mood), func(t *testing.T) {
			t.Parallel()
			double, _, w := running(t, workloads.App{Kind: test.kind, Mood: test.mood})
			err := restart(t, double.Cluster.Cluster, w, time.Minute)
			if err == nil || errors.Is(err, kube.ErrTimeout) || !strings.Contains(err.Error(), test.text) || !strings.Contains(strings.Join(fault.Hints(err), " "), test.hint) {
				t.Errorf("Settle() = %v with hints %q, want %q and %q", err, fault.Hints(err), test.text, test.hint)
			}
		})
	}
}

func TestSettleAtTheDeadline(t *testing.T) {
	t.Parallel()
	double, _, w := running(t, workloads.App{Mood: workloads.Halts})
	err := restart(t, double.Cluster.Cluster, w, 200*time.Millisecond)
	if !errors.Is(err, kube.ErrTimeout) || !strings.Contains(err.Error(), "the controller has not seen the change") {
		t.Errorf("Settle() = %v, want the deadline and the last state", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := rollout.Settle(ctx, double.Cluster.Cluster, w, "", time.Minute); fault.StatusOf(err) != fault.Cancelled {
		t.Errorf("Settle() = %v, want cancelled", err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		_ = double.CoreFake.AppsV1().Deployments("shop").Delete(t.Context(), "web", metav1.DeleteOptions{})
	})
	if err := rollout.Settle(t.Context(), double.Cluster.Cluster, w, "", time.Minute); err == nil || !strings.Contains(err.Error(), "it was deleted") {
		t.Errorf("Settle() = %v, want that it was deleted", err)
	}
}

func TestRestartRefusesWhatCannotRoll(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Pod", "Rollout"} {
		double, _, w := running(t, workloads.App{Kind: kind, Replicas: 1})
		if _, err := rollout.Restart(t.Context(), double.Cluster.Cluster, w); err == nil || w.Stuck == "" {
			t.Errorf("Restart(%s) = %v, stuck %q", w, err, w.Stuck)
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	double, survey, w := running(t, workloads.App{Replicas: 1, Annotations: map[string]string{rollout.AnnotationReload: "reload now"}})
	recipe, err := rollout.Reloading(&w.Template, "web-tls")
	if err != nil {
		t.Fatal(err)
	}
	pods, err := survey.Ready(t.Context(), w)
	if err != nil || len(pods) != 1 {
		t.Fatal(pods, err)
	}
	if err := rollout.Nudge(t.Context(), double.Cluster.Cluster, &pods[0]); err != nil {
		t.Error(err)
	}
	if err := rollout.Reload(t.Context(), double.Cluster.Cluster, &pods[0], *recipe); err != nil {
		t.Error(err)
	}
	if _, reloads, _ := double.Count(); reloads[pods[0].Name] != 1 {
		t.Errorf("%d reloads, want 1", reloads[pods[0].Name])
	}
	var exit *kube.ExitError
	if err := rollout.Reload(t.Context(), double.Cluster.Cluster, &pods[0], rollout.Recipe{Container: "main", Command: []string{"missing"}}); !errors.As(err, &exit) || exit.Status != 127 {
		t.Errorf("Reload() = %v, want exit status 127", err)
	}
}
