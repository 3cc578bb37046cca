// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

func anErrorOfTheStorage(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	class := w.faulty(t, "quota", map[string]string{"knowngood.test/fail": "too many snapshots", "knowngood.test/fail-code": "ResourceExhausted"})
	began := time.Now()
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class; r.Timeout = 10 * time.Minute }))
	if err == nil || fault.StatusOf(err) != fault.Failed || time.Since(began) > time.Minute {
		t.Fatalf("error %v after %s, want a failure well before the deadline", err, time.Since(began))
	}
	mentions(t, "error", err.Error(), "snapshot claim "+w.Namespace+"/data", driver, "too many snapshots", "ResourceExhausted", "unchanged for")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "quota")
	if len(got.Snapshots) != 1 || got.Snapshots[0].Ready || got.Snapshots[0].Error == "" {
		t.Errorf("record %+v, want the failed snapshot with its error", got.Snapshots)
	}
	if left := w.there(t); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func someGoodAndSomeNot(t *testing.T, w *world) {
	bad := w.storage(t, "bad", map[string]string{"knowngood.test/snapshot-fail": "no such volume", "knowngood.test/snapshot-fail-code": "NotFound"})
	w.claim(t, "data", "loop")
	w.claim(t, "lost", bad)
	w.mount(t, "web", "data", "lost")
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Partial {
		t.Fatalf("error %v with status %d, want one of part", err, fault.StatusOf(err))
	}
	mentions(t, "error", err.Error(), "snapshot claim "+w.Namespace+"/lost", "no such volume")
	if len(got.Snapshots) != 2 || !got.Snapshots[0].Ready || got.Snapshots[1].Ready {
		t.Errorf("record %+v, want data ready and lost not", got.Snapshots)
	}
	if there := w.there(t); len(there) != 1 || there["data"].Name != got.Snapshots[0].Name {
		t.Errorf("in the cluster: %v, want the good one alone", there)
	}
}

func cutAtOnceAndReadyLate(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	class := w.faulty(t, "late", map[string]string{"knowngood.test/ready-after": "3s"})
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class }))
	fatal(t, err)
	if late := time.Since(got.Snapshots[0].Cut); late < 2900*time.Millisecond {
		t.Errorf("ready %s after the cut, want 3s or more", late)
	}
	if waited := w.Waited(); waited < 2900*time.Millisecond {
		t.Errorf("Waited() = %s", waited)
	}
}

func theDeadline(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	class := w.faulty(t, "never", map[string]string{"knowngood.test/ready-after": "never"})
	began := time.Now()
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class; r.Timeout = 12 * time.Second }))
	took := time.Since(began)
	if !errors.Is(err, kube.ErrTimeout) || fault.StatusOf(err) != fault.Failed || took < 12*time.Second || took > 24*time.Second {
		t.Fatalf("error %v after %s, want the deadline after 12s", err, took)
	}
	mentions(t, "error", err.Error(), "deadline of 12s met", "last state: cut; driver "+driver+" is making it usable", "class "+class)
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "--timeout")
	mentions(t, "Notes", strings.Join(got.Notes, "\n"), "was deleted, for it did not become good")
	if left := w.there(t); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func cancelledWhileWaiting(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	class := w.faulty(t, "never", map[string]string{"knowngood.test/ready-after": "never"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(2*time.Second, cancel)
	got, err := snapshot.Take(ctx, w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class }))
	if !errors.Is(err, context.Canceled) || fault.StatusOf(err) != fault.Cancelled {
		t.Fatalf("error %v with status %d, want cancelled", err, fault.StatusOf(err))
	}
	if len(got.Snapshots) != 1 || got.Snapshots[0].Ready || got.Snapshots[0].UID == "" {
		t.Errorf("record %+v, want the snapshot that was begun", got.Snapshots)
	}
	if left := w.there(t); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func aLongName(t *testing.T, w *world) {
	for _, end := range []string{"one", "two"} {
		w.claim(t, strings.Repeat("a-very-long-name-of-a-claim.", 8)+end, "loop")
	}
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Claims = "!none" }))
	fatal(t, err)
	there := w.there(t)
	for _, s := range got.Snapshots {
		if vs := there[s.Claim]; vs.Name != s.Name || vs.Annotations[release.AnnotationClaim] != s.Claim || len(s.Name) > 63 {
			t.Errorf("snapshot %s of claim %s: annotation %q", s.Name, s.Claim, vs.Annotations[release.AnnotationClaim])
		}
	}
	if len(there) != 2 {
		t.Errorf("%d snapshots, want 2", len(there))
	}
}

func aSnapshotThatSomebodyDeletes(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	class := w.faulty(t, "never", map[string]string{"knowngood.test/ready-after": "never"})
	time.AfterFunc(2*time.Second, func() {
		for _, vs := range w.there(t) {
			if err := w.Snapshots.SnapshotV1().VolumeSnapshots(w.Namespace).Delete(t.Context(), vs.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class }))
	if err == nil || fault.StatusOf(err) != fault.Failed {
		t.Fatalf("error %v, want a failure", err)
	}
	mentions(t, "error", err.Error(), "delete")
}
