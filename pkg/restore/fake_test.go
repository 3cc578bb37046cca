// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"context"
	"fmt"
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
