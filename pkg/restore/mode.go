// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// volumeMode is the mode of the volume that was cut. A record that names none means a file system,
// as a claim does.
func volumeMode(s release.Snapshot) corev1.PersistentVolumeMode {
	return corev1.PersistentVolumeMode(cmp.Or(s.VolumeMode, string(corev1.PersistentVolumeFilesystem)))
}

// modeKnown refuses a record of which nobody can tell what a claim made from it would be.
func modeKnown(s release.Snapshot) error {
	switch volumeMode(s) {
	case corev1.PersistentVolumeFilesystem, corev1.PersistentVolumeBlock:
		return nil
	}
	return fault.Hint(fault.Usagef("claim %s was recorded with volume mode %.40q, which is not known", s.Claim, s.VolumeMode), "choose another run with --run")
}

// sameMode refuses a claim that is of another mode than the volume that was cut: storage converts
// none into the other, and would tell so only when the old volume is out of use.
func sameMode(claim *corev1.PersistentVolumeClaim, s release.Snapshot) error {
	now := corev1.PersistentVolumeFilesystem
	if claim.Spec.VolumeMode != nil {
		now = *claim.Spec.VolumeMode
	}
	if now == volumeMode(s) {
		return nil
	}
	return fault.Hint(fault.Usagef("claim %s has volume mode %s, and its snapshot is of one with %s", claim.Name, now, volumeMode(s)),
		"restore to a new claim: leave --in-place out")
}

// ofMode refuses a backup that is of another kind than the volume that was cut.
func ofMode(b *release.Backup, s release.Snapshot) error {
	if b.Device == (volumeMode(s) == corev1.PersistentVolumeBlock) {
		return nil
	}
	return fault.Hint(fault.Usagef("backup %s is of another kind of volume than claim %s, whose mode is %s", b.ID, s.Claim, volumeMode(s)),
		"restore it to a folder with knowngood backup restore, or choose another run with --run")
}

// roomy returns the claim with room for so many bytes.
func roomy(claim *corev1.PersistentVolumeClaim, bytes int64) *corev1.PersistentVolumeClaim {
	if least := resource.NewQuantity(bytes, resource.BinarySI); least.Cmp(*claim.Spec.Resources.Requests.Storage()) > 0 {
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *least}
	}
	return claim
}
