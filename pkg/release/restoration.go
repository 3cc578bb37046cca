// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// Label and annotations that a restore leaves on what it makes and keeps.
const (
	// LabelKept marks a volume that a restore keeps: its value is a digest of the claim whose
	// data it held.
	LabelKept = "knowngood.dev/kept"

	// AnnotationRestore is, on a claim and on a workload, the name of the restore that made it
	// or scaled it down; on a volume, all that the restore must know to go on or to go back.
	AnnotationRestore = "knowngood.dev/restore"
	// AnnotationReplicas is how many replicas a workload had before it was scaled down.
	AnnotationReplicas = "knowngood.dev/replicas"
	// AnnotationSource is the uid of the VolumeSnapshot, the id of the backup, or the name of the
	// volume, from which a claim was restored.
	AnnotationSource = "knowngood.dev/source"
	// AnnotationFilled is on a claim that a backup was brought into, once all of it is there and
	// was compared: the Verification, as JSON. Until then it is empty, and the claim holds nothing to
	// rely on.
	AnnotationFilled = "knowngood.dev/filled"
)

// RestoreWay is how a restore goes about it.
type RestoreWay string

// Ways to restore.
const (
	RestoreNew     RestoreWay = "new claim" // beside the one that is in use
	RestoreInPlace RestoreWay = "in place"  // the claim is made anew; what it held is kept
	RestoreUndo    RestoreWay = "undo"      // what a restore in place kept is put back
	RestoreConfirm RestoreWay = "confirm"   // what a restore in place kept is deleted
)

// A Restoration is what the restore step leaves: data that was put back into claims. What is
// known of the code that had written the source holds of the restored data too.
type Restoration struct {
	Way RestoreWay `json:"way"`
	// Source is the run whose snapshots or backups were restored; zero where the data is what an earlier
	// restore kept.
	Source Lineage `json:"source,omitzero"`
	// Plan is what there was to do, in its order.
	Plan      []string        `json:"plan,omitempty"`
	Claims    []RestoredClaim `json:"claims"`
	Workloads []HeldWorkload  `json:"workloads,omitempty"`
	// Notes say what a person should know, e.g. how to go back.
	Notes []string `json:"notes,omitempty"`
}

// A Lineage is the run that a copy of data belongs to.
type Lineage struct {
	Run    string `json:"run"`
	Commit Commit `json:"commit"`
	// Taken is when its copies were taken: before Commit was deployed.
	Taken time.Time `json:"taken,omitzero"`
	// Decision is the gate's about Commit in that run, "" when there is none.
	Decision Outcome `json:"decision,omitempty"`
	// DeployBegan is when Commit was first deployed by that run, zero when it never was; and
	// Deployed how that ended, "" when it did not end.
	DeployBegan time.Time `json:"deploy_began,omitzero"`
	Deployed    State     `json:"deployed,omitempty"`
	// Repository is where its backups lie, "" where the copies are snapshots.
	Repository string `json:"repository,omitempty"`
}

// A RestoredClaim is one claim and where its data comes from.
type RestoredClaim struct {
	Namespace string `json:"namespace"`
	// Claim holds the data now; Of is the claim whose data it was.
	Claim string `json:"claim"`
	Of    string `json:"of"`
	// Snapshot is the VolumeSnapshot from which it was made; Backup the backup's id.
	Snapshot    string      `json:"snapshot,omitempty"`
	SnapshotUID string      `json:"snapshot_uid,omitempty"`
	Backup      string      `json:"backup,omitempty"`
	Cut         time.Time   `json:"cut,omitzero"`
	Consistency Consistency `json:"consistency,omitempty"`
	Bytes       int64       `json:"bytes,omitempty"`
	// Verified is how what came out of a backup was compared with its manifest; nil of a snapshot.
	Verified *Verification `json:"verified,omitempty"`
	// Volume is the PersistentVolume that holds the data now, "" until there is one.
	Volume string `json:"volume,omitempty"`
	// Kept is the PersistentVolume with what the claim held before, "" where there is none.
	Kept string `json:"kept,omitempty"`
	// Removed is true when Kept was given up: its data is deleted.
	Removed bool   `json:"removed,omitempty"`
	Error   string `json:"error,omitempty"`
}

// A HeldWorkload is a workload that had no pods while its claims were made anew.
type HeldWorkload struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Replicas int    `json:"replicas"`
	// Ready is true once it had as many pods that are ready again.
	Ready bool `json:"ready"`
}

// Manifests are the objects that a restore of an application needs, kept beside its record as
// they were when its snapshots were taken. No content of a Secret is among them.
type Manifests struct {
	// Key says where they lie in the catalog, Digest is the SHA-256 of their bytes.
	Key    string `json:"key"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
	// Objects names what was kept, Secrets the Secrets that it refers to.
	Objects []string `json:"objects"`
	Secrets []string `json:"secrets,omitempty"`
	// Withheld names the values that look like secrets and were not kept; Missing the objects
	// that were not kept, and why.
	Withheld []string `json:"withheld,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}
