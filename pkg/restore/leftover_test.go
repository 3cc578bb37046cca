// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
)

// A restore in place that ends while it fills has touched nothing: an undo takes away what it left,
// but never under a restore that still writes.
func TestAnUndoTakesAwayWhatAFillLeft(t *testing.T) {
	inFakeWithCourier(t, func(t *testing.T, c *courier) {
		c.dies = 1
		_, err := c.restored(t, c.request(release.RestoreInPlace, c.fromBackup(func(r *restore.Request) { r.From = restore.FromBackup })))
		if !errors.Is(err, errEvicted) {
			t.Fatalf("error %v", err)
		}
		list, err := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace).List(t.Context(), metav1.ListOptions{})
		fatal(t, err)
		at := slices.IndexFunc(list.Items, func(one corev1.PersistentVolumeClaim) bool { return strings.Contains(one.Name, "-filling-") })
		if at < 0 {
			t.Fatalf("nothing is half filled in %d claims", len(list.Items))
		}
		left := &list.Items[at]
		halfFilled := left.Name
		if whole, ok := left.Annotations[release.AnnotationFilled]; !ok || whole != "" {
			t.Errorf("a claim that is half filled has the annotations %v", left.Annotations)
		}
		writer := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "writer", Labels: map[string]string{release.LabelManagedBy: release.ManagedBy}}, Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: halfFilled}}}},
		}}
		fatal(t, c.fake.core.Create(podsKind, writer, c.Namespace))
		if _, err = c.restored(t, c.request(release.RestoreUndo)); fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "pod writer") {
			t.Errorf("an undo while it is written to: %v", err)
		}
		fatal(t, c.fake.core.Delete(podsKind, c.Namespace, "writer"))
		other := func(r *restore.Request) { r.Earlier = "another" }
		if _, err = c.restored(t, c.request(release.RestoreUndo, other)); fault.StatusOf(err) != fault.Usage {
			t.Errorf("an undo of another restore: %v", err)
		}
		got, err := c.restored(t, c.request(release.RestoreUndo))
		fatal(t, err)
		mentions(t, "plan", strings.Join(got.Plan, "\n"), "delete claim "+halfFilled, "claim "+claim+" was not touched")
		if _, err := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace).Get(t.Context(), halfFilled, metav1.GetOptions{}); err == nil {
			t.Error("what was half filled is there still")
		}
		if now := c.read(t); now != "bad" {
			t.Errorf("the claim in use holds %q", now)
		}
		c.nothingLost(t)
	})
}
