// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// Label and annotation keys on everything that knowngood makes in a cluster.
const (
	LabelManagedBy   = "app.kubernetes.io/managed-by" // always ManagedBy
	LabelApp         = "app.kubernetes.io/part-of"
	LabelCommit      = "knowngood.dev/commit"      // Commit.Label()
	LabelEnvironment = "knowngood.dev/environment" // shortened to 63 bytes where needed
	LabelRun         = "knowngood.dev/run"         // shortened to 63 bytes where needed
	LabelClaim       = "knowngood.dev/claim"       // shortened to 63 bytes where needed

	AnnotationCommit      = "knowngood.dev/commit" // whole
	AnnotationRun         = "knowngood.dev/run"    // whole
	AnnotationApp         = "knowngood.dev/app"    // whole
	AnnotationEnvironment = "knowngood.dev/environment"
	AnnotationClaim       = "knowngood.dev/claim"
	AnnotationHead        = "knowngood.dev/head"        // the pull request's head, where it differs
	AnnotationRisk        = "knowngood.dev/risk"        // Risk of the gate's decision
	AnnotationConsistency = "knowngood.dev/consistency" // Consistency
	AnnotationHolds       = "knowngood.dev/holds"       // who keeps a VolumeSnapshot, and why

	ManagedBy = "knowngood"
)

// Consistency is what can honestly be said of a snapshot's content.
type Consistency string

// Consistencies, best first.
const (
	// ConsistencyApplication: hooks quiesced the application, and the snapshot was cut
	// while they held (quiesced ≤ cut ≤ thawed).
	ConsistencyApplication Consistency = "application"
	// ConsistencyCrash: nothing was quiesced; the volume is as after a power cut.
	ConsistencyCrash Consistency = "crash"
	// ConsistencyUnproven: hooks ran, and the times do not prove that they held.
	ConsistencyUnproven Consistency = "unproven"
)

// A Snapshot is one VolumeSnapshot of one claim.
type Snapshot struct {
	Namespace string `json:"namespace"`
	Claim     string `json:"claim"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	Content   string `json:"content,omitempty"`
	Class     string `json:"class,omitempty"`
	Driver    string `json:"driver,omitempty"`
	// Ready is true only when the VolumeSnapshot is ready to use and bound both ways.
	Ready bool `json:"ready"`
	// Reused is true when an earlier attempt of the same run had taken it.
	Reused      bool        `json:"reused,omitempty"`
	Consistency Consistency `json:"consistency"`
	// Cut is when the storage says it took the snapshot; zero when not known.
	Cut time.Time `json:"cut,omitzero"`
	// RestoreBytes is the smallest size of a claim restored from it.
	RestoreBytes int64 `json:"restore_bytes,omitempty"`

	// What a restore needs of the claim.
	StorageClass string   `json:"storage_class,omitempty"`
	VolumeMode   string   `json:"volume_mode,omitempty"`
	AccessModes  []string `json:"access_modes,omitempty"`
	ClaimBytes   int64    `json:"claim_bytes,omitempty"`

	// RetainedByClass is false when the class deletes the data with the VolumeSnapshot.
	RetainedByClass bool   `json:"retained_by_class"`
	Error           string `json:"error,omitempty"`
}

// A Hook is one hook that ran around the snapshots of a run.
type Hook struct {
	Pod       string `json:"pod"`
	Container string `json:"container"`
	// Source is where the hook was declared, e.g. "velero annotation" or "postgresql recipe".
	Source  string `json:"source"`
	Held    bool   `json:"held,omitempty"`
	Quiesce Event  `json:"quiesce"`
	Thaw    Event  `json:"thaw"`
}

// An Event is something that began, ended, and may have gone wrong.
type Event struct {
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	Error string    `json:"error,omitempty"`
}

// A Protection is what the snapshot step leaves.
type Protection struct {
	// Cluster is the uid of the namespace kube-system, by which clusters are told apart; "" where
	// the account could not read it.
	Cluster   string     `json:"cluster,omitempty"`
	Snapshots []Snapshot `json:"snapshots"`
	Hooks     []Hook     `json:"hooks,omitempty"`
	// FrozenSeconds is the longest that any pod was quiesced.
	FrozenSeconds float64 `json:"frozen_seconds"`
	// Skipped names what was passed over and why, e.g. a pod that does not run.
	Skipped []string `json:"skipped,omitempty"`
	// Notes say what a person should know of what was done, e.g. why a consistency is not
	// proved, or that a class deletes the data with the VolumeSnapshot.
	Notes []string `json:"notes,omitempty"`
	// Manifests are the objects beside the data; nil where they were not kept.
	Manifests *Manifests `json:"manifests,omitempty"`
}
