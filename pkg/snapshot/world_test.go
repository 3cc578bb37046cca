// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

// driver is the CSI driver of test/cluster. The fake plays it, with the same parameters for
// faults.
const driver = "loop.csi.knowngood.test"

const commit = release.Commit("0123456789abcdef0123456789abcdef01234567")

// A world is a cluster with a namespace of the test's own: the real one, or the fake one.
type world struct {
	*kube.Cluster
	// suffix makes names of things outside of the namespace the test's own.
	suffix string
	// bind waits until a claim has its volume; the fake gives it one.
	bind func(t *testing.T, claim *corev1.PersistentVolumeClaim)
	// fake is nil on the real cluster.
	fake *fakeWorld
}

// fatal ends the test on an error.
func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// claim makes a bound claim of a storage class.
func (w *world) claim(t *testing.T, name, storageClass string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	t.Helper()
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &storageClass,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")}},
		},
	}
	for _, c := range change {
		c(claim)
	}
	made, err := w.Core.CoreV1().PersistentVolumeClaims(w.Namespace).Create(t.Context(), claim, metav1.CreateOptions{})
	fatal(t, err)
	w.bind(t, made)
	return made
}

// volume makes a volume that no provisioner knows, and a claim bound to it.
func (w *world) volume(t *testing.T, name string, source corev1.PersistentVolumeSource) {
	t.Helper()
	capacity := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name + w.suffix},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: capacity, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: source, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: w.Namespace, Name: name},
		},
	}
	_, err := w.Core.CoreV1().PersistentVolumes().Create(t.Context(), volume, metav1.CreateOptions{})
	fatal(t, err)
	t.Cleanup(func() {
		_ = w.Core.CoreV1().PersistentVolumes().Delete(cleanup(t), volume.Name, metav1.DeleteOptions{})
	})
	w.claim(t, name, "", func(claim *corev1.PersistentVolumeClaim) { claim.Spec.VolumeName = volume.Name })
}

// mount makes a Deployment, scaled to zero, that mounts the claims.
func (w *world) mount(t *testing.T, name string, claims ...string) {
	t.Helper()
	none := int32(0)
	labels := map[string]string{"app": name}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "none.example/none:1"}}, Volumes: volumes(claims)},
			},
		},
	}
	_, err := w.Core.AppsV1().Deployments(w.Namespace).Create(t.Context(), deployment, metav1.CreateOptions{})
	fatal(t, err)
}

func volumes(claims []string) []corev1.Volume {
	var all []corev1.Volume
	for _, claim := range claims {
		all = append(all, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
	return all
}

// class makes a VolumeSnapshotClass of the test's own and returns its name.
func (w *world) class(t *testing.T, name string, change func(*snapshotv1.VolumeSnapshotClass)) string {
	t.Helper()
	class := &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{Name: name + w.suffix}, Driver: driver, DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete,
	}
	change(class)
	_, err := w.Snapshots.SnapshotV1().VolumeSnapshotClasses().Create(t.Context(), class, metav1.CreateOptions{})
	fatal(t, err)
	t.Cleanup(func() { w.retire(t, class) })
	return class.Name
}

// faulty makes a VolumeSnapshotClass whose snapshots misbehave.
func (w *world) faulty(t *testing.T, name string, faults map[string]string) string {
	t.Helper()
	return w.class(t, name, func(class *snapshotv1.VolumeSnapshotClass) { class.Parameters = faults })
}

// storage makes a StorageClass, on whose volumes snapshots may misbehave.
func (w *world) storage(t *testing.T, name string, faults map[string]string) string {
	t.Helper()
	policy := corev1.PersistentVolumeReclaimDelete
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: name + w.suffix}, Provisioner: driver, Parameters: faults, ReclaimPolicy: &policy,
	}
	_, err := w.Core.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{})
	fatal(t, err)
	t.Cleanup(func() {
		_ = w.Core.StorageV1().StorageClasses().Delete(cleanup(t), class.Name, metav1.DeleteOptions{})
	})
	return class.Name
}

// request is what most tests ask for.
func (w *world) request(change ...func(*snapshot.Request)) snapshot.Request {
	request := snapshot.Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit},
		Class:   "loop", Timeout: time.Minute,
	}
	for _, c := range change {
		c(&request)
	}
	return request
}

// there returns the VolumeSnapshots of the namespace by the claim they are of.
func (w *world) there(t *testing.T) map[string]snapshotv1.VolumeSnapshot {
	t.Helper()
	list, err := w.Snapshots.SnapshotV1().VolumeSnapshots(w.Namespace).List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	found := map[string]snapshotv1.VolumeSnapshot{}
	for _, s := range list.Items {
		if s.DeletionTimestamp == nil {
			found[*s.Spec.Source.PersistentVolumeClaimName] = s
		}
	}
	return found
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

// stateful makes a StatefulSet, scaled to zero, with one claim template.
func (w *world) stateful(t *testing.T, name, template string) {
	t.Helper()
	none := int32(0)
	labels := map[string]string{"app": name}
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, ServiceName: name,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "none.example/none:1"}}},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: template},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")}},
				},
			}},
		},
	}
	_, err := w.Core.AppsV1().StatefulSets(w.Namespace).Create(t.Context(), set, metav1.CreateOptions{})
	fatal(t, err)
}

// gone waits until a VolumeSnapshot is no more.
func (w *world) gone(t *testing.T, name string) {
	t.Helper()
	spec := kube.WaitSpec{What: name + " to be gone", Timeout: time.Minute, Resource: "volumesnapshots", Namespace: w.Namespace, Name: name}
	fatal(t, kube.Wait(t.Context(), w.Cluster, spec, w.Snapshots.SnapshotV1().VolumeSnapshots(w.Namespace),
		kube.Named(func(now *snapshotv1.VolumeSnapshot) (kube.Progress, error) {
			return kube.Progress{Done: now == nil, State: "there"}, nil
		})))
}

// forget deletes a content that its class retains.
func (w *world) forget(t *testing.T, s release.Snapshot) {
	t.Helper()
	if w.fake != nil {
		return
	}
	contents := w.Snapshots.SnapshotV1().VolumeSnapshotContents()
	patch := []byte(`{"spec":{"deletionPolicy":"Delete"}}`)
	_, err := contents.Patch(t.Context(), s.Content, types.MergePatchType, patch, metav1.PatchOptions{})
	fatal(t, err)
}

// retire deletes the VolumeSnapshots of the namespace, then a class of the test's own. A
// snapshot whose making has failed is deleted only after it was made, so the class is healed
// first; one that was deleted while it was made is deleted when csi-snapshotter looks through
// all contents again, which takes minutes. Then the class stays, for it is needed still.
func (w *world) retire(t *testing.T, class *snapshotv1.VolumeSnapshotClass) {
	t.Helper()
	if w.fake != nil {
		return
	}
	ctx := cleanup(t)
	classes, snapshots := w.Snapshots.SnapshotV1().VolumeSnapshotClasses(), w.Snapshots.SnapshotV1().VolumeSnapshots(w.Namespace)
	healed := class.DeepCopy()
	healed.Parameters, healed.ResourceVersion = nil, ""
	if err := classes.Delete(ctx, class.Name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := classes.Create(ctx, healed, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if err := snapshots.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	spec := kube.WaitSpec{What: "snapshots to be gone", Timeout: 20 * time.Second, Resource: "volumesnapshots", Namespace: w.Namespace}
	if err := kube.Wait(ctx, w.Cluster, spec, snapshots, func(left []*snapshotv1.VolumeSnapshot) (kube.Progress, error) {
		return kube.Progress{Done: len(left) == 0, State: "there"}, nil
	}); err != nil {
		t.Logf("class %s stays: %v", class.Name, err)
		return
	}
	if err := classes.Delete(ctx, class.Name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
