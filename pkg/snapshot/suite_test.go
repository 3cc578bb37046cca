// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	w.claim(t, "half", "loop", func(claim *corev1.PersistentVolumeClaim) {
		claim.Annotations = map[string]string{release.AnnotationRestore: "r1", release.AnnotationFilled: ""}
	})
	w.mount(t, "filler", "half")
	got, err = snapshot.Take(t.Context(), w.Cluster, w.request())
	fatal(t, err)
	mentions(t, "Skipped", strings.Join(got.Skipped, "\n"), "claim half: a restore brings a backup into it, and has not ended")
	w.claim(t, "typo", "loop", annotated("no"))
	if _, err = snapshot.Take(t.Context(), w.Cluster, w.request()); fault.StatusOf(err) != fault.Usage {
		t.Errorf("error %v, want one of usage for a value that is not known", err)
	}
}
