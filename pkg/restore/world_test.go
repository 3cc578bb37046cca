// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/test/realcluster"
)

// driver is the CSI driver of test/cluster.
const driver = "loop.csi.knowngood.test"

const commit = release.Commit("0123456789abcdef0123456789abcdef01234567")

// claim is the one of the database that each test has.
const claim = "data-db-0"

// A world is a cluster with a namespace of the test's own, the real one or the fake one, and in
// it a database: the StatefulSet db with one replica and the claim data-db-0.
type world struct {
	*kube.Cluster
	// later is a storage class that binds with the first pod.
	later  string
	suffix string
	// real and fake are each nil in the other world.
	real     *realcluster.Cluster
	database *realcluster.Database
	fake     *fakeWorld
	// plain lets the claim have no annotations of its owner's.
	plain bool
	// cut is the snapshot of the database.
	cut release.Snapshot
	// from is the kind of copy that requests ask for; of backups a courier brings them.
	from restore.From
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mentions fails unless each text is in what was said.
func mentions(t *testing.T, what, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("%s does not say %q:\n%s", what, text, said)
		}
	}
}

// begin starts the database on a storage class, lets it hold the text "good" and cuts a
// snapshot of that, then lets it hold "bad".
func (w *world) begin(t *testing.T, class string) {
	t.Helper()
	if w.real != nil {
		w.cut = w.cutOnReal(t, class)
		w.write(t, "bad")
		return
	}
	one := int32(1)
	labels := map[string]string{"app": "db"}
	_, err := w.Core.AppsV1().StatefulSets(w.Namespace).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}},
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: claim, Labels: map[string]string{"app": "db"}, Annotations: map[string]string{
			"pv.kubernetes.io/bind-completed": "yes", "example.com/mine": "1",
		}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class, Resources: room("64Mi"),
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	w.settle(t)
	if w.plain {
		there, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Get(t.Context(), claim, metav1.GetOptions{})
		fatal(t, err)
		there.Labels, there.Annotations = nil, nil
		_, err = w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Update(t.Context(), there, metav1.UpdateOptions{})
		fatal(t, err)
	}
	w.write(t, "good")
	w.fake.snapshot(t, claim, "db-cut")
	w.cut = release.Snapshot{
		Namespace: w.Namespace, Claim: claim, Name: "db-cut", UID: "vs-db-cut", Driver: driver, Ready: true, Consistency: release.ConsistencyCrash,
		StorageClass: class, AccessModes: []string{"ReadWriteOnce"}, ClaimBytes: 64 << 20, RestoreBytes: 64 << 20, Cut: time.Now(),
	}
	w.write(t, "bad")
}

// settle waits until the database is ready.
func (w *world) settle(t *testing.T) {
	t.Helper()
	spec := kube.WaitSpec{What: "the database", Timeout: 2 * time.Minute, Resource: "statefulsets", Namespace: w.Namespace, Name: "db"}
	fatal(t, kube.Wait(t.Context(), w.Cluster, spec, w.Core.AppsV1().StatefulSets(w.Namespace), kube.Named(func(s *appsv1.StatefulSet) (kube.Progress, error) {
		return kube.Progress{Done: s != nil && s.Status.ReadyReplicas == *s.Spec.Replicas, State: "not ready"}, nil
	})))
}

func (w *world) volumeOf(t *testing.T, name string) string {
	t.Helper()
	found, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	fatal(t, err)
	return found.Spec.VolumeName
}

func (w *world) write(t *testing.T, text string) {
	t.Helper()
	if w.real != nil {
		w.database.Write(t, text)
		return
	}
	w.fake.hold(w.volumeOf(t, claim), text)
}

// read returns what the database holds; it is ready then.
func (w *world) read(t *testing.T) string {
	t.Helper()
	w.settle(t)
	if w.real != nil {
		return w.database.Read(t, "db-0")
	}
	return w.fake.hold(w.volumeOf(t, claim))
}

func (w *world) request(way release.RestoreWay, change ...func(*restore.Request)) restore.Request {
	request := restore.Request{
		Way: way, Name: "restore-1", App: "shop", Environment: "test", Timeout: 2 * time.Minute,
		Lineage: release.Lineage{Run: "run-1", Commit: commit, Taken: w.cut.Cut}, Snapshots: []release.Snapshot{w.cut},
	}
	if way == release.RestoreUndo || way == release.RestoreConfirm {
		request.Lineage, request.Snapshots, request.Name = release.Lineage{}, nil, "undo-1"
	}
	if w.from == restore.FromBackup && len(request.Snapshots) > 0 {
		(&courier{world: w}).fromBackup(func(r *restore.Request) { r.From = restore.FromBackup })(&request)
	}
	for _, c := range change {
		c(&request)
	}
	return request
}

// restored makes the plan and carries it out.
func (w *world) restored(t *testing.T, request restore.Request) (release.Restoration, error) {
	t.Helper()
	plan, err := restore.Make(t.Context(), w.Cluster, request)
	if err != nil {
		return release.Restoration{}, err
	}
	return plan.Do(t.Context())
}

// replicas returns those of the database and whether a restore still holds it.
func (w *world) replicas(t *testing.T) (n int32, held bool) {
	t.Helper()
	set, err := w.Core.AppsV1().StatefulSets(w.Namespace).Get(t.Context(), "db", metav1.GetOptions{})
	fatal(t, err)
	_, held = set.Annotations[release.AnnotationReplicas]
	return *set.Spec.Replicas, held
}

func (w *world) volume(t *testing.T, name string) *corev1.PersistentVolume {
	t.Helper()
	volume, err := w.Core.CoreV1().PersistentVolumes().Get(t.Context(), name, metav1.GetOptions{})
	fatal(t, err)
	return volume
}

func room(size string) corev1.VolumeResourceRequirements {
	return corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}
}

// held returns what a claim holds that no workload mounts.
func (w *world) held(t *testing.T, name string) string {
	t.Helper()
	if w.real != nil {
		w.database.Start(t, name)
		return w.database.Read(t, name)
	}
	return w.fake.hold(w.volumeOf(t, name))
}

// before does something in the middle of a restore: just before the act whose sentence begins
// with the text.
func (w *world) before(t *testing.T, text string, do, restoring func()) {
	t.Helper()
	log := w.Log
	defer func() { w.Log = log }()
	w.Log = slog.New(&trigger{Handler: log.Handler(), text: text, do: sync.OnceFunc(do)})
	restoring()
}

// A trigger is a log that does something when an act is told.
type trigger struct {
	slog.Handler
	text string
	do   func()
}

// Enabled implements slog.Handler.
func (h *trigger) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *trigger) Handle(ctx context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "what" && strings.HasPrefix(a.Value.String(), h.text) && record.Message == "restore" {
			h.do()
		}
		return true
	})
	return h.Handler.Handle(ctx, record)
}
