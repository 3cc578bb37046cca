// SPDX-License-Identifier: Apache-2.0

package release

// Pruned tells which copies of a run were given up, and by which plan. It is written before
// they are, so that a copy that is missing without one is a copy that was lost.
type Pruned struct {
	// Repository is where the backups lay, without secrets; "" where only snapshots went.
	Repository string `json:"repository,omitempty"`
	// Plan is the digest of the plan that was carried out.
	Plan string `json:"plan"`
	// Backups are their ids; Snapshots are names of VolumeSnapshots, as namespace/name.
	Backups   []string `json:"backups,omitempty"`
	Snapshots []string `json:"snapshots,omitempty"`
	// Gone are names of VolumeSnapshots, as namespace/name, that were recorded and are not there any
	// more, though no prune had given them up.
	Gone []string `json:"gone,omitempty"`
}
