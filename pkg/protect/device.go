// SPDX-License-Identifier: Apache-2.0

package protect

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
)

// device is where a raw block volume stands in a container.
const device = "/dev/knowngood"

// raw tells whether a snapshot is of a raw block volume.
func raw(s release.Snapshot) bool { return s.VolumeMode == string(corev1.PersistentVolumeBlock) }

// rawClaim tells the same of a claim.
func rawClaim(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock
}

// mount gives a claim to the programs of a Job: as a file system, or as a raw device.
func mount(claim string, isRaw bool) work.Mount {
	if isRaw {
		return work.Mount{Claim: claim, Path: device, Device: true}
	}
	return work.Mount{Claim: claim, Path: volume}
}

// handling is as whom a program handles a volume. What root needs for files it does not need for
// the node of a device, which is root's.
func handling(as work.Identity, isRaw bool) work.Identity {
	if isRaw && (as.User == nil || *as.User == 0) {
		return work.Opener()
	}
	return as
}

// rawHint adds the cure to an error of a Job that reads a raw device as somebody else than root.
func (q Request) rawHint(s release.Snapshot, err error) error {
	if err == nil || !raw(s) || q.As.User == nil || *q.As.User == 0 {
		return err
	}
	return fault.Hint(err, "where it may not open the device of a raw block volume: leave --backup-user out, which reads it as root without any capability, or have the container runtime give devices to a pod's user (device_ownership_from_security_context)")
}
