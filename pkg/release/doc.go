// SPDX-License-Identifier: Apache-2.0

// Package release holds the nouns of knowngood; every other package speaks in them.
//
// Words, the same everywhere (code, flags, YAML, prose):
//
//   - commit: the git commit that is, or is to be, deployed.
//   - claim: a PersistentVolumeClaim.
//   - finding: one SARIF result, made uniform. Scan: one SARIF run with its findings.
//   - decision: pass, warn or fail, taken by a policy over scans.
//   - risk: none, low, medium, high or critical; later steps protect by it.
//   - snapshot: a VolumeSnapshot of one claim. Backup: a copy in a repository.
//   - rotation: the replacement of one certificate, with its proofs.
//   - run: one attempt of a pipeline at an application in an environment.
//     Release: a run that deploys.
//   - entry: the immutable object that one step of a run leaves.
//     Record: all entries of a run. Catalog: all records.
//   - environment: where an application runs; production and staging never mix.
//
// The package does no work: it parses and prints its own values and nothing else.
package release
