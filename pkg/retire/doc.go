// SPDX-License-Identifier: Apache-2.0

// Package retire gives up the VolumeSnapshots of an application that the rules of retention do
// not keep, and reconciles what the catalog says of a namespace with what the cluster has there.
//
// Judging and doing are apart. Judge makes a Plan of what is known and asks nobody; Look reads
// the cluster and judges; Retire does the same while it alone owns the namespace's Lease, and then
// carries out exactly that plan.
//
// # What may go
//
// A VolumeSnapshot is knowngood's when a record names it by its uid, and the record is of this
// cluster. Labels alone prove nothing: other tools copy them, and the volumes that a restore
// keeps bear them too. Of those that are ours the rules decide, for each claim apart; good is one
// that is ready and bound. Whatever the rules say, these stay: what is on hold; what a claim is
// being made from, or a restore reads; what a run took that has not ended; what is needed to go
// back behind a deploy that did not succeed; and what is the only copy of its claim in a release
// of which other copies stay, for a backup that nobody has proved is no copy yet.
//
// # Killed at any moment
//
// What goes is noted in the records first, so that a snapshot that is missing without a note was
// lost and not pruned. Each deletion asks for the very object that was judged, by its uid and its
// resourceVersion: a hold that came in between makes the API server refuse it. The next prune
// plans anew from what is there.
//
// # What the storage keeps
//
// Where the class has the policy Retain, deleting a VolumeSnapshot leaves its content and what the
// storage has of it. The plan says so. Only when told to are these deleted too, in the way that
// external-snapshotter asks for: the content's policy becomes Delete, then it is deleted.
package retire
