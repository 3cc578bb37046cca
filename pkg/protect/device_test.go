// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// rawCluster is a cluster with a claim of a raw block volume, whose programs hand back what a
// backup of it is.
func rawCluster(t *testing.T, b release.Backup) (*fakecluster.Cluster, func() []string) {
	t.Helper()
	block := corev1.PersistentVolumeBlock
	c := fakecluster.New(t, "shop",
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "disk", UID: "disk-uid"},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv", VolumeMode: &block},
		},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}})
	var said []string
	(&fakecluster.Jobs{Program: func(_ context.Context, pod *corev1.Pod, container *corev1.Container) (int32, string) {
		said = append(said, specOf(container)+" of "+claimOf(t, c, pod))
		var result any = release.Verification{Proved: true}
		switch container.Name {
		case program:
			result = release.Copies{Repository: "s3://b", Backups: []release.Backup{b}}
		case prove:
			result = release.Verification{}
		}
		message, err := work.Encode(nil, result)
		if err != nil {
			panic(err)
		}
		return 0, string(message)
	}}).Play(t, c)
	return c, func() []string { return said }
}

// specOf says of a container as whom it reaches what.
func specOf(c *corev1.Container) string {
	var words []string
	for _, d := range c.VolumeDevices {
		words = append(words, "device "+d.DevicePath)
	}
	for _, m := range c.VolumeMounts {
		words = append(words, "folder "+m.MountPath)
	}
	security := c.SecurityContext
	words = append(words, fmt.Sprintf("user %d", *security.RunAsUser), fmt.Sprint(security.Capabilities.Add))
	for _, variable := range c.Env {
		if variable.Name == restoredVariable {
			words = append(words, "restored to "+variable.Value)
		}
	}
	return c.Name + ": " + strings.Join(words, ", ")
}

// claimOf says what the claim of a pod is.
func claimOf(t *testing.T, c *fakecluster.Cluster, pod *corev1.Pod) string {
	t.Helper()
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := c.Core.CoreV1().PersistentVolumeClaims("shop").Get(t.Context(), v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		words := fmt.Sprintf("%s %s", *claim.Spec.VolumeMode, claim.Spec.Resources.Requests.Storage())
		if claim.Spec.DataSource != nil {
			words += " from " + claim.Spec.DataSource.Name
		}
		return words
	}
	return "no claim"
}

// A raw device is reached by its node alone, as root without a capability, from save to check.
func TestARawDeviceTakesNoCapability(t *testing.T) {
	t.Parallel()
	b := release.Backup{ID: "0af1", App: "shop", Environment: "test", Run: "1", Commit: commit, Volume: "disk", Device: true, Bytes: 9 << 20, Files: 1}
	c, said := rawCluster(t, b)
	q := Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "1", Commit: commit}, Image: "knowngood:1", As: work.Keeper(),
		Memory: "1Gi", Start: time.Minute, Deadline: time.Hour, Check: Check{Image: "app:1", Line: "true"},
		Snapshots: []release.Snapshot{{
			Namespace: "shop", Claim: "disk", Name: "disk-cut", UID: "1", Ready: true, StorageClass: "fast", ClaimBytes: 8 << 20, VolumeMode: "Block",
		}},
	}
	copies, err := Save(t.Context(), c.Cluster, q)
	if err != nil || len(copies.Backups) != 1 || !copies.Backups[0].Device {
		t.Fatalf("%v: %+v", err, copies)
	}
	if copies, err = q.Verify(t.Context(), c.Cluster, copies); err != nil || !copies.Backups[0].Verified.Proved {
		t.Fatalf("%v: %+v", err, copies)
	}
	claim, err := c.Core.CoreV1().PersistentVolumeClaims("shop").Get(t.Context(), "disk", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Fill(t.Context(), c.Cluster, claim, b); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"save: device /dev/knowngood, folder /tmp, user 0, [] of Block 8Mi from disk-cut",
		"prove: device /dev/knowngood, folder /tmp, user 0, [] of Block 9Mi",
		"check: device /dev/knowngood, folder /tmp, user 0, [], restored to /dev/knowngood of Block 9Mi",
		"conclude: device /dev/knowngood, folder /tmp, user 0, [] of Block 9Mi",
		"restore: device /dev/knowngood, folder /tmp, user 0, [] of Block 0",
	}
	if diff := cmp.Diff(want, said()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}

// What is of one kind is not brought into a volume of the other, and nothing is begun for it.
func TestKindsOfVolumesAreNotMixed(t *testing.T) {
	t.Parallel()
	files, block := corev1.PersistentVolumeFilesystem, corev1.PersistentVolumeBlock
	c, said := rawCluster(t, release.Backup{})
	for _, test := range []struct {
		device bool
		mode   *corev1.PersistentVolumeMode
	}{{true, &files}, {true, nil}, {false, &block}} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "disk"}, Spec: corev1.PersistentVolumeClaimSpec{VolumeMode: test.mode}}
		_, err := Request{Memory: "1Gi"}.Fill(t.Context(), c.Cluster, claim, release.Backup{ID: "0af1", Volume: "disk", Device: test.device})
		if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "of the other kind") {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if len(said()) > 0 {
		t.Errorf("ran %q", said())
	}
	q := Request{Subject: release.Subject{App: "shop"}}
	good := release.Backup{ID: "0af1", App: "shop", Volume: "disk", Device: true}
	for mode, believed := range map[string]bool{"Block": true, "Filesystem": false, "": false} {
		err := q.doubt(release.Copies{Backups: []release.Backup{good}}, release.Snapshot{Claim: "disk", VolumeMode: mode})
		if (err == nil) != believed {
			t.Errorf("a device for a volume of mode %q: %v", mode, err)
		}
	}
	err := q.Fits(t.Context(), c.Cluster, release.Snapshot{Namespace: "shop", Claim: "disk", StorageClass: "fast", VolumeMode: "Object"})
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), `volume mode "Object"`) {
		t.Error(err)
	}
}

// A user who may not open the device is told what does.
func TestAUserWhoMayNotOpenADeviceIsToldWhoMay(t *testing.T) {
	t.Parallel()
	denied := fault.Usagef("open /dev/knowngood: permission denied")
	disk := release.Snapshot{Claim: "disk", VolumeMode: "Block"}
	if err := (Request{As: work.User(999, 999)}).rawHint(disk, denied); !strings.Contains(fmt.Sprint(fault.Hints(err)), "--backup-user") {
		t.Errorf("hints %q", fault.Hints(err))
	}
	for _, q := range []Request{{As: work.Keeper()}, {}} {
		if err := q.rawHint(disk, denied); len(fault.Hints(err)) > 0 {
			t.Errorf("as %+v: hints %q", q.As, fault.Hints(err))
		}
	}
}
