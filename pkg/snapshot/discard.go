// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/kube"
)

// Limits of what happens after a failure, also after we were cancelled: of each request, and
// of waiting until a deleted VolumeSnapshot is gone.
const (
	cleanupTimeout = 30 * time.Second
	goneTimeout    = 10 * time.Second
)

// failed keeps the error in the record and deletes what this run made of the snapshot: a
// broken VolumeSnapshot keeps its claim from being deleted.
func (t *taking) failed(ctx context.Context, target *target, err error) error {
	err = fmt.Errorf("snapshot claim %s/%s: %w", target.claim.Namespace, target.claim.Name, err)
	target.record.Error = err.Error()
	if target.begun && !target.record.Ready {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		t.discard(cleaning, target)
	}
	return err
}

// discard deletes a VolumeSnapshot. Its finalizers are the snapshot-controller's: they are
// never taken away from here, so one that stays is explained instead.
func (t *taking) discard(ctx context.Context, target *target) {
	name := target.record.Name
	options := metav1.DeleteOptions{}
	if target.record.UID != "" {
		uid := types.UID(target.record.UID)
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := t.snapshots().Delete(ctx, name, options)
	switch {
	case apierrors.IsNotFound(err):
		return
	case err != nil:
		t.note("VolumeSnapshot %s did not become good and is still there: %s", name,
			kube.OneLine(t.cluster.Explain(ctx, t.call("delete", volumeSnapshots, name), err).Error()))
		return
	}
	var finalizers []string
	spec := kube.WaitSpec{
		What: fmt.Sprintf("VolumeSnapshot %s to be gone", name), Timeout: goneTimeout,
		Resource: volumeSnapshots, Namespace: t.cluster.Namespace, Name: name,
	}
	err = kube.Wait(ctx, t.cluster, spec, t.snapshots(), kube.Named(func(now *snapshotv1.VolumeSnapshot) (kube.Progress, error) {
		if now == nil || target.record.UID != "" && string(now.UID) != target.record.UID {
			return kube.Progress{Done: true}, nil
		}
		finalizers = now.Finalizers
		return kube.Progress{State: "its finalizers: " + strings.Join(finalizers, ", ")}, nil
	}))
	switch {
	case err != nil:
		t.note("VolumeSnapshot %s was deleted, for it did not become good, and stays until snapshot-controller takes its finalizers away (%s): the storage has to answer for that, and its class has to stay",
			name, strings.Join(finalizers, ", "))
	case target.record.Content != "" && target.record.RetainedByClass:
		t.note("VolumeSnapshot %s was deleted, for it did not become good; its class keeps the content %s and what the storage has of it",
			name, target.record.Content)
	default:
		t.note("VolumeSnapshot %s was deleted, for it did not become good", name)
	}
}
