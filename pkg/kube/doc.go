// SPDX-License-Identifier: Apache-2.0

// Package kube is the way to a Kubernetes cluster: connecting as kubectl does, errors that
// name the missing permission or API, waits that watch, commands in containers, streams to
// ports, valid names, and the workload that a pod belongs to. It knows nothing of snapshots
// or certificates.
//
// One idea holds the waits together: Wait lists once and then watches, so a change is seen
// when it happens; it has a deadline, says every few seconds what it waits for, and ends
// early when the caller's check says that no change can help.
package kube
