// SPDX-License-Identifier: Apache-2.0

// Package protect brings what the snapshots of a run hold out of the cluster's storage: for each
// snapshot a temporary claim is made of it, and a Job of knowngood's own image saves that claim
// into the repository. A backup goes the other way into a claim that is made for it. The key of
// the repository and the credentials of its bucket are read by the Job, from Secrets of its
// namespace or by its service account; whoever began it never holds them.
//
// What can be known beforehand is refused before anything is touched: Fits is asked of each
// snapshot while it is only planned.
package protect
