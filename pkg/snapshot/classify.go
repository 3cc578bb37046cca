// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"regexp"
	"time"
)

// How long an error may stand unchanged before the wait is given up. csi-snapshotter repeats
// a failed call after 1, 2, 4, … s, so each covers several repeats.
const (
	permanentPatience = 10 * time.Second
	unknownPatience   = 60 * time.Second
)

// grpcCode finds the code in the text of a gRPC error, the only form in which CSI's errors
// reach the status of a VolumeSnapshot.
var grpcCode = regexp.MustCompile(`code = ([A-Za-z]+)`)

// classify tells the gRPC code within an error of the storage, and how long the same error
// may stand: zero means until the deadline, because it says itself that it passes.
func classify(message string) (code string, patience time.Duration) {
	found := grpcCode.FindStringSubmatch(message)
	if found == nil {
		return "", unknownPatience
	}
	switch found[1] {
	case "Unavailable", "DeadlineExceeded", "Aborted", "Canceled":
		return found[1], 0
	case "InvalidArgument", "NotFound", "PermissionDenied", "Unauthenticated",
		"ResourceExhausted", "FailedPrecondition", "Unimplemented", "OutOfRange", "AlreadyExists":
		return found[1], permanentPatience
	}
	return found[1], unknownPatience
}

// cure says what to do about an error that was given up on.
func cure(code string) string {
	switch code {
	case "ResourceExhausted":
		return "the storage has reached a limit: delete old snapshots, or raise the quota"
	case "PermissionDenied", "Unauthenticated":
		return "the CSI driver's own account may not snapshot: check its credentials"
	case "Unimplemented":
		return "this CSI driver cannot snapshot, or not this kind of volume"
	case "InvalidArgument":
		return "the storage refuses the request: check the parameters of the VolumeSnapshotClass"
	default:
		return "look at the VolumeSnapshot's events and at the logs of snapshot-controller and csi-snapshotter"
	}
}
