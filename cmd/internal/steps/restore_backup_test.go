// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/realcluster"
)

// newSaved is a database of the real cluster whose release has left a backup, and whose snapshots
// are gone.
func newSaved(t *testing.T) *restoring {
	t.Helper()
	c := realcluster.New(t, "restore-backup")
	r := &restoring{catalog: filepath.Join(t.TempDir(), "records"), image: c.Image(t, "knowngood.test/knowngood:", "KNOWNGOOD_TEST_IMAGE")}
	r.repository = c.Store(t, backup.NewKey().Reveal())
	r.Database = c.Database(t, "loop")
	r.Write(t, "good")
	run, h := newRun(t)
	s := newSnapshot(c.Cluster, "app=db")
	s.subject.catalog, s.subject.commit = r.catalog, commitA
	gate := s.subject
	if err := gate.record(t.Context(), run, "gate", keeps(release.ProtectVerify)); err != nil {
		t.Fatal(err)
	}
	s.protecting = protecting{carrying: r.carrying()}
	if err := s.Run(t.Context(), run); err != nil {
		t.Fatalf("%v\nhints: %q", err, fault.Hints(err))
	}
	if h.outputs["backups"] == "" {
		t.Fatalf("no backup: %v", h.outputs)
	}
	r.Write(t, "bad")
	if err := c.Snapshots.SnapshotV1().VolumeSnapshots(c.Namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRestoreFromABackup loses the snapshots, then the claim: with the record, the repository and
// its key the rows are back, under the account of the Task.
func TestRestoreFromABackup(t *testing.T) {
	t.Parallel()
	r := newSaved(t)
	within, whole := granted(t, "restore")
	more, _ := granted(t, "restore/backup")
	kubeconfig := r.Account(t, "restore", but(append(within, more...), grant{}), but(whole, grant{}))
	try := func(t *testing.T, change func(*Restore)) *release.Restoration {
		t.Helper()
		run, h := newRun(t)
		s := r.step(nil)
		s.cluster.kubeconfig, s.again = kubeconfig, false
		change(s)
		if err := s.Run(t.Context(), run); err != nil {
			t.Fatalf("%v\nhints: %q", err, fault.Hints(err))
		}
		entry, _ := h.result.(release.Entry)
		return entry.Restoration
	}
	beside := try(t, func(s *Restore) { s.inPlace = false })
	one := beside.Claims[0]
	if v := one.Verified; v == nil || !v.Proved || v.Files == 0 || v.Bytes == 0 || v.Seconds <= 0 || one.Backup == "" || !strings.HasPrefix(beside.Source.Repository, "s3://backups/shop?endpoint=") {
		t.Errorf("restored %+v, verified %+v", beside, one.Verified)
	}
	r.Start(t, one.Claim)
	if now := r.Read(t, one.Claim); now != "good" {
		t.Errorf("the new claim holds %q", now)
	}
	old := r.volumeOf(t)
	got := try(t, func(*Restore) {})
	r.restored(t, "good", old)
	if c := got.Claims[0]; c.Kept != old || c.Backup != one.Backup || c.Verified == nil {
		t.Errorf("in place: %+v", c)
	}
	second := r.volumeOf(t)
	if policy := r.policyOf(t, second); policy != "Delete" {
		t.Errorf("the policy of the new volume is %s", policy)
	}
	back := try(t, func(s *Restore) { s.inPlace, s.undo = false, true })
	r.Ready(t, "db-0")
	if now := r.Read(t, "db-0"); now != "bad" || r.volumeOf(t) != old || back.Claims[0].Kept != second {
		t.Errorf("undone it holds %q, %+v", now, back.Claims)
	}
	done := try(t, func(s *Restore) { s.inPlace, s.confirm = false, true })
	if !done.Claims[0].Removed || done.Claims[0].Kept != second {
		t.Errorf("confirmed: %+v", done.Claims)
	}
	r.nothingLeft(t, one.Claim)
}

// policyOf is what becomes of a volume with its claim.
func (r *restoring) policyOf(t *testing.T, name string) string {
	t.Helper()
	volume, err := r.Core.CoreV1().PersistentVolumes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(volume.Spec.PersistentVolumeReclaimPolicy)
}

// nothingLeft fails where a claim is there that nobody asked for.
func (r *restoring) nothingLeft(t *testing.T, asked ...string) {
	t.Helper()
	all, err := r.Core.CoreV1().PersistentVolumeClaims(r.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all.Items {
		if claim := &all.Items[i]; claim.DeletionTimestamp == nil && claim.Name != theClaim && !slices.Contains(asked, claim.Name) {
			t.Errorf("claim %s is left", claim.Name)
		}
	}
}

// Killed with SIGKILL at moments all over its course, also while the Job fills the claim, a restore
// of a backup in place is finished by the same command.
func TestRestoreFromABackupIsFinishedAfterKills(t *testing.T) {
	t.Parallel()
	r := newSaved(t)
	r.finishedAfterKills(t, 1)
	r.nothingLeft(t)
}

// carrying is how Jobs reach the backup of the database.
func (r *restoring) carrying() carrying {
	if r.repository == "" {
		return carrying{}
	}
	return carrying{
		repository: r.repository, keySecret: realcluster.KeySecret, bucketSecret: realcluster.BucketSecret, allowHTTP: true,
		image: r.image, memory: "1Gi", deadline: 5 * time.Minute,
	}
}

// words are what another process needs to know of the database.
func (r *restoring) words() string {
	return strings.Join([]string{r.Namespace, r.catalog, r.repository, r.image}, " ")
}
