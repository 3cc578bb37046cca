// SPDX-License-Identifier: Apache-2.0

package work_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/fakecluster"
)

const commit = release.Commit("0123456789abcdef0123456789abcdef01234567")

// job is what most tests run.
func job(change ...func(*work.Job)) work.Job {
	j := work.Job{
		Name: "save-db-0123456789", About: "db",
		Subject:  release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit},
		Programs: []work.Program{{Name: "save", Image: "knowngood:1", Args: []string{"work", "save"}, Ours: true, Identity: work.Keeper(), Memory: "1Gi"}},
		Claims:   []*corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "save-db-0123456789"}}},
		Mounts:   []work.Mount{{Claim: "save-db-0123456789", Path: "/volume"}},
		Start:    time.Minute, Deadline: time.Hour,
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

// inFake runs a test in a fake cluster, in which time passes only when all are waiting.
func inFake(t *testing.T, jobs *fakecluster.Jobs, test func(t *testing.T, c *fakecluster.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := fakecluster.New(t, "shop")
		if jobs.Program == nil {
			jobs.Program = says(nil, map[string]string{"backup": "k1"})
		}
		jobs.Play(t, c)
		synctest.Wait()
		test(t, c)
	})
}

// says is a program of ours that ends at once.
func says(err error, result any) func(context.Context, *corev1.Pod, *corev1.Container) (int32, string) {
	return func(context.Context, *corev1.Pod, *corev1.Container) (int32, string) {
		message, wrong := work.Encode(err, result)
		if wrong != nil {
			panic(wrong)
		}
		return int32(fault.StatusOf(err)), string(message)
	}
}

// endless is a program that does not end by itself.
func endless(ctx context.Context, _ *corev1.Pod, _ *corev1.Container) (int32, string) {
	<-ctx.Done()
	return 137, ""
}

// nothingLeft fails where a Job, a pod or a claim is there still.
func nothingLeft(t *testing.T, c *fakecluster.Cluster) {
	t.Helper()
	synctest.Wait()
	jobs, _ := c.Core.BatchV1().Jobs("shop").List(t.Context(), metav1.ListOptions{})
	pods, _ := c.Core.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{})
	claims, _ := c.Core.CoreV1().PersistentVolumeClaims("shop").List(t.Context(), metav1.ListOptions{})
	if n := len(jobs.Items) + len(pods.Items) + len(claims.Items); n > 0 {
		t.Errorf("%d Jobs, %d pods and %d claims are left", len(jobs.Items), len(pods.Items), len(claims.Items))
	}
}

func TestAJobHandsItsResultBackAndLeavesNothing(t *testing.T) {
	t.Parallel()
	inFake(t, &fakecluster.Jobs{}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		outcome, err := work.Run(t.Context(), c.Cluster, job())
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := outcome.Messages["save"].Read(&got); err != nil || got["backup"] != "k1" {
			t.Errorf("got %v, %v", got, err)
		}
		nothingLeft(t, c)
	})
}

func TestAFailureKeepsItsStatusItsHintsAndItsResult(t *testing.T) {
	t.Parallel()
	failure := fault.Hint(fault.Exit(fault.Partial, errors.New("2 could not be read")), "save as root")
	inFake(t, &fakecluster.Jobs{Program: says(failure, map[string]string{"backup": "k1"})}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		outcome, err := work.Run(t.Context(), c.Cluster, job())
		if fault.StatusOf(err) != fault.Partial || !strings.Contains(fmt.Sprint(err), "2 could not be read") || fault.Hints(err)[0] != "save as root" {
			t.Errorf("error %v, status %d, hints %q", err, fault.StatusOf(err), fault.Hints(err))
		}
		if len(outcome.Messages["save"].Result) == 0 {
			t.Error("what was done did not come with the error")
		}
		nothingLeft(t, c)
	})
}

func TestWhatCannotRunEndsEarlyWithItsCure(t *testing.T) {
	t.Parallel()
	waits := func(reason, message string) *fakecluster.Jobs {
		return &fakecluster.Jobs{Waits: func(*corev1.Container) *corev1.ContainerStateWaiting {
			return &corev1.ContainerStateWaiting{Reason: reason, Message: message}
		}}
	}
	killed := &fakecluster.Jobs{Killed: "OOMKilled", Program: func(context.Context, *corev1.Pod, *corev1.Container) (int32, string) { return 137, "" }}
	for _, test := range []struct {
		name       string
		jobs       *fakecluster.Jobs
		says, cure string
		within     time.Duration
	}{
		{"an image", waits("ImagePullBackOff", "not found"), "ImagePullBackOff: not found", "--backup-image", 30 * time.Second},
		{"a Secret", waits("CreateContainerConfigError", `secret "key" not found`), `secret "key" not found`, "in its namespace", 30 * time.Second},
		{"a scheduler", &fakecluster.Jobs{Unscheduled: "0/3 nodes are available"}, "Unschedulable: 0/3 nodes are available", "--timeout", 61 * time.Second},
		{"Pod Security", &fakecluster.Jobs{Refused: `pods "x" is forbidden: violates PodSecurity "restricted:latest"`}, "violates PodSecurity", "--backup-user", 30 * time.Second},
		{"a service account", &fakecluster.Jobs{Refused: `error looking up service account shop/x: serviceaccount "x" not found`}, `serviceaccount "x" not found`, "--backup-account", 30 * time.Second},
		{"memory", killed, "needed more memory than its limit of 1Gi", "--backup-memory", time.Second},
		{"a deadline", &fakecluster.Jobs{Program: endless}, "DeadlineExceeded", "--backup-timeout", time.Hour + 10*time.Second},
		{"another program", &fakecluster.Jobs{Program: func(context.Context, *corev1.Pod, *corev1.Container) (int32, string) { return 0, "hello" }}, "not one of ours", "an image of knowngood", time.Second},
		{"silence", &fakecluster.Jobs{Program: func(context.Context, *corev1.Pod, *corev1.Container) (int32, string) { return 0, "" }}, "said nothing of its end", "an image of knowngood", time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inFake(t, test.jobs, func(t *testing.T, c *fakecluster.Cluster) {
				t.Helper()
				began := time.Now()
				_, err := work.Run(t.Context(), c.Cluster, job())
				if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), test.cure) {
					t.Errorf("error %v, hints %q; want %q and %q", err, fault.Hints(err), test.says, test.cure)
				}
				if took := time.Since(began); took > test.within {
					t.Errorf("took %s, want at most %s", took, test.within)
				}
				nothingLeft(t, c)
			})
		})
	}
}

func TestACancelledJobGoes(t *testing.T) {
	t.Parallel()
	inFake(t, &fakecluster.Jobs{Program: endless}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		_, err := work.Run(ctx, c.Cluster, job())
		if fault.StatusOf(err) != fault.Cancelled {
			t.Errorf("error %v, status %d", err, fault.StatusOf(err))
		}
		nothingLeft(t, c)
	})
}

func TestARepeatedAttemptFindsTheJobAtWork(t *testing.T) {
	t.Parallel()
	ran := 0
	inFake(t, &fakecluster.Jobs{Program: func(ctx context.Context, p *corev1.Pod, c *corev1.Container) (int32, string) {
		ran++
		time.Sleep(time.Minute)
		return says(nil, "done")(ctx, p, c)
	}}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		dying, kill := context.WithTimeout(t.Context(), time.Second)
		defer kill()
		c.CoreFake.PrependReactor("delete", "jobs", dead(dying))
		_, _ = work.Run(dying, c.Cluster, job())
		outcome, err := work.Run(t.Context(), c.Cluster, job())
		if err != nil || !outcome.Attached || ran != 1 {
			t.Errorf("attached %v, ran %d times, error %v", outcome.Attached, ran, err)
		}
		nothingLeft(t, c)
	})
}

func TestARepeatedAttemptWithOtherInputsBeginsAnew(t *testing.T) {
	t.Parallel()
	inFake(t, &fakecluster.Jobs{Program: func(ctx context.Context, p *corev1.Pod, c *corev1.Container) (int32, string) {
		if c.Image == "knowngood:broken" {
			return endless(ctx, p, c)
		}
		return says(nil, "done")(ctx, p, c)
	}}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		dying, kill := context.WithTimeout(t.Context(), time.Second)
		defer kill()
		c.CoreFake.PrependReactor("delete", "jobs", dead(dying))
		_, _ = work.Run(dying, c.Cluster, job(func(j *work.Job) { j.Programs[0].Image = "knowngood:broken" }))
		outcome, err := work.Run(t.Context(), c.Cluster, job())
		if err != nil || outcome.Attached {
			t.Errorf("attached %v, error %v", outcome.Attached, err)
		}
		nothingLeft(t, c)
	})
}

// A pod outlives its Job for a moment: garbage is collected later. What it handed back is of the
// inputs that it was given.
func TestThePodOfAnEarlierJobIsNotBelieved(t *testing.T) {
	t.Parallel()
	inFake(t, &fakecluster.Jobs{Program: func(ctx context.Context, p *corev1.Pod, c *corev1.Container) (int32, string) {
		time.Sleep(time.Second)
		return says(nil, map[string]string{"backup": "k2"})(ctx, p, c)
	}}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		status, message := says(nil, map[string]string{"backup": "k1"})(t.Context(), nil, nil)
		pods := c.Core.CoreV1().Pods("shop")
		_, err := pods.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "earlier", Labels: map[string]string{work.LabelJob: job().Name},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job().Name, UID: "earlier"}},
			},
			Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "save", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: status, Message: message}},
			}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := work.Run(t.Context(), c.Cluster, job())
		var got map[string]string
		if err != nil || outcome.Messages["save"].Read(&got) != nil || got["backup"] != "k2" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestAJobWhoseCallerDiedGoesByItself(t *testing.T) {
	t.Parallel()
	inFake(t, &fakecluster.Jobs{Program: func(ctx context.Context, p *corev1.Pod, c *corev1.Container) (int32, string) {
		time.Sleep(time.Minute)
		return says(nil, "done")(ctx, p, c)
	}}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		dying, kill := context.WithTimeout(t.Context(), time.Second)
		defer kill()
		c.CoreFake.PrependReactor("delete", "jobs", dead(dying))
		_, _ = work.Run(dying, c.Cluster, job())
		time.Sleep(4 * time.Minute)
		nothingLeft(t, c)
	})
}

func TestAJobOfAnotherRunIsNotTouched(t *testing.T) {
	t.Parallel()
	inFake(t, &fakecluster.Jobs{Program: endless}, func(t *testing.T, c *fakecluster.Cluster) {
		t.Helper()
		go func() { _, _ = work.Run(t.Context(), c.Cluster, job()) }()
		time.Sleep(time.Second)
		_, err := work.Run(t.Context(), c.Cluster, job(func(j *work.Job) { j.Subject.Run = "run-2" }))
		if fault.StatusOf(err) != fault.Usage {
			t.Errorf("error %v", err)
		}
		if jobs, _ := c.Core.BatchV1().Jobs("shop").List(t.Context(), metav1.ListOptions{}); len(jobs.Items) != 1 {
			t.Errorf("%d Jobs are there", len(jobs.Items))
		}
	})
}
