// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

// suite runs on the fake and on the real cluster. What the fake plays, the real one does.
var suite = map[string]func(t *testing.T, w *world){
	"takes what workloads mount":         takesWhatWorkloadsMount,
	"labels and annotates":               labelsAndAnnotates,
	"finds what is there":                findsWhatIsThere,
	"takes what is missing":              takesWhatIsMissing,
	"keeps off what is not ours":         keepsOffWhatIsNotOurs,
	"selects by label":                   selectsByLabel,
	"namespace without claims":           namespaceWithoutClaims,
	"claims that hold no data":           claimsThatHoldNoData,
	"no class of the driver":             noClassOfTheDriver,
	"two default classes":                twoDefaultClasses,
	"a named class":                      aNamedClass,
	"a volume without a CSI driver":      aVolumeWithoutDriver,
	"an error of the storage":            anErrorOfTheStorage,
	"some good and some not":             someGoodAndSomeNot,
	"cut at once and ready late":         cutAtOnceAndReadyLate,
	"the deadline":                       theDeadline,
	"cancelled while waiting":            cancelledWhileWaiting,
	"a long name":                        aLongName,
	"a snapshot that somebody deletes":   aSnapshotThatSomebodyDeletes,
	"a claim that asks to be left alone": aClaimThatAsksToBeLeftAlone,
}

func TestOnFakeCluster(t *testing.T) {
	t.Parallel()
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, test)
		})
	}
}

func TestOnRealCluster(t *testing.T) {
	t.Parallel()
	for name, test := range suite {
		t.Run(name, func(t *testing.T) { inCluster(t, test) })
	}
}

func takesWhatWorkloadsMount(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.claim(t, "media", "loop")
	w.claim(t, "forgotten", "loop")
	w.claim(t, "disk-db-0", "loop")
	w.mount(t, "web", "data", "media")
	w.stateful(t, "db", "disk")
	before := time.Now().Add(-2 * time.Second)
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	there := w.there(t)
	if len(got.Snapshots) != 3 || len(there) != 3 {
		t.Fatalf("%d snapshots in the record, %d in the cluster, want 3", len(got.Snapshots), len(there))
	}
	for i, claim := range []string{"data", "disk-db-0", "media"} {
		s, vs := got.Snapshots[i], there[claim]
		want := release.Snapshot{
			Namespace: w.Namespace, Claim: claim, Name: vs.Name, UID: string(vs.UID), Content: *vs.Status.BoundVolumeSnapshotContentName,
			Class: "loop", Driver: driver, Ready: true, Consistency: release.ConsistencyCrash, Cut: s.Cut,
			RestoreBytes: 64 << 20, StorageClass: "loop", VolumeMode: "Filesystem", AccessModes: []string{"ReadWriteOnce"}, ClaimBytes: 64 << 20,
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("snapshot of %s (-want +got):\n%s", claim, diff)
		}
		if s.Cut.Before(before) || s.Cut.After(time.Now().Add(2*time.Second)) {
			t.Errorf("cut at %s", s.Cut)
		}
	}
	mentions(t, "Skipped", strings.Join(got.Skipped, "\n"), "claim forgotten: no workload mounts it")
	mentions(t, "Notes", strings.Join(got.Notes, "\n"), "VolumeSnapshotClass loop deletes the data")
	if got.FrozenSeconds != 0 || len(got.Hooks) != 0 {
		t.Errorf("frozen %v s by %v, want no hooks", got.FrozenSeconds, got.Hooks)
	}
}

func labelsAndAnnotates(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	request := w.request(func(r *snapshot.Request) {
		r.Risk = release.RiskHigh
		r.Subject = release.Subject{
			App: "shop", Environment: "Feature/größe " + strings.Repeat("x", 80), Run: "1234567890/2",
			Commit: commit + commit[:24], Head: commit,
		}
	})
	_, err := snapshot.Take(t.Context(), w.Cluster, request)
	fatal(t, err)
	vs := w.there(t)["data"]
	wantLabels := map[string]string{
		release.LabelManagedBy: "knowngood", release.LabelApp: "shop", release.LabelCommit: string(commit[:40]), release.LabelClaim: "data",
		release.LabelEnvironment: kube.LabelValue(request.Subject.Environment), release.LabelRun: kube.LabelValue("1234567890/2"),
	}
	if diff := cmp.Diff(wantLabels, vs.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	want := map[string]string{
		release.AnnotationApp: "shop", release.AnnotationEnvironment: request.Subject.Environment, release.AnnotationRun: "1234567890/2",
		release.AnnotationCommit: string(request.Subject.Commit), release.AnnotationHead: string(commit), release.AnnotationClaim: "data",
		release.AnnotationRisk: "high", release.AnnotationConsistency: "crash",
	}
	for key, value := range want {
		if vs.Annotations[key] != value {
			t.Errorf("annotation %s is %q, want %q", key, vs.Annotations[key], value)
		}
	}
}

func findsWhatIsThere(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	first, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	again, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	want := first.Snapshots[0]
	want.Reused = true
	if diff := cmp.Diff([]release.Snapshot{want}, again.Snapshots); diff != "" {
		t.Errorf("repeated (-want +got):\n%s", diff)
	}
	other, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Subject.Run = "run-2" }))
	fatal(t, err)
	if other.Snapshots[0].Reused || other.Snapshots[0].UID == want.UID {
		t.Errorf("another run got %+v, want a snapshot of its own", other.Snapshots[0])
	}
}

func takesWhatIsMissing(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.claim(t, "media", "loop")
	w.mount(t, "web", "data", "media")
	first, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	fatal(t, w.Snapshots.SnapshotV1().VolumeSnapshots(w.Namespace).Delete(t.Context(), first.Snapshots[1].Name, metav1.DeleteOptions{}))
	w.gone(t, first.Snapshots[1].Name)
	again, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	if !again.Snapshots[0].Reused || again.Snapshots[1].Reused || again.Snapshots[1].UID == first.Snapshots[1].UID || !again.Snapshots[1].Ready {
		t.Errorf("got %+v, want the first reused and the second new", again.Snapshots)
	}
}

func keepsOffWhatIsNotOurs(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	first, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	vs := w.there(t)["data"]
	vs.Annotations[release.AnnotationCommit] = strings.Repeat("f", 40)
	_, err = w.Snapshots.SnapshotV1().VolumeSnapshots(w.Namespace).Update(t.Context(), &vs, metav1.UpdateOptions{})
	fatal(t, err)
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Usage {
		t.Fatalf("error %v, want one of usage", err)
	}
	mentions(t, "error", err.Error(), first.Snapshots[0].Name, "is not this run's", "ffffffff")
	if there, ok := w.there(t)["data"]; !ok || string(there.UID) != first.Snapshots[0].UID || len(got.Snapshots) != 0 {
		t.Errorf("a snapshot that is not ours was touched: %v, %+v", ok, got.Snapshots)
	}
}

func selectsByLabel(t *testing.T, w *world) {
	labelled := func(claim *corev1.PersistentVolumeClaim) { claim.Labels = map[string]string{"tier": "db"} }
	w.claim(t, "data", "loop", labelled)
	w.claim(t, "cache", "loop")
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Claims = "tier in (db)" }))
	fatal(t, err)
	if len(got.Snapshots) != 1 || got.Snapshots[0].Claim != "data" {
		t.Errorf("took %+v, want data alone", got.Snapshots)
	}
	for selector, want := range map[string]string{"tier=web": `no claim in namespace ` + w.Namespace + ` has the labels "tier=web"`, "tier in db": `claims "tier in db"`} {
		_, err = snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Claims = selector }))
		if err == nil || fault.StatusOf(err) != fault.Usage {
			t.Fatalf("selector %s: error %v, want one of usage", selector, err)
		}
		mentions(t, "error", err.Error(), want)
	}
}

func namespaceWithoutClaims(t *testing.T, w *world) {
	_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
		t.Fatalf("error %v, want one of usage with a hint", err)
	}
	mentions(t, "error", err.Error(), "namespace "+w.Namespace+" has no claims")
	w.Namespace = "no-such-namespace"
	_, err = snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Usage {
		t.Fatalf("error %v, want one of usage", err)
	}
	mentions(t, "error", err.Error(), "namespace no-such-namespace does not exist")
}

func claimsThatHoldNoData(t *testing.T, w *world) {
	w.claim(t, "pending", "absent"+w.suffix)
	w.mount(t, "web", "pending")
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Usage {
		t.Fatalf("error %v, want one of usage", err)
	}
	mentions(t, "error", err.Error(), "no claim to snapshot", "claim pending: it has no volume yet")
	mentions(t, "Skipped", strings.Join(got.Skipped, "\n"), "claim pending: it has no volume yet")
}

// foreign makes a claim on a driver that nobody runs, with classes of the test's own.
func foreign(t *testing.T, w *world, classes map[string]bool) (driverName string, err error) {
	t.Helper()
	driverName = "foreign" + w.suffix + ".example"
	w.volume(t, "data", corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: "h" + w.suffix}})
	w.mount(t, "web", "data")
	for name, isDefault := range classes {
		w.class(t, name, func(class *snapshotv1.VolumeSnapshotClass) {
			class.Driver = driverName
			if isDefault {
				class.Annotations = map[string]string{"snapshot.storage.kubernetes.io/is-default-class": "true"}
			}
		})
	}
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = "" }))
	if err == nil || fault.StatusOf(err) != fault.Usage || len(got.Snapshots) != 0 || len(w.there(t)) != 0 {
		t.Fatalf("error %v and %+v, want one of usage and nothing touched", err, got.Snapshots)
	}
	return driverName, err
}

func noClassOfTheDriver(t *testing.T, w *world) {
	driverName, err := foreign(t, w, map[string]bool{"one": false})
	mentions(t, "error", err.Error(), "claim "+w.Namespace+"/data: driver "+driverName+" has no default VolumeSnapshotClass")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "one"+w.suffix, "--snapshot-class")
}

func twoDefaultClasses(t *testing.T, w *world) {
	driverName, err := foreign(t, w, map[string]bool{"one": true, "two": true, "three": false})
	mentions(t, "error", err.Error(), "driver "+driverName+" has 2 default VolumeSnapshotClasses: one"+w.suffix+", two"+w.suffix)
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "--snapshot-class", "is-default-class")
}

func aNamedClass(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	retaining := w.class(t, "retain", func(class *snapshotv1.VolumeSnapshotClass) {
		class.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
	})
	other := w.class(t, "other", func(class *snapshotv1.VolumeSnapshotClass) { class.Driver = "other.example" })
	for class, want := range map[string]string{
		"absent": "there is no VolumeSnapshotClass absent",
		other:    "is of driver other.example, and the volume of driver " + driver,
	} {
		_, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class }))
		if err == nil || fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
			t.Fatalf("class %s: error %v, want one of usage with a hint", class, err)
		}
		mentions(t, "error", err.Error(), want)
	}
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = retaining }))
	fatal(t, err)
	if s := got.Snapshots[0]; s.Class != retaining || !s.RetainedByClass {
		t.Errorf("got %+v, want class %s, which retains", s, retaining)
	}
	if len(got.Notes) != 0 {
		t.Errorf("notes %q, want none about a class that retains", got.Notes)
	}
	w.forget(t, got.Snapshots[0])
}

func aVolumeWithoutDriver(t *testing.T, w *world) {
	w.volume(t, "old", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}})
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data", "old")
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Usage || len(w.there(t)) != 0 || len(got.Snapshots) != 0 {
		t.Fatalf("error %v and %+v, want one of usage and nothing touched", err, got.Snapshots)
	}
	mentions(t, "error", err.Error(), "claim "+w.Namespace+"/old", "is not of a CSI driver")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "knowngood.dev/snapshot=skip")
}

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

func aClaimThatAsksToBeLeftAlone(t *testing.T, w *world) {
	annotated := func(value string) func(*corev1.PersistentVolumeClaim) {
		return func(claim *corev1.PersistentVolumeClaim) {
			claim.Annotations = map[string]string{snapshot.AnnotationSkip: value}
		}
	}
	w.claim(t, "data", "loop")
	w.claim(t, "cache", "loop", annotated("skip"))
	w.mount(t, "web", "data", "cache")
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	if len(got.Snapshots) != 1 || got.Snapshots[0].Claim != "data" {
		t.Errorf("took %+v, want data alone", got.Snapshots)
	}
	mentions(t, "Skipped", strings.Join(got.Skipped, "\n"), "claim cache: its annotation knowngood.dev/snapshot says skip")
	w.claim(t, "typo", "loop", annotated("no"))
	if _, err = snapshot.Take(t.Context(), w.Cluster, w.request()); fault.StatusOf(err) != fault.Usage {
		t.Errorf("error %v, want one of usage for a value that is not known", err)
	}
}
