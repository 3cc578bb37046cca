// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/test/fakecluster"
)

var (
	claimsKind      = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	volumesKind     = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	podsKind        = corev1.SchemeGroupVersion.WithResource("pods")
	deploymentsKind = appsv1.SchemeGroupVersion.WithResource("deployments")
	setsKind        = appsv1.SchemeGroupVersion.WithResource("statefulsets")
	snapshotsKind   = snapshotv1.SchemeGroupVersion.WithResource("volumesnapshots")
)

// fakeWorld plays the controllers of volumes and workloads, and the storage, whose volumes hold
// one text each. It works on the tracker, past the reactors, so that what a test does to
// requests befalls the program alone.
type fakeWorld struct {
	*fakecluster.Cluster
	core, snapshots clienttesting.ObjectTracker

	mu   sync.Mutex
	wake chan struct{}
	// data is what each volume holds, cuts what each snapshot does, by uid.
	data, cuts map[string]string
	made       int
	// wrong is what must never happen.
	wrong []string
}

// inFake runs a test in a fake cluster, in which time passes only when all are waiting.
func inFake(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		later, deleting := storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete
		f := &fakeWorld{
			Cluster: fakecluster.New(t, "shop",
				&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "loop"}, Provisioner: driver, ReclaimPolicy: &deleting},
				&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "later"}, Provisioner: driver, VolumeBindingMode: &later}),
			data: map[string]string{}, cuts: map[string]string{},
		}
		f.wake = make(chan struct{}, 1)
		f.core, f.snapshots = f.CoreFake.Tracker(), f.SnapshotFake.Tracker()
		f.serialise(t)
		stop := make(chan struct{})
		defer close(stop)
		for _, kind := range []schema.GroupVersionResource{claimsKind, volumesKind, setsKind, deploymentsKind} {
			namespace := f.Namespace
			if kind == volumesKind {
				namespace = ""
			}
			watcher, err := f.core.Watch(kind, namespace)
			fatal(t, err)
			go f.see(watcher, stop)
		}
		go f.control(t, stop)
		test(t, &world{Cluster: f.Cluster.Cluster, later: "later", suffix: "-own", fake: f})
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, wrong := range f.wrong {
			t.Error(wrong)
		}
	})
}

// see wakes the controllers at each change.
func (f *fakeWorld) see(watcher watch.Interface, stop <-chan struct{}) {
	defer watcher.Stop()
	for {
		select {
		case <-watcher.ResultChan():
			select {
			case f.wake <- struct{}{}:
			default: // they are awake
			}
		case <-stop:
			return
		}
	}
}

// lag is how long the controllers take. Meanwhile the program has come to watch: what happens
// between its list and its watch, the fake does not tell.
const lag = 10 * time.Millisecond

func (f *fakeWorld) control(t *testing.T, stop <-chan struct{}) {
	t.Helper()
	for {
		select {
		case <-f.wake:
		case <-stop:
			return
		}
		select {
		case <-time.After(lag):
			f.mu.Lock()
			f.reconcile(t)
			f.mu.Unlock()
		case <-stop:
			return
		}
	}
}

func all[T any](t *testing.T, tracker clienttesting.ObjectTracker, kind schema.GroupVersionResource, of schema.GroupVersionKind, namespace string) []T {
	t.Helper()
	list, err := tracker.List(kind, of, namespace)
	fatal(t, err)
	var items []T
	switch list := any(list).(type) {
	case *corev1.PersistentVolumeClaimList:
		items, _ = any(list.Items).([]T)
	case *corev1.PersistentVolumeList:
		items, _ = any(list.Items).([]T)
	case *corev1.PodList:
		items, _ = any(list.Items).([]T)
	case *appsv1.DeploymentList:
		items, _ = any(list.Items).([]T)
	case *appsv1.StatefulSetList:
		items, _ = any(list.Items).([]T)
	}
	return items
}

func (f *fakeWorld) claims(t *testing.T) []corev1.PersistentVolumeClaim {
	t.Helper()
	return all[corev1.PersistentVolumeClaim](t, f.core, claimsKind, corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), f.Namespace)
}

func (f *fakeWorld) volumes(t *testing.T) []corev1.PersistentVolume {
	t.Helper()
	return all[corev1.PersistentVolume](t, f.core, volumesKind, corev1.SchemeGroupVersion.WithKind("PersistentVolume"), "")
}

func (f *fakeWorld) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	return all[corev1.Pod](t, f.core, podsKind, corev1.SchemeGroupVersion.WithKind("Pod"), f.Namespace)
}

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

// snapshot cuts what a claim's volume holds.
func (f *fakeWorld) snapshot(t *testing.T, claim, name string) {
	t.Helper()
	there, err := f.core.Get(claimsKind, f.Namespace, claim)
	fatal(t, err)
	of, _ := there.(*corev1.PersistentVolumeClaim)
	yes, size := true, resource.MustParse("64Mi")
	vs := &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name, UID: types.UID("vs-" + name)},
		Status:     &snapshotv1.VolumeSnapshotStatus{ReadyToUse: &yes, RestoreSize: &size},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts[string(vs.UID)] = f.data[of.Spec.VolumeName]
	fatal(t, f.snapshots.Create(snapshotsKind, vs, f.Namespace))
}

// serialise lets the program's changes and the controllers' come one after the other, for the
// tracker has no conflicts.
func (f *fakeWorld) serialise(t *testing.T) {
	t.Helper()
	chain := f.CoreFake.ReactionChain
	f.CoreFake.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if action, ok := action.(clienttesting.DeleteAction); ok && action.GetResource() == claimsKind {
			if there, err := f.core.Get(claimsKind, f.Namespace, action.GetName()); err == nil {
				defer f.lost(t, there.(*corev1.PersistentVolumeClaim)) //nolint:forcetypeassert // what it keeps
			}
		}
		for _, reactor := range chain {
			if !reactor.Handles(action) {
				continue
			}
			if handled, object, err := reactor.React(action); handled || err != nil {
				return handled, object, err
			}
		}
		return false, nil, nil
	})
}

// A killer ends the program at one of its changes: either it is not carried out, or its answer
// is not heard. Everything after that fails.
type killer struct {
	at    int
	after bool
	seen  int
	dead  bool
}

var errKilled = fmt.Errorf("killed: %w", context.Canceled)

// arm lets the killer see the program's changes until the function that is returned is called.
func (f *fakeWorld) arm(k *killer) (disarm func()) {
	chain := f.CoreFake.ReactionChain
	f.CoreFake.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		changes := action.GetVerb() == "create" || action.GetVerb() == "patch" || action.GetVerb() == "delete"
		if k.dead {
			return true, nil, errKilled
		}
		if !changes {
			return false, nil, nil
		}
		if k.seen++; k.seen != k.at {
			return false, nil, nil
		}
		k.dead = true
		if k.after {
			for _, reactor := range chain {
				if reactor.Handles(action) {
					if handled, _, err := reactor.React(action); handled || err != nil {
						break
					}
				}
			}
		}
		return true, nil, errKilled
	})
	return func() { f.CoreFake.ReactionChain = chain }
}

// hold returns what a volume holds, after it was changed where a text is given.
func (f *fakeWorld) hold(volume string, text ...string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range text {
		f.data[volume] = t
	}
	return f.data[volume]
}
