// SPDX-License-Identifier: Apache-2.0

package retire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/fakecluster"
)

var (
	snapshotsKind = snapshotv1.SchemeGroupVersion.WithResource("volumesnapshots")
	contentsKind  = snapshotv1.SchemeGroupVersion.WithResource("volumesnapshotcontents")
)

// fakeStorage plays snapshot-controller and the API server's preconditions, which the fake
// clients do not know.
type fakeStorage struct {
	*fakecluster.Cluster

	mu   sync.Mutex
	made int
	// left is how many requests are answered still; below zero all are. A program that was killed
	// sends none.
	left int
}

var errKilled = errors.New("killed")

func inFake(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		test(t, &stage{Cluster: f.Cluster.Cluster, fake: f})
	})
}

func newFake(t *testing.T) *fakeStorage {
	t.Helper()
	f := &fakeStorage{left: -1, Cluster: fakecluster.New(t, namespace,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem, UID: thisCluster}})}
	tracker := f.SnapshotFake.Tracker()
	apply := clienttesting.ObjectReaction(tracker)
	f.SnapshotFake.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return f.patch(tracker, apply, action)
	})
	f.SnapshotFake.PrependReactor("delete", "volumesnapshots", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, f.delete(tracker, action)
	})
	for _, fake := range []*clienttesting.Fake{&f.SnapshotFake.Fake, &f.CoreFake.Fake} {
		fake.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.left == 0 {
				return true, nil, errKilled
			}
			f.left--
			return false, nil, nil
		})
	}
	return f
}

func conflict(name string) error {
	return apierrors.NewConflict(snapshotsKind.GroupResource(), name, errors.New("the precondition is not met"))
}

func (f *fakeStorage) patch(tracker clienttesting.ObjectTracker, apply clienttesting.ReactionFunc, action clienttesting.Action) (bool, runtime.Object, error) {
	patch, _ := action.(clienttesting.PatchAction)
	var body struct {
		Metadata struct{ UID, ResourceVersion string } `json:"metadata"`
	}
	if err := json.Unmarshal(patch.GetPatch(), &body); err != nil {
		return true, nil, err
	}
	kind, space := action.GetResource(), action.GetNamespace()
	object, err := tracker.Get(kind, space, patch.GetName())
	if err != nil {
		return true, nil, err
	}
	meta, _ := object.(metav1.Object)
	if body.Metadata.ResourceVersion != "" && body.Metadata.ResourceVersion != meta.GetResourceVersion() ||
		body.Metadata.UID != "" && body.Metadata.UID != string(meta.GetUID()) {
		return true, nil, conflict(patch.GetName())
	}
	if _, object, err = apply(action); err != nil {
		return true, nil, err
	}
	meta, _ = object.(metav1.Object)
	meta.SetResourceVersion(f.version())
	return true, object, tracker.Update(kind, object, space)
}

func (f *fakeStorage) version() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	return strconv.Itoa(f.made)
}

func (*fakeStorage) delete(tracker clienttesting.ObjectTracker, action clienttesting.Action) error {
	request, _ := action.(clienttesting.DeleteActionImpl)
	object, err := tracker.Get(snapshotsKind, request.GetNamespace(), request.GetName())
	if err != nil {
		return err
	}
	s, _ := object.(*snapshotv1.VolumeSnapshot)
	want := request.DeleteOptions.Preconditions
	if want == nil || *want.UID != s.UID || *want.ResourceVersion != s.ResourceVersion {
		return conflict(s.Name)
	}
	if err := tracker.Delete(snapshotsKind, s.Namespace, s.Name); err != nil {
		return err
	}
	object, err = tracker.Get(contentsKind, "", *s.Status.BoundVolumeSnapshotContentName)
	if c, ok := object.(*snapshotv1.VolumeSnapshotContent); ok && c.Spec.DeletionPolicy == snapshotv1.VolumeSnapshotContentDelete {
		return tracker.Delete(contentsKind, "", c.Name)
	}
	return err
}

// cut makes a snapshot as package snapshot does.
func (f *fakeStorage) cut(t *testing.T, about release.Subject, claim string, retain bool) release.Snapshot {
	t.Helper()
	name, ready := fmt.Sprintf("%s-%s", claim, about.Run), true
	content := "snapcontent-" + name
	s := ours(name, about)
	s.ResourceVersion, s.CreationTimestamp = f.version(), metav1.NewTime(time.Now())
	s.Status = &snapshotv1.VolumeSnapshotStatus{ReadyToUse: &ready, BoundVolumeSnapshotContentName: &content}
	c := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: content, UID: types.UID("uid-" + content)}, Spec: snapshotv1.VolumeSnapshotContentSpec{
		DeletionPolicy:    snapshotv1.VolumeSnapshotContentDelete,
		VolumeSnapshotRef: corev1.ObjectReference{Namespace: namespace, Name: name, UID: s.UID},
	}}
	if retain {
		c.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
	}
	fatal(t, f.SnapshotFake.Tracker().Add(s))
	fatal(t, f.SnapshotFake.Tracker().Add(c))
	return release.Snapshot{Namespace: namespace, Claim: claim, Name: name, UID: string(s.UID), Content: content, Ready: true, Cut: time.Now(), RetainedByClass: retain}
}

// allow lets so many requests through, and no more; below zero all.
func (f *fakeStorage) allow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

// spent tells whether a request was refused, or would be the next.
func (f *fakeStorage) spent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left == 0
}
