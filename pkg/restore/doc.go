// SPDX-License-Identifier: Apache-2.0

// Package restore puts the data of a run's snapshots, or of the backups that were saved of them,
// back into claims: into a new claim beside the one in use, or in place.
//
// One idea holds it together: a Plan is a list of acts, each with its sentence and its work. The
// sentences are what a person is shown before anything happens, the works are what then
// happens, in the same order. A plan is made from the cluster as it is, so the plan of a restore
// that was killed holds what is left of it, and every act finds out for itself whether it was
// done already.
//
// # From a backup
//
// A backup comes into a claim that is made for it, by what the caller gives to bring it. Only when
// all of it was compared is the claim marked as filled; until then nothing here hands it to a pod,
// and the same command goes on with it.
//
// # In place
//
// At every moment the data that the claim held can be reached. Before anything else its volume
// is told to stay when its claim goes (the policy Retain), and in the same request gets a
// journal: an annotation with all that is needed to finish the restore or to go back. Only then
// are the workloads scaled down, each in one request that also notes how many replicas it had.
// When no pod uses the claim it is deleted, and made anew from the snapshot under its name.
// Then the workloads get their replicas back. The volume stays, released and with its journal,
// until somebody confirms the restore, which deletes it, or undoes it, which binds it to its
// claim again.
//
// What could start pods in the middle of that is refused before anything is touched: workloads
// that cannot be scaled, and those that something else scales.
package restore
