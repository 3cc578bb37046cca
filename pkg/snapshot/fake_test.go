// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knowngood/knowngood/test/fakecluster"
)

// fakeWorld plays snapshot-controller, csi-snapshotter and the driver of test/cluster.
type fakeWorld struct {
	*fakecluster.Cluster
	// absent is true when there is no snapshot-controller.
	absent bool
	// heals is how many calls of the driver fail before one succeeds; 0: as the class says.
	heals int
	// strange changes a content before it is stored.
	strange func(*snapshotv1.VolumeSnapshotContent)
	// clock is how far the storage's clock is ahead; mute, it tells no time.
	clock time.Duration
	mute  bool
}

// inFake runs a test in a fake cluster, in which time passes only when all are waiting.
func inFake(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		deleting := snapshotv1.VolumeSnapshotContentDelete
		loop := metav1.ObjectMeta{Name: "loop"}
		f := &fakeWorld{Cluster: fakecluster.New(t, "shop",
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
			&storagev1.StorageClass{ObjectMeta: loop, Provisioner: driver},
			&snapshotv1.VolumeSnapshotClass{ObjectMeta: loop, Driver: driver, DeletionPolicy: deleting})}
		f.Streams = &fakecluster.Streams{}
		go f.control(t)
		synctest.Wait()
		test(t, &world{Cluster: f.Cluster.Cluster, suffix: "-own", bind: f.bind, fake: f})
	})
}

// bind gives a claim its volume, unless its class or the test says that nobody does.
func (f *fakeWorld) bind(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	if claim.Spec.VolumeName == "" {
		class, err := f.Core.StorageV1().StorageClasses().Get(t.Context(), *claim.Spec.StorageClassName, metav1.GetOptions{})
		if err != nil {
			return // it stays Pending
		}
		volume := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + claim.Name},
			Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: class.Provisioner, VolumeAttributes: class.Parameters,
			}}},
		}
		_, err = f.Core.CoreV1().PersistentVolumes().Create(t.Context(), volume, metav1.CreateOptions{})
		fatal(t, err)
		claim.Spec.VolumeName = volume.Name
	}
	filesystem := corev1.PersistentVolumeFilesystem
	claim.Spec.VolumeMode = &filesystem
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.Capacity = claim.Spec.Resources.Requests
	_, err := f.Core.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(t.Context(), claim, metav1.UpdateOptions{})
	fatal(t, err)
}

// control reacts to each new VolumeSnapshot.
func (f *fakeWorld) control(t *testing.T) {
	ctx := t.Context()
	watcher, err := f.Snapshots.SnapshotV1().VolumeSnapshots("").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	defer watcher.Stop()
	for {
		select {
		case event := <-watcher.ResultChan():
			if made, ok := event.Object.(*snapshotv1.VolumeSnapshot); ok && event.Type == watch.Added && !f.absent {
				go func() {
					if err := f.snapshot(ctx, made.Name); err != nil && ctx.Err() == nil {
						t.Logf("fake controller: %v", err)
					}
				}()
			}
		case <-ctx.Done():
			return
		}
	}
}

// snapshot takes one VolumeSnapshot through its life.
func (f *fakeWorld) snapshot(ctx context.Context, name string) error {
	if err := pause(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	vs, err := f.Snapshots.SnapshotV1().VolumeSnapshots(f.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	faults, late, err := f.faults(ctx, vs)
	if err != nil {
		return err
	}
	bound := "snapcontent-" + string(vs.UID)
	content := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: bound},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			Driver: driver, VolumeSnapshotRef: corev1.ObjectReference{Namespace: vs.Namespace, Name: vs.Name, UID: vs.UID},
		},
		Status: &snapshotv1.VolumeSnapshotContentStatus{},
	}
	if f.strange != nil {
		f.strange(content)
	}
	if _, err = f.Snapshots.SnapshotV1().VolumeSnapshotContents().Create(ctx, content, metav1.CreateOptions{}); err != nil {
		return err
	}
	no, yes := false, true
	status := snapshotv1.VolumeSnapshotStatus{BoundVolumeSnapshotContentName: &bound, ReadyToUse: &no}
	if err := f.status(ctx, name, status); err != nil {
		return err
	}
	if err := f.call(ctx, name, status, faults); err != nil {
		return err
	}
	cut := time.Now().Add(f.clock)
	nanoseconds, seconds := cut.UnixNano(), metav1.NewTime(cut.Truncate(time.Second))
	size := resource.MustParse("64Mi")
	status.CreationTime, status.RestoreSize = &seconds, &size
	content.Status.CreationTime = &nanoseconds
	if f.mute {
		status.CreationTime, content.Status.CreationTime = nil, nil
	}
	if late > 0 {
		if err := f.status(ctx, name, status); err != nil {
			return err
		}
	}
	if pause(ctx, late) != nil {
		return ctx.Err()
	}
	status.ReadyToUse, content.Status.ReadyToUse = &yes, &yes
	if _, err = f.Snapshots.SnapshotV1().VolumeSnapshotContents().Update(ctx, content, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return f.status(ctx, name, status)
}

// never is longer than any test waits.
const never = 1000 * time.Hour

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// faults reads the parameters of the VolumeSnapshotClass, or those of the volume's class.
func (f *fakeWorld) faults(ctx context.Context, vs *snapshotv1.VolumeSnapshot) (map[string]string, time.Duration, error) {
	class, err := f.Snapshots.SnapshotV1().VolumeSnapshotClasses().Get(ctx, *vs.Spec.VolumeSnapshotClassName, metav1.GetOptions{})
	if err != nil {
		return nil, 0, err
	}
	volume, err := f.Core.CoreV1().PersistentVolumes().Get(ctx, "pvc-"+*vs.Spec.Source.PersistentVolumeClaimName, metav1.GetOptions{})
	if err != nil {
		return nil, 0, err
	}
	faults := map[string]string{}
	for _, key := range []string{"fail", "fail-code", "delay", "ready-after"} {
		if value := class.Parameters["knowngood.test/"+key] + volume.Spec.CSI.VolumeAttributes["knowngood.test/snapshot-"+key]; value != "" {
			faults[key] = value
		}
	}
	late := time.Duration(0)
	switch after := faults["ready-after"]; after {
	case "":
	case "never":
		late = never
	default:
		late, err = time.ParseDuration(after)
	}
	return faults, late, err
}

// call is the driver's CreateSnapshot, repeated with growing pauses while it fails.
func (f *fakeWorld) call(ctx context.Context, name string, status snapshotv1.VolumeSnapshotStatus, faults map[string]string) error {
	delay, _ := time.ParseDuration(faults["delay"])
	for try, wait := 1, time.Second; ; try, wait = try+1, 2*wait {
		if err := pause(ctx, delay); err != nil {
			return err
		}
		if faults["fail"] == "" || f.heals > 0 && try > f.heals {
			return nil
		}
		code := faults["fail-code"]
		if code == "" {
			code = "Internal"
		}
		message := fmt.Sprintf("Failed to check and update snapshot content: failed to take snapshot of the volume x: \"rpc error: code = %s desc = %s\"", code, faults["fail"])
		when := metav1.Now()
		status.Error = &snapshotv1.VolumeSnapshotError{Message: &message, Time: &when}
		if err := f.status(ctx, name, status); err != nil {
			return err
		}
		event := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: fmt.Sprintf("%s.%d", name, try)}, Type: corev1.EventTypeWarning,
			Reason: "SnapshotCreationFailed", Message: message, InvolvedObject: corev1.ObjectReference{Kind: "VolumeSnapshot", Name: name},
		}
		if _, err := f.Core.CoreV1().Events(f.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (f *fakeWorld) status(ctx context.Context, name string, status snapshotv1.VolumeSnapshotStatus) error {
	vs, err := f.Snapshots.SnapshotV1().VolumeSnapshots(f.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	vs.Status = status.DeepCopy()
	_, err = f.Snapshots.SnapshotV1().VolumeSnapshots(f.Namespace).UpdateStatus(ctx, vs, metav1.UpdateOptions{})
	return err
}
