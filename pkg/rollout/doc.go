// SPDX-License-Identifier: Apache-2.0

// Package rollout knows who uses a Secret, and brings its users to read a new content of it:
// by a rolling restart, as kubectl does it, or by a command that makes the running server
// reload. It refuses nothing by itself: Hazards and Workload.Stuck tell what a restart would
// mean, and the caller decides before anything is touched.
//
// It speaks of Secrets by name and reads none.
package rollout
