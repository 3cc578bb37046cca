// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"fmt"
	"slices"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// lost is what becomes of the volume of a claim that was deleted.
func (f *fakeWorld) lost(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	for _, pod := range f.pods(t) {
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name {
				f.wrong = append(f.wrong, fmt.Sprintf("claim %s was deleted while pod %s used it", claim.Name, pod.Name))
			}
		}
	}
	for _, volume := range f.volumes(t) {
		if ref := volume.Spec.ClaimRef; ref != nil && ref.UID == claim.UID {
			volume.Status.Phase = corev1.VolumeReleased
			fatal(t, f.core.Update(volumesKind, &volume, ""))
		}
	}
}

// reconcile brings volumes, claims and pods to where their controllers would.
func (f *fakeWorld) reconcile(t *testing.T) {
	t.Helper()
	for _, volume := range f.volumes(t) {
		if volume.Status.Phase == corev1.VolumeReleased && volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			delete(f.data, volume.Name)
			fatal(t, f.core.Delete(volumesKind, "", volume.Name))
		}
	}
	for _, set := range all[appsv1.StatefulSet](t, f.core, setsKind, appsv1.SchemeGroupVersion.WithKind("StatefulSet"), f.Namespace) {
		f.scale(t, &set)
	}
	for _, d := range all[appsv1.Deployment](t, f.core, deploymentsKind, appsv1.SchemeGroupVersion.WithKind("Deployment"), f.Namespace) {
		f.deploy(t, &d)
	}
	for _, claim := range f.claims(t) {
		if claim.Status.Phase != corev1.ClaimBound {
			f.bind(t, &claim)
		}
	}
}

func (f *fakeWorld) bind(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	reference := &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID}
	if claim.Spec.VolumeName == "" {
		if claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == "later" && !f.wanted(t, claim.Name) {
			return
		}
		f.made++
		volume := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pvc-%s-%d", claim.Name, f.made)},
			Spec: corev1.PersistentVolumeSpec{
				ClaimRef: reference, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete, Capacity: claim.Spec.Resources.Requests,
				PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver}},
			},
			Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
		}
		if from := claim.Spec.DataSource; from != nil {
			there, err := f.snapshots.Get(snapshotsKind, claim.Namespace, from.Name)
			if err != nil {
				return
			}
			vs, _ := there.(*snapshotv1.VolumeSnapshot)
			f.data[volume.Name] = f.cuts[string(vs.UID)]
		}
		fatal(t, f.core.Create(volumesKind, volume, ""))
		claim.Spec.VolumeName = volume.Name
	} else {
		there, err := f.core.Get(volumesKind, "", claim.Spec.VolumeName)
		volume, _ := there.(*corev1.PersistentVolume)
		if err != nil || volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.Name != claim.Name || volume.Spec.ClaimRef.UID != "" {
			return
		}
		volume.Spec.ClaimRef, volume.Status.Phase = reference, corev1.VolumeBound
		fatal(t, f.core.Update(volumesKind, volume, ""))
	}
	claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.Resources.Requests
	fatal(t, f.core.Update(claimsKind, claim, claim.Namespace))
}

// wanted tells whether a pod mounts the claim.
func (f *fakeWorld) wanted(t *testing.T, claim string) bool {
	t.Helper()
	for _, pod := range f.pods(t) {
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
				return true
			}
		}
	}
	return false
}

// scale makes and deletes the pods of a StatefulSet, and missing claims of its template.
func (f *fakeWorld) scale(t *testing.T, set *appsv1.StatefulSet) {
	t.Helper()
	name, want := set.Name+"-0", *set.Spec.Replicas
	_, err := f.core.Get(podsKind, f.Namespace, name)
	there := err == nil
	claim := set.Spec.VolumeClaimTemplates[0].Name + "-" + name
	bound := false
	for _, c := range f.claims(t) {
		bound = bound || c.Name == claim && c.Status.Phase == corev1.ClaimBound
	}
	switch {
	case want > 0 && !there:
		yes := true
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name, UID: types.UID("pod-" + name), OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.Name, UID: set.UID, Controller: &yes},
			}},
			Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
			}}}},
		}
		fatal(t, f.core.Create(podsKind, pod, f.Namespace))
	case want == 0 && there:
		fatal(t, f.core.Delete(podsKind, f.Namespace, name))
	}
	ready := int32(0)
	if want > 0 && bound {
		ready = 1
	}
	if set.Status.ReadyReplicas != ready {
		set.Status.ReadyReplicas = ready
		fatal(t, f.core.Update(setsKind, set, f.Namespace))
	}
}

// deploy makes and deletes the pod of a Deployment.
func (f *fakeWorld) deploy(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	name := d.Name + "-pod"
	_, err := f.core.Get(podsKind, f.Namespace, name)
	there, ready := err == nil, int32(0)
	switch want := *d.Spec.Replicas; {
	case want > 0 && !there:
		yes := true
		fatal(t, f.core.Create(podsKind, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name, Labels: d.Spec.Template.Labels, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID, Controller: &yes},
			}},
			Spec: d.Spec.Template.Spec,
		}, f.Namespace))
	case want == 0 && there:
		fatal(t, f.core.Delete(podsKind, f.Namespace, name))
	}
	if *d.Spec.Replicas > 0 && !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
		return !slices.ContainsFunc(f.claims(t), func(c corev1.PersistentVolumeClaim) bool {
			return c.Name == v.PersistentVolumeClaim.ClaimName && c.Status.Phase == corev1.ClaimBound
		})
	}) {
		ready = 1
	}
	if d.Status.ReadyReplicas != ready {
		d.Status.ReadyReplicas = ready
		fatal(t, f.core.Update(deploymentsKind, d, f.Namespace))
	}
}
