// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// defaultClass marks the VolumeSnapshotClass that serves when none is named.
const defaultClass = "snapshot.storage.kubernetes.io/is-default-class"

// survey finds the driver and the class of every claim. All claims that cannot be
// snapshotted are told together.
func (t *taking) survey(ctx context.Context, claims []*corev1.PersistentVolumeClaim) error {
	list, err := t.cluster.Snapshots.SnapshotV1().VolumeSnapshotClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		call := kube.Call{Verb: "list", Resource: "snapshot.storage.k8s.io/volumesnapshotclasses"}
		return t.cluster.Explain(ctx, call, err)
	}
	var errs []error
	for _, claim := range claims {
		driver, err := t.driver(ctx, claim)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		class, err := pickClass(list.Items, driver, t.request.Class)
		if err != nil {
			errs = append(errs, fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, err))
			continue
		}
		t.targets = append(t.targets, t.target(claim, class))
	}
	t.noteDeleting(list.Items)
	return errors.Join(errs...)
}

// driver returns the CSI driver of a claim's volume. Other volumes have no snapshots.
func (t *taking) driver(ctx context.Context, claim *corev1.PersistentVolumeClaim) (string, error) {
	volume, err := t.cluster.Core.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		call := kube.Call{Verb: "get", Resource: "persistentvolumes", Name: claim.Spec.VolumeName}
		return "", fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, t.cluster.Explain(ctx, call, err))
	}
	if volume.Spec.CSI == nil {
		return "", fault.Hint(fault.Usagef("claim %s/%s: volume %s is not of a CSI driver, so it has no snapshots",
			claim.Namespace, claim.Name, volume.Name),
			"move it to a CSI driver that can snapshot, or leave it out: kubectl --namespace %s annotate persistentvolumeclaim %s %s=skip",
			claim.Namespace, claim.Name, AnnotationSkip)
	}
	return volume.Spec.CSI.Driver, nil
}

// pickClass returns the named class, or the one default class of the driver.
func pickClass(classes []snapshotv1.VolumeSnapshotClass, driver, named string) (*snapshotv1.VolumeSnapshotClass, error) {
	var fitting, defaults []string
	var found *snapshotv1.VolumeSnapshotClass
	for i := range classes {
		class := &classes[i]
		if class.Name == named && class.Driver != driver {
			return nil, fault.Hint(fault.Usagef("VolumeSnapshotClass %s is of driver %s, and the volume of driver %s", named, class.Driver, driver),
				"leave --snapshot-class out when the claims have several drivers, and mark one class of each as its default")
		}
		if class.Driver != driver {
			continue
		}
		fitting = append(fitting, class.Name)
		if class.Name == named || named == "" && class.Annotations[defaultClass] == "true" {
			defaults, found = append(defaults, class.Name), class
		}
	}
	slices.Sort(fitting)
	slices.Sort(defaults)
	switch {
	case named != "" && found == nil:
		return nil, fault.Hint(fault.Usagef("there is no VolumeSnapshotClass %s", named), "%s", offer(driver, fitting))
	case len(defaults) > 1:
		return nil, fault.Hint(fault.Usagef("driver %s has %d default VolumeSnapshotClasses: %s", driver, len(defaults), strings.Join(defaults, ", ")),
			"name one with --snapshot-class, or take the annotation %s from all but one", defaultClass)
	case found == nil:
		return nil, fault.Hint(fault.Usagef("driver %s has no default VolumeSnapshotClass", driver), "%s", offer(driver, fitting))
	}
	return found, nil
}

// offer says what to do about a class that is missing for a driver.
func offer(driver string, fitting []string) string {
	if len(fitting) == 0 {
		return fmt.Sprintf("create a VolumeSnapshotClass for driver %s, with the annotation %s=true", driver, defaultClass)
	}
	return fmt.Sprintf("driver %s has: %s; name one with --snapshot-class, or annotate one with %s=true",
		driver, strings.Join(fitting, ", "), defaultClass)
}

// noteDeleting warns once for each class in use that deletes the data with its snapshot.
func (t *taking) noteDeleting(classes []snapshotv1.VolumeSnapshotClass) {
	for i := range classes {
		used := slices.ContainsFunc(t.targets, func(target *target) bool { return target.record.Class == classes[i].Name })
		if used && classes[i].DeletionPolicy != snapshotv1.VolumeSnapshotContentRetain {
			t.note("VolumeSnapshotClass %s deletes the data with the VolumeSnapshot or its namespace (deletionPolicy %s)",
				classes[i].Name, classes[i].DeletionPolicy)
		}
	}
}

// target gathers what a claim's snapshot will be, and what a restore will need.
func (t *taking) target(claim *corev1.PersistentVolumeClaim, class *snapshotv1.VolumeSnapshotClass) *target {
	record := release.Snapshot{
		Namespace: claim.Namespace, Claim: claim.Name, Class: class.Name, Driver: class.Driver,
		Consistency:     release.ConsistencyCrash,
		RetainedByClass: class.DeletionPolicy == snapshotv1.VolumeSnapshotContentRetain,
		ClaimBytes:      claim.Status.Capacity.Storage().Value(),
	}
	if claim.Spec.StorageClassName != nil {
		record.StorageClass = *claim.Spec.StorageClassName
	}
	if claim.Spec.VolumeMode != nil {
		record.VolumeMode = string(*claim.Spec.VolumeMode)
	}
	for _, mode := range claim.Spec.AccessModes {
		record.AccessModes = append(record.AccessModes, string(mode))
	}
	about := t.request.Subject
	record.Name = kube.Name(claim.Name, about.Commit.Short(), about.App, about.Environment, about.Run, string(claim.UID))
	return &target{claim: claim, record: record, cut: make(chan struct{})}
}
