// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	snapclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/typed/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

const volumeSnapshots = "snapshot.storage.k8s.io/volumesnapshots"

// controllerPatience is how long a VolumeSnapshot may go without a content before we ask
// aloud whether anybody makes contents.
const controllerPatience = 30 * time.Second

// askPause is the pause before a content is asked for again that could not be read.
const askPause = 2 * time.Second

func (t *taking) snapshots() snapclient.VolumeSnapshotInterface {
	return t.cluster.Snapshots.SnapshotV1().VolumeSnapshots(t.cluster.Namespace)
}

// watcher follows one VolumeSnapshot until it is good.
type watcher struct {
	taking *taking
	target *target
	began  time.Time
	seen   bool // the object was there
	// trouble is the storage's last error and since when it is the same.
	trouble      string
	troubleSince time.Time
}

// await waits until the snapshot of a target is ready and bound both ways.
func (t *taking) await(ctx context.Context, target *target) error {
	w := &watcher{taking: t, target: target, began: t.cluster.Now()}
	spec := kube.WaitSpec{
		What:     fmt.Sprintf("VolumeSnapshot %s to be ready", target.record.Name),
		Timeout:  t.request.Timeout,
		Resource: volumeSnapshots, Namespace: t.cluster.Namespace, Name: target.record.Name,
	}
	err := kube.Wait(ctx, t.cluster, spec, t.snapshots(), kube.Named(func(now *snapshotv1.VolumeSnapshot) (kube.Progress, error) {
		return w.check(ctx, now)
	}))
	if errors.Is(err, kube.ErrTimeout) {
		return w.explain(ctx, err)
	}
	return err
}

// check judges the VolumeSnapshot as it is.
func (w *watcher) check(ctx context.Context, now *snapshotv1.VolumeSnapshot) (kube.Progress, error) {
	switch {
	case now == nil && w.seen:
		return kube.Progress{}, fmt.Errorf("VolumeSnapshot %s was deleted while it was awaited", w.target.record.Name)
	case now == nil:
		return kube.Progress{State: "not to be seen yet"}, nil
	case now.DeletionTimestamp != nil:
		return kube.Progress{}, fault.Hint(fmt.Errorf("VolumeSnapshot %s is being deleted", now.Name),
			"wait until it is gone, then repeat the step; its finalizers are the snapshot-controller's: %s", strings.Join(now.Finalizers, ", "))
	}
	w.seen = true
	w.target.record.UID = string(now.UID)
	status := now.Status
	if status == nil {
		status = &snapshotv1.VolumeSnapshotStatus{}
	}
	if status.BoundVolumeSnapshotContentName != nil {
		w.target.record.Content = *status.BoundVolumeSnapshotContentName
	}
	if status.CreationTime != nil {
		w.target.record.Cut = status.CreationTime.UTC()
		w.target.sawCut(w.taking.cluster.Now())
	}
	if status.ReadyToUse != nil && *status.ReadyToUse {
		return w.bound(ctx, now)
	}
	if status.Error != nil {
		return w.judge(status.Error)
	}
	w.trouble = ""
	return w.underWay(status), nil
}

// underWay says what a healthy snapshot still lacks.
func (w *watcher) underWay(status *snapshotv1.VolumeSnapshotStatus) kube.Progress {
	waited := w.taking.cluster.Now().Sub(w.began)
	switch {
	case w.target.record.Content == "" && waited >= controllerPatience:
		return kube.Progress{State: fmt.Sprintf("no boundVolumeSnapshotContentName after %d s: is snapshot-controller running?", int(waited.Seconds()))}
	case w.target.record.Content == "":
		return kube.Progress{State: "snapshot-controller has not made a content yet", Recheck: controllerPatience - waited}
	case status.CreationTime == nil:
		return kube.Progress{State: fmt.Sprintf("driver %s is taking it", w.target.record.Driver)}
	}
	return kube.Progress{State: fmt.Sprintf("cut; driver %s is making it usable", w.target.record.Driver)}
}

// bound confirms that the content refers back to this very VolumeSnapshot and is ready too,
// and keeps what it alone knows.
func (w *watcher) bound(ctx context.Context, now *snapshotv1.VolumeSnapshot) (kube.Progress, error) {
	record := &w.target.record
	if record.Content == "" {
		return kube.Progress{State: "ready, and names no content yet"}, nil
	}
	asking, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	content, err := w.taking.cluster.Snapshots.SnapshotV1().VolumeSnapshotContents().Get(asking, record.Content, metav1.GetOptions{})
	if err != nil {
		call := kube.Call{Verb: "get", Resource: "snapshot.storage.k8s.io/volumesnapshotcontents", Name: record.Content}
		explained := w.taking.cluster.Explain(asking, call, err)
		if errors.Is(explained, kube.ErrForbidden) || apierrors.IsNotFound(err) || ctx.Err() != nil {
			return kube.Progress{}, explained
		}
		return kube.Progress{State: kube.OneLine(explained.Error()), Recheck: askPause}, nil
	}
	back := content.Spec.VolumeSnapshotRef
	if back.UID != now.UID || back.Name != now.Name || back.Namespace != now.Namespace {
		return kube.Progress{}, fmt.Errorf("VolumeSnapshot %s names content %s, which belongs to %s/%s (uid %s): it is not bound both ways",
			now.Name, content.Name, back.Namespace, back.Name, back.UID)
	}
	if content.Status == nil || content.Status.ReadyToUse == nil || !*content.Status.ReadyToUse {
		return kube.Progress{State: "its content " + content.Name + " is not ready yet", Recheck: askPause}, nil
	}
	if content.Status.CreationTime != nil {
		record.Cut = time.Unix(0, *content.Status.CreationTime).UTC()
		w.target.sawCut(w.taking.cluster.Now())
	}
	if now.Status.RestoreSize != nil {
		record.RestoreBytes = now.Status.RestoreSize.Value()
	}
	return kube.Progress{Done: true}, nil
}

// judge decides whether an error of the storage may heal. Controllers repeat a failed call
// with growing pauses and leave the same error standing, so how long it stands tells how
// often it was repeated.
func (w *watcher) judge(trouble *snapshotv1.VolumeSnapshotError) (kube.Progress, error) {
	message := "unknown error"
	if trouble.Message != nil {
		message = kube.OneLine(*trouble.Message)
	}
	now := w.taking.cluster.Now()
	if message != w.trouble {
		w.trouble, w.troubleSince = message, now
	}
	code, patience := classify(message)
	state := fmt.Sprintf("driver %s: %s", w.target.record.Driver, message)
	if patience == 0 {
		return kube.Progress{State: state}, nil
	}
	stood := now.Sub(w.troubleSince)
	if stood >= patience {
		return kube.Progress{}, fault.Hint(fmt.Errorf("%s (unchanged for %d s)", state, int(stood.Seconds())), "%s", cure(code))
	}
	return kube.Progress{State: state, Recheck: patience - stood}, nil
}

// explain adds to a deadline all that can be found out about its reason.
func (w *watcher) explain(ctx context.Context, err error) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	record := w.target.record
	facts := []string{"driver " + record.Driver, "class " + record.Class}
	if record.Content != "" {
		content, failed := w.taking.cluster.Snapshots.SnapshotV1().VolumeSnapshotContents().Get(asking, record.Content, metav1.GetOptions{})
		if failed == nil && content.Status != nil && content.Status.Error != nil && content.Status.Error.Message != nil {
			facts = append(facts, fmt.Sprintf("content %s: %s", record.Content, kube.OneLine(*content.Status.Error.Message)))
		}
	}
	facts = append(facts, w.events(asking)...)
	err = fmt.Errorf("%w (%s)", err, strings.Join(facts, "; "))
	if record.Content == "" {
		err = fault.Hint(err, "snapshot-controller makes the content of a VolumeSnapshot: is it running? it comes with external-snapshotter, usually in kube-system")
	}
	return err
}

// lastEvents is how many events an error tells.
const lastEvents = 3

// events returns the newest warnings about the VolumeSnapshot. Without permission, none.
func (w *watcher) events(ctx context.Context) []string {
	list, err := w.taking.cluster.Core.CoreV1().Events(w.taking.cluster.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": "VolumeSnapshot", "involvedObject.name": w.target.record.Name}.String(),
	})
	if err != nil {
		return []string{"its events could not be read"}
	}
	sort.Slice(list.Items, func(i, j int) bool { return list.Items[i].CreationTimestamp.Before(&list.Items[j].CreationTimestamp) })
	var told []string
	for i := range list.Items {
		event := &list.Items[i]
		if event.Type == corev1.EventTypeWarning && event.InvolvedObject.Name == w.target.record.Name {
			told = append(told, fmt.Sprintf("event %s: %s", event.Reason, kube.OneLine(event.Message)))
		}
	}
	return told[max(0, len(told)-lastEvents):]
}
