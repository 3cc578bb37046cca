// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

// foreign makes a claim on a driver that nobody runs, with classes of the test's own.
func foreign(t *testing.T, w *world, classes map[string]bool) (driverName string, err error) {
	t.Helper()
	driverName = "foreign" + w.suffix + ".example"
	w.volume(t, "data", corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: "h" + w.suffix}})
	w.mount(t, "web", "data")
	for name, isDefault := range classes {
		w.class(t, name, func(class *snapshotv1.VolumeSnapshotClass) {
			class.Driver = driverName
			if isDefault {
				class.Annotations = map[string]string{"snapshot.storage.kubernetes.io/is-default-class": "true"}
			}
		})
	}
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = "" }))
	if err == nil || fault.StatusOf(err) != fault.Usage || len(got.Snapshots) != 0 || len(w.there(t)) != 0 {
		t.Fatalf("error %v and %+v, want one of usage and nothing touched", err, got.Snapshots)
	}
	return driverName, err
}

func noClassOfTheDriver(t *testing.T, w *world) {
	driverName, err := foreign(t, w, map[string]bool{"one": false})
	mentions(t, "error", err.Error(), "claim "+w.Namespace+"/data: driver "+driverName+" has no default VolumeSnapshotClass")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "one"+w.suffix, "--snapshot-class")
}

func twoDefaultClasses(t *testing.T, w *world) {
	driverName, err := foreign(t, w, map[string]bool{"one": true, "two": true, "three": false})
	mentions(t, "error", err.Error(), "driver "+driverName+" has 2 default VolumeSnapshotClasses: one"+w.suffix+", two"+w.suffix)
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "--snapshot-class", "is-default-class")
}

func aNamedClass(t *testing.T, w *world) {
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data")
	retaining := w.class(t, "retain", func(class *snapshotv1.VolumeSnapshotClass) {
		class.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
	})
	other := w.class(t, "other", func(class *snapshotv1.VolumeSnapshotClass) { class.Driver = "other.example" })
	for class, want := range map[string]string{
		"absent": "there is no VolumeSnapshotClass absent",
		other:    "is of driver other.example, and the volume of driver " + driver,
	} {
		_, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class }))
		if err == nil || fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
			t.Fatalf("class %s: error %v, want one of usage with a hint", class, err)
		}
		mentions(t, "error", err.Error(), want)
	}
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = retaining }))
	fatal(t, err)
	if s := got.Snapshots[0]; s.Class != retaining || !s.RetainedByClass {
		t.Errorf("got %+v, want class %s, which retains", s, retaining)
	}
	if len(got.Notes) != 0 {
		t.Errorf("notes %q, want none about a class that retains", got.Notes)
	}
	w.forget(t, got.Snapshots[0])
}

func aVolumeWithoutDriver(t *testing.T, w *world) {
	w.volume(t, "old", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}})
	w.claim(t, "data", "loop")
	w.mount(t, "web", "data", "old")
	got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
	if err == nil || fault.StatusOf(err) != fault.Usage || len(w.there(t)) != 0 || len(got.Snapshots) != 0 {
		t.Fatalf("error %v and %+v, want one of usage and nothing touched", err, got.Snapshots)
	}
	mentions(t, "error", err.Error(), "claim "+w.Namespace+"/old", "is not of a CSI driver")
	mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "knowngood.dev/snapshot=skip")
}
