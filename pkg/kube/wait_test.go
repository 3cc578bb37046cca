// SPDX-License-Identifier: Apache-2.0

package kube_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/fakecluster"
)

const space = "shop"

func claim(name string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: name, Labels: map[string]string{"app": "shop"}},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: phase},
	}
}

// bound is done when every claim is bound, and gives up on a lost one.
func bound(claims []*corev1.PersistentVolumeClaim) (kube.Progress, error) {
	if len(claims) == 0 {
		return kube.Progress{State: "no claim"}, nil
	}
	for _, c := range claims {
		switch c.Status.Phase {
		case corev1.ClaimLost:
			return kube.Progress{}, errors.New("claim " + c.Name + " has lost its volume")
		case corev1.ClaimBound:
		case corev1.ClaimPending:
			return kube.Progress{State: c.Name + " is Pending"}, nil
		}
	}
	return kube.Progress{Done: true}, nil
}

var spec = kube.WaitSpec{
	What: "claims to be bound", Timeout: 10 * time.Minute, Resource: "persistentvolumeclaims", Namespace: space,
}

func waitFor(ctx context.Context, c *fakecluster.Cluster, spec kube.WaitSpec) error {
	return kube.Wait(ctx, c.Cluster, spec, c.Core.CoreV1().PersistentVolumeClaims(space), bound)
}

func (l *lines) Write(p []byte) (int, error) { return l.Buffer.Write(p) }

type lines struct{ bytes.Buffer }

func logged(c *fakecluster.Cluster) *lines {
	l := &lines{}
	c.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	return l
}

func set(t *testing.T, c *fakecluster.Cluster, name string, phase corev1.PersistentVolumeClaimPhase) {
	t.Helper()
	if _, err := c.Core.CoreV1().PersistentVolumeClaims(space).UpdateStatus(t.Context(), claim(name, phase), metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}

func TestWaitSeesAChangeAtOnceAndTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakecluster.New(t, space, claim("data", corev1.ClaimPending))
		log := logged(c)
		began := time.Now()
		go func() {
			time.Sleep(25 * time.Second)
			set(t, c, "data", corev1.ClaimBound)
		}()
		if err := waitFor(t.Context(), c, spec); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 25*time.Second {
			t.Errorf("waited %s, want 25s", took)
		}
		if c.Waited() != 25*time.Second {
			t.Errorf("Waited() = %s, want 25s", c.Waited())
		}
		want := `msg=waiting what="claims to be bound" state="data is Pending" seconds=0
msg=waiting what="claims to be bound" state="data is Pending" seconds=10
msg=waiting what="claims to be bound" state="data is Pending" seconds=20
`
		if log.String() != want {
			t.Errorf("log:\n%swant:\n%s", log, want)
		}
	})
}

func TestWaitHonoursItsTimeout(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Second, 90 * time.Second, 10 * time.Minute, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := fakecluster.New(t, space, claim("data", corev1.ClaimPending))
			spec := spec
			spec.Timeout = timeout
			began := time.Now()
			err := waitFor(t.Context(), c, spec)
			if took := time.Since(began); took != timeout {
				t.Errorf("ended after %s, want %s", took, timeout)
			}
			if !errors.Is(err, kube.ErrTimeout) || !strings.Contains(err.Error(), "last state: data is Pending") {
				t.Errorf("error %v, want ErrTimeout with the last state", err)
			}
			if fault.StatusOf(err) != fault.Failed || len(fault.Hints(err)) == 0 {
				t.Errorf("status %d, hints %q", fault.StatusOf(err), fault.Hints(err))
			}
		})
	}
}

func TestWaitEndsEarlyOnWhatCannotHeal(t *testing.T) {
	t.Parallel()
	group := schema.GroupResource{Resource: "persistentvolumeclaims"}
	noAPI := apierrors.NewGenericServerResponse(404, "list", group, "", "404 page not found", 0, true)
	for name, test := range map[string]struct {
		phase corev1.PersistentVolumeClaimPhase
		list  error
		want  string
		is    error
	}{
		"the check's own error": {phase: corev1.ClaimLost, want: "has lost its volume"},
		"forbidden":             {list: apierrors.NewForbidden(group, "", errors.New("no rule")), want: "list persistentvolumeclaims in namespace shop", is: kube.ErrForbidden},
		"no such API":           {list: noAPI, want: "no such API", is: kube.ErrNoAPI},
		"log-in refused":        {list: apierrors.NewUnauthorized("token expired"), want: "token expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := fakecluster.New(t, space, claim("data", test.phase))
				if test.list != nil {
					c.CoreFake.PrependReactor("list", "persistentvolumeclaims", func(clienttesting.Action) (bool, runtime.Object, error) {
						return true, nil, test.list
					})
				}
				began := time.Now()
				err := waitFor(t.Context(), c, spec)
				if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("took %s to give up", took)
				}
			})
		})
	}
}

func TestWaitOutlivesWatchesAndOutages(t *testing.T) {
	t.Parallel()
	gone := apierrors.NewResourceExpired("too old resource version").Status()
	for name, broken := range map[string]func(watcher *watch.RaceFreeFakeWatcher){
		"closed":  func(w *watch.RaceFreeFakeWatcher) { w.Stop() },
		"expired": func(w *watch.RaceFreeFakeWatcher) { w.Error(&gone) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := fakecluster.New(t, space, claim("data", corev1.ClaimPending))
				watches, lists := 0, 0
				c.CoreFake.PrependWatchReactor("*", func(clienttesting.Action) (bool, watch.Interface, error) {
					watches++
					if watches > 3 {
						return false, nil, nil
					}
					w := watch.NewRaceFreeFake()
					go func() { time.Sleep(3 * time.Second); broken(w) }()
					return true, w, nil
				})
				c.CoreFake.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
					if lists++; lists == 2 {
						return true, nil, apierrors.NewServerTimeout(schema.GroupResource{Resource: "persistentvolumeclaims"}, "list", 1)
					}
					return false, nil, nil
				})
				go func() { time.Sleep(5 * time.Second); set(t, c, "data", corev1.ClaimBound) }()
				if err := waitFor(t.Context(), c, spec); err != nil {
					t.Fatal(err)
				}
				if lists < 3 {
					t.Errorf("%d lists, want a new one after each broken watch", lists)
				}
			})
		})
	}
}

func TestWaitKeepsCancellation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakecluster.New(t, space, claim("data", corev1.ClaimPending))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(42 * time.Second); cancel() }()
		began := time.Now()
		err := waitFor(ctx, c, spec)
		if !errors.Is(err, context.Canceled) || fault.StatusOf(err) != fault.Cancelled || time.Since(began) != 42*time.Second {
			t.Errorf("error %v after %s, want cancelled after 42s", err, time.Since(began))
		}
		if !strings.Contains(err.Error(), "data is Pending") {
			t.Errorf("error %v does not tell the last state", err)
		}
	})
}

func TestWaitSelects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		other := claim("other", corev1.ClaimPending)
		other.Labels = nil
		c := fakecluster.New(t, space, claim("data", corev1.ClaimBound), claim("late", corev1.ClaimPending), other)
		named, labelled := spec, spec
		named.Name, labelled.Selector = "data", "app=shop"
		if err := waitFor(t.Context(), c, named); err != nil {
			t.Error(err)
		}
		go func() { time.Sleep(time.Second); set(t, c, "late", corev1.ClaimBound) }()
		if err := waitFor(t.Context(), c, labelled); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitLooksAgainWhenAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakecluster.New(t, space, claim("data", corev1.ClaimPending))
		began := time.Now()
		err := kube.Wait(t.Context(), c.Cluster, spec, c.Core.CoreV1().PersistentVolumeClaims(space),
			func([]*corev1.PersistentVolumeClaim) (kube.Progress, error) {
				if time.Since(began) >= 3*time.Second {
					return kube.Progress{}, errors.New("has not healed for 3s")
				}
				return kube.Progress{State: "bad", Recheck: 3 * time.Second}, nil
			})
		if err == nil || time.Since(began) != 3*time.Second {
			t.Errorf("error %v after %s, want one after 3s", err, time.Since(began))
		}
	})
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                   "plain",
		"two\nlines\r\n\tand tab": "two lines and tab",
		"\x1b[31mred\x07":         "[31mred",
		"sep\u2028arated":         "sep arated",
		"bad\xffutf8":             "bad?utf8",
		"a\u009b2Jb\u0085c":       "a 2Jb c",
		"user\u202egnp.exe":       "user?gnp.exe",
		strings.Repeat("é", 300):  strings.Repeat("é", 200) + "…",
	} {
		if got := kube.OneLine(text); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", text, got, want)
		}
	}
}
