// SPDX-License-Identifier: Apache-2.0

// Package backup keeps encrypted, deduplicated copies of volumes in a repository: a bucket or a
// folder that anybody who has its key can restore from, with or without a cluster.
//
// The engine is kopia's repository: its packs, its encryption, its index. A backup is a
// snapshot that kopia's own program lists and restores too, as far as kopia goes: the saved
// folder under "data", and beside it the volume's manifest, "volume.jsonl". The manifest has
// one line for each entry and holds what kopia drops (extended attributes, ACLs, hard links,
// special files, holes); Restore puts things back by it, and Verify proves by it that they
// are back.
//
// A backup appears in one step when all of it is in the bucket. Whatever ends a Save before,
// leaves the repository as it was, and the next Save uses what was uploaded. The package
// knows no cluster: it saves folders, and raw block devices as the image that is the one file of
// their backup.
package backup
