// SPDX-License-Identifier: Apache-2.0

package retire

import (
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
)

// A handle is what a driver calls a snapshot of the storage. Who brings one into another namespace,
// or brings back one that a class has kept, makes a second content with the same: to delete what the
// storage has of the first would take it from under the second.
type handle struct{ driver, id string }

// handleOf returns the handle of a content, a zero one where the storage has given none yet.
func handleOf(c *snapshotv1.VolumeSnapshotContent) handle {
	switch {
	case c.Status != nil && c.Status.SnapshotHandle != nil:
		return handle{c.Spec.Driver, *c.Status.SnapshotHandle}
	case c.Spec.Source.SnapshotHandle != nil:
		return handle{c.Spec.Driver, *c.Spec.Source.SnapshotHandle}
	}
	return handle{}
}

// twin returns the name of another content with the same handle, the first of several, "" where there
// is none.
func (j *judging) twin(c *snapshotv1.VolumeSnapshotContent) string {
	h, first := handleOf(c), ""
	for _, name := range j.handles[h] {
		if h.id != "" && name != c.Name && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// shared says why what the storage has of a snapshot must not go with it, "" where it may, or stays
// anyway.
func (j *judging) shared(s *snapshotv1.VolumeSnapshot) string {
	c := j.contentOf(s)
	if c == nil || c.Spec.DeletionPolicy == snapshotv1.VolumeSnapshotContentRetain && !j.Stored {
		return ""
	}
	if twin := j.twin(c); twin != "" {
		return "content " + twin + " has the same snapshot of the storage"
	}
	return ""
}
