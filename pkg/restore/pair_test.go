// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

// pair are the claims of the Deployment web, which belong together.
var pair = []string{"left", "right"}

// beginPair starts a Deployment on two claims that hold "good", cuts both, and lets them hold
// "bad".
func (w *world) beginPair(t *testing.T) []release.Snapshot {
	t.Helper()
	labels, one, class := map[string]string{"app": "web"}, int32(1), "loop"
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64),
		Containers:                    []corev1.Container{{Name: "web", Image: w.image(t), ImagePullPolicy: corev1.PullNever, Command: []string{"sleep", "1000000"}}},
	}}
	for _, name := range pair {
		_, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class, Resources: room("64Mi"),
			},
		}, metav1.CreateOptions{})
		fatal(t, err)
		template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
		template.Spec.Containers[0].VolumeMounts = append(template.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: "/" + name})
	}
	_, err := w.Core.AppsV1().Deployments(w.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "web"},
		Spec:       appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}, metav1.CreateOptions{})
	fatal(t, err)
	w.fillPair(t, "good")
	cuts := w.cutPair(t)
	w.fillPair(t, "bad")
	return cuts
}

func (w *world) image(t *testing.T) string {
	t.Helper()
	if w.real != nil {
		return w.real.Image(t, "/shop-db:", "KNOWNGOOD_TEST_POSTGRESQL_IMAGE")
	}
	return "none.example/none:1"
}

func (w *world) cutPair(t *testing.T) []release.Snapshot {
	t.Helper()
	if w.real != nil {
		got, err := snapshot.Take(t.Context(), w.Cluster, snapshot.Request{
			Subject: release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit}, Class: "loop", Timeout: time.Minute,
		})
		fatal(t, err)
		return got.Snapshots
	}
	var cuts []release.Snapshot
	for _, name := range pair {
		w.fake.snapshot(t, name, name+"-cut")
		cuts = append(cuts, release.Snapshot{
			Namespace: w.Namespace, Claim: name, Name: name + "-cut", UID: "vs-" + name + "-cut", Driver: driver, Ready: true,
			StorageClass: "loop", AccessModes: []string{"ReadWriteOnce"}, ClaimBytes: 64 << 20, RestoreBytes: 64 << 20,
		})
	}
	return cuts
}

// webPod waits until the Deployment has its one pod ready and returns its name.
func (w *world) webPod(t *testing.T) string {
	t.Helper()
	name := ""
	spec := kube.WaitSpec{What: "the pod of web", Timeout: 2 * time.Minute, Resource: "pods", Namespace: w.Namespace, Selector: "app=web"}
	fatal(t, kube.Wait(t.Context(), w.Cluster, spec, w.Core.CoreV1().Pods(w.Namespace), func(pods []*corev1.Pod) (kube.Progress, error) {
		for _, pod := range pods {
			ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
			if pod.DeletionTimestamp == nil && (ready || w.fake != nil) {
				name = pod.Name
			}
		}
		return kube.Progress{Done: name != "", State: "not ready"}, nil
	}))
	return name
}

func (w *world) fillPair(t *testing.T, text string) {
	t.Helper()
	pod := w.webPod(t)
	for _, name := range pair {
		if w.fake != nil {
			w.fake.hold(w.volumeOf(t, name), text)
			continue
		}
		w.exec(t, pod, fmt.Sprintf("echo %s > /%s/text && sync", text, name))
	}
}

// readPair returns what both claims hold, once if they hold the same.
func (w *world) readPair(t *testing.T) string {
	t.Helper()
	pod := w.webPod(t)
	var all []string
	for _, name := range pair {
		if w.fake != nil {
			all = append(all, w.fake.hold(w.volumeOf(t, name)))
			continue
		}
		all = append(all, w.exec(t, pod, fmt.Sprintf("cat /%s/text", name)))
	}
	return strings.Join(slices.Compact(all), " and ")
}

func (w *world) exec(t *testing.T, pod, line string) string {
	t.Helper()
	output, err := w.Streams.Exec(t.Context(), kube.Command{Namespace: w.Namespace, Pod: pod, Container: "web", Args: []string{"sh", "-c", line}})
	fatal(t, err)
	return strings.TrimSpace(output.Stdout)
}

// aDeploymentOnTwoClaims is restored with both at once: it never sees one old and one new.
func aDeploymentOnTwoClaims(t *testing.T, w *world) {
	cuts := w.beginPair(t)
	both := func(r *restore.Request) { r.Snapshots = cuts }
	got, err := w.restored(t, w.request(release.RestoreInPlace, both))
	fatal(t, err)
	if now := w.readPair(t); now != "good" || len(got.Claims) != 2 || got.Workloads[0].Name != "web" || !got.Workloads[0].Ready {
		t.Errorf("they hold %q, %+v", now, got)
	}
	w.fillPair(t, "newer")
	_, err = w.restored(t, w.request(release.RestoreUndo))
	fatal(t, err)
	if now := w.readPair(t); now != "bad" {
		t.Errorf("put back they hold %q", now)
	}
	got, err = w.restored(t, w.request(release.RestoreConfirm))
	fatal(t, err)
	if !got.Claims[0].Removed || !got.Claims[1].Removed {
		t.Errorf("confirmed: %+v", got.Claims)
	}
}

// Two claims of one Deployment are restored together, wherever the program is killed, and put
// back together, at once or after the restore was finished.
func TestKilledWithTwoClaims(t *testing.T) {
	t.Parallel()
	for _, finish := range []bool{true, false} {
		for _, after := range []bool{false, true} {
			for at, fired := 1, true; fired; at++ {
				t.Run(fmt.Sprintf("%d after=%v finish=%v", at, after, finish), func(t *testing.T) {
					inFake(t, func(t *testing.T, w *world) { fired = w.killedPair(t, &killer{at: at, after: after}, finish) })
				})
			}
		}
	}
}

// Whoever names one claim of two does not mean the volume of the other.
func TestOneClaimOfTwoIsNotTheWholeRestore(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		cuts := w.beginPair(t)
		_, err := w.restored(t, w.request(release.RestoreInPlace, func(r *restore.Request) { r.Snapshots = cuts }))
		fatal(t, err)
		for _, way := range []release.RestoreWay{release.RestoreConfirm, release.RestoreUndo} {
			_, err = w.restored(t, w.request(way, func(r *restore.Request) { r.Claims = pair[:1] }))
			if fault.StatusOf(err) != fault.Usage {
				t.Fatalf("%s of one: %v, want usage", way, err)
			}
			mentions(t, "error", err.Error(), "restore restore-1, which is meant, is of claim right as well")
		}
		if now := w.readPair(t); now != "good" {
			t.Errorf("they hold %q", now)
		}
		got, err := w.restored(t, w.request(release.RestoreConfirm, func(r *restore.Request) { r.Claims = pair }))
		if fatal(t, err); !got.Claims[0].Removed || !got.Claims[1].Removed {
			t.Errorf("confirmed: %+v", got.Claims)
		}
	})
}

// killedPair tells whether the killer came to kill.
func (w *world) killedPair(t *testing.T, k *killer, finish bool) bool {
	t.Helper()
	cuts := w.beginPair(t)
	both := func(r *restore.Request) { r.Snapshots = cuts }
	disarm := w.fake.arm(k)
	_, err := w.restored(t, w.request(release.RestoreInPlace, both))
	disarm()
	if !k.dead {
		fatal(t, err)
		return false
	}
	if finish {
		if _, err = w.restored(t, w.request(release.RestoreInPlace, both)); err != nil {
			t.Fatalf("again: %v, hints %q", err, fault.Hints(err))
		}
		if now := w.readPair(t); now != "good" {
			t.Errorf("they hold %q", now)
		}
	}
	untouched := k.at == 1 && !k.after && !finish
	if _, err = w.restored(t, w.request(release.RestoreUndo)); (err != nil) != untouched {
		t.Fatalf("undo: %v, hints %q", err, fault.Hints(err))
	}
	if now := w.readPair(t); now != "bad" {
		t.Errorf("put back they hold %q", now)
	}
	list, err := w.Core.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{LabelSelector: release.LabelKept})
	fatal(t, err)
	for i := range list.Items {
		if list.Items[i].Status.Phase == corev1.VolumeBound {
			t.Errorf("volume %s is in use and marked as kept", list.Items[i].Name)
		}
	}
	return true
}

// Of two restores of one workload's claims at once the second says so, and neither stops the other
// half-way.
func TestTwoRestoresOfOneWorkload(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		cuts := w.beginPair(t)
		one := func(i int, name string) restore.Request {
			return w.request(release.RestoreInPlace, func(r *restore.Request) { r.Snapshots, r.Name = cuts[i:i+1], name })
		}
		w.before(t, "scale Deployment web from 1 to 0", func() {
			disarm := w.fake.arm(&killer{at: 2, after: true}) // the other one is at its height
			defer disarm()
			log := w.Log
			defer func() { w.Log = log }()
			w.Log = slog.New(slog.DiscardHandler) // it would set this off again
			_, _ = w.restored(t, one(1, "restore-2"))
		}, func() {
			_, err := w.restored(t, one(0, "restore-1"))
			if fault.StatusOf(err) != fault.Usage {
				t.Fatalf("beside another one: %v, want usage", err)
			}
			mentions(t, "error", err.Error(), "Deployment web was scaled down by restore restore-2, which is not finished")
		})
		for i, name := range []string{"restore-1", "restore-2"} {
			_, err := w.restored(t, one(1-i, name))
			fatal(t, err)
		}
		if now := w.readPair(t); now != "good" {
			t.Errorf("they hold %q", now)
		}
	})
}
