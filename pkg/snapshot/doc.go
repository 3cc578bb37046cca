// SPDX-License-Identifier: Apache-2.0

// Package snapshot takes one VolumeSnapshot of each claim that a release is about to touch,
// while the applications on them are quiesced, and says honestly what the snapshots are worth.
//
// # Order
//
// Everything that can be known beforehand is checked before anything is touched: which claims,
// their volumes' drivers and classes, what an earlier attempt of the same run left, which hooks
// the pods declare. Then the pods are quiesced, all VolumeSnapshots are created at once, each
// pod is thawed as soon as the storage has cut the snapshots of its claims (which is long before
// they are ready to use), and each snapshot is awaited under its own deadline until it is ready
// and bound both ways. Thawing happens on every path, also when the step was cancelled.
//
// # Consistency
//
// A snapshot of one volume is one instant of that volume. Without hooks that is what a power cut
// leaves: release.ConsistencyCrash. It is release.ConsistencyApplication when the hooks of every
// pod that mounts the claim held while it was cut, shown in two ways. By cause: the VolumeSnapshot
// was created after the hooks had quiesced, and they still held when the storage had told the time
// of the cut; a CSI driver tells it only after the cut. By the clocks: the time that the storage
// tells lies between quiesce and thaw. Clocks of storage and of this machine differ, so the
// difference to the API server's clock is measured and taken off, and clockTolerance is allowed
// for the storage's own. Where either way fails the snapshot is release.ConsistencyUnproven, and
// a note says why.
//
// # PostgreSQL
//
// An atomic snapshot of the one volume that holds data and WAL needs no help to be right: after
// it, PostgreSQL recovers as after a crash, and every transaction that was acknowledged is there.
// Blocking writers would add nothing but an outage, so the recipe does not. It holds backup mode,
// which buys three things: a checkpoint just before the cut, so that recovery is short; full page
// images in the WAL even on servers that turned them off, so that a page torn by the cut heals;
// and a backup_label, kept in an annotation of the VolumeSnapshot. A restored volume is started as
// it is. Only who has archived WAL as well, and wants to go on to a later point in time, puts the
// label into the data directory first. Backup mode ends with its session, so it cannot outlive us.
//
// What the recipe cannot vouch for it says instead: fsync turned off, or data that is spread over
// several volumes, whose snapshots are not of one instant.
//
// # Other hooks
//
// Velero's annotations for backup hooks are honoured, with its defaults. A pre hook that freezes
// (fsfreeze, FLUSH TABLES WITH READ LOCK, …) is refused: its thaw is a second command, and if
// this process is killed between the two nothing would ever run it.
package snapshot
