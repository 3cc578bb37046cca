// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/fakecluster"
)

func TestTwoVolumesOfOneUUIDAreToldOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, kind, class string
		mode              corev1.PersistentVolumeMode
		told              bool
	}{
		{"ext4", "ext4", "", corev1.PersistentVolumeFilesystem, false},
		{"XFS", "xfs", "", corev1.PersistentVolumeFilesystem, true},
		{"XFS that is mounted without looking", "xfs", "nouuid", corev1.PersistentVolumeFilesystem, false},
		{"a raw device", "xfs", "", corev1.PersistentVolumeBlock, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := fakecluster.New(t, "shop",
				&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}},
				&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "nouuid"}, MountOptions: []string{"noatime", "nouuid"}})
			var log bytes.Buffer
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
			volume := &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{
				PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{FSType: test.kind}},
			}}
			s := release.Snapshot{Claim: "db", StorageClass: "fast", VolumeMode: string(test.mode)}
			if err := (Request{Class: test.class}).tellTwin(t.Context(), c.Cluster, s, volume); err != nil {
				t.Error(err)
			}
			if told := strings.Contains(log.String(), "nouuid"); told != test.told {
				t.Errorf("told %v, want %v: %s", told, test.told, &log)
			}
		})
	}
}
