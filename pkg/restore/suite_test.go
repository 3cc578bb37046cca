// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
)

// suite runs on the fake and on the real cluster. What the fake plays, the real one does.
var suite = map[string]func(t *testing.T, w *world){
	"to a new claim":             toANewClaim,
	"there and back":             thereAndBack,
	"a class that binds late":    aClassThatBindsLate,
	"refuses what it cannot do":  refusesWhatItCannotDo,
	"a snapshot that is gone":    aSnapshotThatIsGone,
	"a claim of somebody else's": aClaimOfSomebodyElses,
	"a Deployment on two claims": aDeploymentOnTwoClaims,
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

func toANewClaim(t *testing.T, w *world) {
	w.begin(t, "loop")
	got, err := w.restored(t, w.request(release.RestoreNew))
	fatal(t, err)
	name := got.Claims[0].Claim
	mentions(t, "name", name, claim+"-restored-")
	made, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	fatal(t, err)
	if made.Status.Phase != corev1.ClaimBound || made.Spec.VolumeName != got.Claims[0].Volume || *made.Spec.StorageClassName != "loop" ||
		made.Labels[release.LabelCommit] != string(commit) || made.Annotations[release.AnnotationClaim] != claim {
		t.Errorf("made %+v, recorded %+v", made, got.Claims[0])
	}
	if held := w.held(t, name); held != "good" {
		t.Errorf("it holds %q, want good", held)
	}
	if now := w.read(t); now != "bad" {
		t.Errorf("the claim in use holds %q, want it untouched", now)
	}
	again, err := restore.Make(t.Context(), w.Cluster, w.request(release.RestoreNew))
	fatal(t, err)
	if len(again.Result().Plan) != 0 || !again.Resumed || again.Result().Claims[0].Volume != got.Claims[0].Volume {
		t.Errorf("again it would %q", again.Result().Plan)
	}
	_, err = restore.Make(t.Context(), w.Cluster, w.request(release.RestoreNew, func(r *restore.Request) { r.NewClaim = claim }))
	if fault.StatusOf(err) != fault.Usage {
		t.Fatalf("over a claim that is there: %v, want usage", err)
	}
	mentions(t, "error", err.Error()+strings.Join(fault.Hints(err), " "), "there is a claim data-db-0 already", "--in-place")
}

// thereAndBack restores in place, goes back, goes back from that, and confirms.
func thereAndBack(t *testing.T, w *world) {
	w.begin(t, "loop")
	old := w.volumeOf(t, claim)
	plan, err := restore.Make(t.Context(), w.Cluster, w.request(release.RestoreInPlace))
	fatal(t, err)
	mentions(t, "plan", strings.Join(plan.Result().Plan, "\n"), "keep volume "+old, "scale StatefulSet db from 1 to 0", "no pod uses claim "+claim,
		"delete claim "+claim+"; volume "+old+" stays", "make claim "+claim+" (", "scale StatefulSet db to 1", "StatefulSet db is ready")
	if n, held := w.replicas(t); n != 1 || held || w.read(t) != "bad" {
		t.Fatalf("a plan has touched something: %d replicas, held %v", n, held)
	}
	got, err := plan.Do(t.Context())
	fatal(t, err)
	w.restoredWell(t, got, old, "good")
	made, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Get(t.Context(), claim, metav1.GetOptions{})
	fatal(t, err)
	if made.Labels["app"] != "db" || made.Annotations["example.com/mine"] != "1" {
		t.Errorf("the claim has not its owner's labels and annotations: %v, %v", made.Labels, made.Annotations)
	}
	again, err := w.restored(t, w.request(release.RestoreInPlace))
	fatal(t, err)
	if len(again.Plan) != 0 || again.Claims[0].Kept != old || w.volumeOf(t, claim) != got.Claims[0].Volume {
		t.Errorf("the same command again: %+v", again)
	}
	w.write(t, "newer")

	second := w.volumeOf(t, claim)
	got, err = w.restored(t, w.request(release.RestoreUndo))
	fatal(t, err)
	if now := w.read(t); now != "bad" || w.volumeOf(t, claim) != old || got.Claims[0].Kept != second {
		t.Fatalf("undone it holds %q on %s, %+v", now, w.volumeOf(t, claim), got.Claims)
	}
	if back := w.volume(t, old); back.Labels[release.LabelKept] != "" || back.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("the volume that was put back is still kept: %v, %s", back.Labels, back.Spec.PersistentVolumeReclaimPolicy)
	}
	_, err = w.restored(t, w.request(release.RestoreUndo, func(r *restore.Request) { r.Name, r.Earlier = "undo-2", "undo-1" }))
	fatal(t, err)
	if now := w.read(t); now != "newer" || w.volumeOf(t, claim) != second {
		t.Fatalf("undone again it holds %q", now)
	}
	got, err = w.restored(t, w.request(release.RestoreConfirm))
	fatal(t, err)
	_, err = w.Core.CoreV1().PersistentVolumes().Get(t.Context(), old, metav1.GetOptions{})
	if !got.Claims[0].Removed || !apierrors.IsNotFound(err) || w.read(t) != "newer" {
		t.Errorf("confirmed: %+v, %v", got.Claims, err)
	}
	_, err = restore.Make(t.Context(), w.Cluster, w.request(release.RestoreUndo))
	if fault.StatusOf(err) != fault.Usage {
		t.Errorf("nothing is kept any more, and undo says %v", err)
	}
}

// restoredWell checks a restore in place that has ended.
func (w *world) restoredWell(t *testing.T, got release.Restoration, old, want string) {
	t.Helper()
	c := got.Claims[0]
	if now := w.read(t); now != want || c.Kept != old || c.Volume != w.volumeOf(t, claim) || c.Volume == old {
		t.Fatalf("it holds %q on volume %s, want %q; recorded %+v", now, w.volumeOf(t, claim), want, c)
	}
	if len(got.Workloads) != 1 || !got.Workloads[0].Ready || got.Workloads[0].Replicas != 1 {
		t.Errorf("workloads %+v", got.Workloads)
	}
	if n, held := w.replicas(t); n != 1 || held {
		t.Errorf("%d replicas, held %v", n, held)
	}
	kept := w.volume(t, old)
	if kept.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || kept.Status.Phase != corev1.VolumeReleased || kept.Labels[release.LabelKept] == "" {
		t.Errorf("the old volume is %s with policy %s and labels %v", kept.Status.Phase, kept.Spec.PersistentVolumeReclaimPolicy, kept.Labels)
	}
}

func aClassThatBindsLate(t *testing.T, w *world) {
	w.begin(t, w.later)
	old := w.volumeOf(t, claim)
	got, err := w.restored(t, w.request(release.RestoreNew))
	fatal(t, err)
	mentions(t, "notes", strings.Join(got.Notes, "\n"), "when the first pod that mounts it is scheduled")
	got, err = w.restored(t, w.request(release.RestoreInPlace))
	fatal(t, err)
	w.restoredWell(t, got, old, "good")
}

// refusesWhatItCannotDo names each user of the claim that cannot be stopped, and what would
// start pods again, and touches nothing.
func refusesWhatItCannotDo(t *testing.T, w *world) {
	w.begin(t, "loop")
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.Namespace, Name: name} }
	labels := map[string]string{"app": "other"}
	spec := corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "none.example/none:1"}}, NodeSelector: map[string]string{"none": "none"},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}},
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	job := *template.DeepCopy()
	job.Spec.RestartPolicy = corev1.RestartPolicyNever
	selector, none := &metav1.LabelSelector{MatchLabels: labels}, int32(0)
	_, err := w.Core.AppsV1().DaemonSets(w.Namespace).Create(t.Context(), &appsv1.DaemonSet{ObjectMeta: meta("daemon"), Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = w.Core.BatchV1().Jobs(w.Namespace).Create(t.Context(), &batchv1.Job{ObjectMeta: meta("task"), Spec: batchv1.JobSpec{Template: job}}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = w.Core.BatchV1().CronJobs(w.Namespace).Create(t.Context(), &batchv1.CronJob{ObjectMeta: meta("nightly"), Spec: batchv1.CronJobSpec{
		Schedule: "0 0 31 2 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: job}},
	}}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = w.Core.CoreV1().Pods(w.Namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: meta("bare"), Spec: spec}, metav1.CreateOptions{})
	fatal(t, err)
	yes := true
	kept := meta("operated")
	kept.OwnerReferences = []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Cluster", Name: "pg", UID: "1-2-3", Controller: &yes}}
	_, err = w.Core.AppsV1().Deployments(w.Namespace).Create(t.Context(), &appsv1.Deployment{ObjectMeta: kept, Spec: appsv1.DeploymentSpec{Replicas: &none, Selector: selector, Template: template}}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = w.Core.AutoscalingV2().HorizontalPodAutoscalers(w.Namespace).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta("scaler"), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 2, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db"},
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = restore.Make(t.Context(), w.Cluster, w.request(release.RestoreInPlace))
	if fault.StatusOf(err) != fault.Usage {
		t.Fatalf("error %v, want one of usage", err)
	}
	mentions(t, "error", err.Error(), "claim data-db-0 cannot be restored in place", "DaemonSet daemon mounts", "Job task mounts", "CronJob nightly mounts",
		"Pod bare mounts", "Deployment operated is kept by Cluster pg", "HorizontalPodAutoscaler scaler scales StatefulSet db")
	if n, held := w.replicas(t); n != 1 || held || w.volume(t, w.volumeOf(t, claim)).Labels[release.LabelKept] != "" {
		t.Errorf("refused, and touched: %d replicas, held %v", n, held)
	}
}

func aSnapshotThatIsGone(t *testing.T, w *world) {
	w.begin(t, "loop")
	for name, test := range map[string]struct {
		change func(*release.Snapshot)
		says   string
	}{
		"gone":            {func(s *release.Snapshot) { s.Name = "other" }, "VolumeSnapshot " + w.Namespace + "/other of run run-1 is gone"},
		"another one":     {func(s *release.Snapshot) { s.UID = "other" }, "it is another one"},
		"no class":        {func(s *release.Snapshot) { s.StorageClass = "" }, "has no storage class"},
		"absent class":    {func(s *release.Snapshot) { s.StorageClass = "absent" }, "there is no StorageClass absent"},
		"no known mode":   {func(s *release.Snapshot) { s.VolumeMode = "Object" }, `volume mode "Object", which is not known`},
		"another mode":    {func(s *release.Snapshot) { s.VolumeMode = "Block" }, "has volume mode Filesystem, and its snapshot is of one with Block"},
		"another driver":  {func(s *release.Snapshot) { s.Driver = "other.example" }, "and the snapshot of driver other.example"},
		"another's claim": {func(s *release.Snapshot) { s.Claim = "nobody" }, "there is no claim nobody"},
	} {
		way := release.RestoreNew
		if name == "another's claim" || name == "another mode" {
			way = release.RestoreInPlace
		}
		_, err := restore.Make(t.Context(), w.Cluster, w.request(way, func(r *restore.Request) { test.change(&r.Snapshots[0]) }))
		if err == nil || fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
			t.Fatalf("%s: error %v, want one of usage with a hint", name, err)
		}
		mentions(t, name, err.Error(), test.says)
	}
}

// aClaimOfSomebodyElses appears under the name in the middle of a restore, as a StatefulSet
// makes one when it is scaled up.
func aClaimOfSomebodyElses(t *testing.T, w *world) {
	w.begin(t, "loop")
	old := w.volumeOf(t, claim)
	plan, err := restore.Make(t.Context(), w.Cluster, w.request(release.RestoreInPlace))
	fatal(t, err)
	class := "loop"
	stranger := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: claim},
		Spec:       corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class, Resources: room("64Mi")},
	}
	w.before(t, "make claim", func() {
		_, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Create(t.Context(), stranger, metav1.CreateOptions{})
		fatal(t, err)
	}, func() { _, err = plan.Do(t.Context()) })
	if err == nil {
		t.Fatal("it went on with a claim that is not its own")
	}
	mentions(t, "error", err.Error(), "was made by somebody else")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "nothing is lost", "--undo")
	_, err = w.restored(t, w.request(release.RestoreUndo))
	fatal(t, err)
	if now := w.read(t); now != "bad" || w.volumeOf(t, claim) != old {
		t.Errorf("after going back it holds %q", now)
	}
}
