// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
)

// saved is the backup of the database's snapshot.
func saved() release.Backup {
	return release.Backup{ID: "0af1b2c3d4e5f607", Volume: claim, Commit: commit, Run: "run-1", Files: 3, Bytes: 4, Verified: &release.Verification{Proved: true}}
}

// A courier plays the Job that brings a backup into a claim.
type courier struct {
	*world
	// dies is how often it fails before all is there.
	dies, brought int
}

var errEvicted = errors.New("evicted")

func (c *courier) fill(ctx context.Context, into *corev1.PersistentVolumeClaim, b release.Backup) (release.Verification, error) {
	if _, there := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace).Get(ctx, into.Name, metav1.GetOptions{}); there != nil {
		return release.Verification{}, there
	}
	spec := kube.WaitSpec{What: "the volume", Timeout: c.request("").Timeout, Resource: "persistentvolumeclaims", Namespace: c.Namespace, Name: into.Name}
	volume := ""
	if err := kube.Wait(ctx, c.Cluster, spec, c.Core.CoreV1().PersistentVolumeClaims(c.Namespace), kube.Named(func(now *corev1.PersistentVolumeClaim) (kube.Progress, error) {
		volume = now.Spec.VolumeName
		return kube.Progress{Done: now.Status.Phase == corev1.ClaimBound}, nil
	})); err != nil {
		return release.Verification{}, err
	}
	if c.dies--; c.dies >= 0 {
		c.world.fake.hold(volume, "half")
		return release.Verification{}, errEvicted
	}
	c.brought++
	c.world.fake.hold(volume, "good")
	return release.Verification{Proved: true, Files: b.Files, Bytes: b.Bytes}, nil
}

// fromBackup asks for the backup of the database, brought by the courier.
func (c *courier) fromBackup(change ...func(*restore.Request)) func(*restore.Request) {
	return func(r *restore.Request) {
		r.Backups, r.Fill = []release.Backup{saved()}, c.fill
		r.Lineage.Repository = "s3://backups/shop"
		for _, one := range change {
			one(r)
		}
	}
}

func inFakeWithCourier(t *testing.T, test func(t *testing.T, c *courier)) {
	t.Helper()
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		t.Helper()
		w.begin(t, "loop")
		test(t, &courier{world: w})
	})
}

// nothingLost fails where a volume stays for ever that nobody uses and no journal tells of.
func (w *world) nothingLost(t *testing.T) {
	t.Helper()
	time.Sleep(time.Minute) // of the fake's own clock
	list, err := w.Core.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	for i := range list.Items {
		v := &list.Items[i]
		if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain && v.Labels[release.LabelKept] == "" {
			t.Errorf("volume %s is %s, retained, and nobody knows why", v.Name, v.Status.Phase)
		}
	}
}

func TestABackupThereAndBack(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.from = restore.FromBackup
		thereAndBack(t, w)
		w.nothingLost(t)
	})
}

func gone(r *restore.Request) { r.Snapshots[0].Name = "gone" }

// Where the snapshot is gone the backup takes its place, and the record tells.
func TestABackupTakesThePlaceOfASnapshotThatIsGone(t *testing.T) {
	inFakeWithCourier(t, func(t *testing.T, c *courier) {
		got, err := c.restored(t, c.request(release.RestoreNew, c.fromBackup()))
		fatal(t, err)
		if got.Claims[0].Backup != "" || got.Source.Repository != "" || c.brought > 0 {
			t.Errorf("the snapshot is there: %+v", got)
		}
		got, err = c.restored(t, c.request(release.RestoreNew, c.fromBackup(gone)))
		fatal(t, err)
		into := got.Claims[0]
		if into.Backup != saved().ID || into.Snapshot != "" || into.Verified == nil || !into.Verified.Proved || into.Volume == "" || got.Source.Repository == "" {
			t.Errorf("restored %+v", got)
		}
		mentions(t, "notes", strings.Join(got.Notes, "\n"), "is gone: the data comes from backup 0af1b2c3d4e5f607")
		mentions(t, "plan", strings.Join(got.Plan, "\n"), "make claim data-db-0-restored-0af1b2c3", "from backup 0af1b2c3d4e5f607", "bring backup 0af1b2c3d4e5f607 (3 files, 0.0 MB) into claim")
		if held := c.held(t, into.Claim); held != "good" {
			t.Errorf("it holds %q", held)
		}
		again, err := c.restored(t, c.request(release.RestoreNew, c.fromBackup(gone)))
		fatal(t, err)
		if len(again.Plan) != 0 || again.Claims[0].Verified == nil || c.brought != 1 {
			t.Errorf("the same command again: %+v", again)
		}
		if now := c.read(t); now != "bad" {
			t.Errorf("the claim in use holds %q", now)
		}
	})
}

// In another namespace, which has no snapshot and may have no like claim, a backup alone will do.
func TestABackupGoesToAnotherNamespace(t *testing.T) {
	inFakeWithCourier(t, func(t *testing.T, c *courier) {
		elsewhere := func(r *restore.Request) { r.Snapshots[0].Namespace, r.NewClaim = "old", "data" }
		_, err := c.restored(t, c.request(release.RestoreNew, elsewhere))
		if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "gives claims to that alone") {
			t.Errorf("a snapshot of another namespace: %v", err)
		}
		got, err := c.restored(t, c.request(release.RestoreNew, c.fromBackup(elsewhere)))
		fatal(t, err)
		made, err := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace).Get(t.Context(), "data", metav1.GetOptions{})
		fatal(t, err)
		if c.held(t, "data") != "good" || got.Claims[0].Namespace != c.Namespace || *made.Spec.StorageClassName != "loop" || made.Spec.DataSource != nil ||
			made.Spec.Resources.Requests.Storage().Value() != 64<<20 || made.Spec.AccessModes[0] != corev1.ReadWriteOnce {
			t.Errorf("restored %+v, made %+v", got, made.Spec)
		}
	})
}

// What was cut short is not taken for whole, and the same command goes on.
func TestAFillThatIsCutShortGoesOn(t *testing.T) {
	inFakeWithCourier(t, func(t *testing.T, c *courier) {
		c.dies = 1
		request := c.request(release.RestoreNew, c.fromBackup(gone))
		_, err := c.restored(t, request)
		if !errors.Is(err, errEvicted) || !strings.Contains(strings.Join(fault.Hints(err), " "), "the same command goes on") {
			t.Fatalf("error %v, hints %q", err, fault.Hints(err))
		}
		request.Name = "restore-2"
		got, err := c.restored(t, request)
		fatal(t, err)
		if len(got.Plan) != 2 || got.Claims[0].Verified == nil || c.held(t, got.Claims[0].Claim) != "good" {
			t.Errorf("it went on to %+v", got)
		}
	})
}

// Each is refused, or taken with a note, before anything is touched.
func TestBackupsThatAreNotRestoredUnasked(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*restore.Request)
		says   string // the error, or a note
		cure   string // "" where it goes on
	}{
		"none":                  {func(r *restore.Request) { r.Backups, r.From = nil, restore.FromBackup }, "has left no backup of claim data-db-0", "--run"},
		"forced":                {func(r *restore.Request) { r.From = restore.FromSnapshot; gone(r) }, "is gone", "--run"},
		"refuted":               {func(r *restore.Request) { r.Backups[0].Verified.Proved = false; gone(r) }, "is gone", "--from backup"},
		"refuted, all the same": {func(r *restore.Request) { r.Backups[0].Verified.Proved = false; r.From = restore.FromBackup }, "test restore of backup 0af1b2c3d4e5f607 failed", ""},
		"never tried":           {func(r *restore.Request) { r.Backups[0].Verified = nil; r.From = restore.FromBackup }, "was never restored", ""},
		"not whole":             {func(r *restore.Request) { r.Backups[0].Unread = 2; r.From = restore.FromBackup }, "lacks the content of 2 entries", "knowngood backup restore"},
		"of a raw device":       {func(r *restore.Request) { r.Backups[0].Device = true; r.From = restore.FromBackup }, "another kind of volume than claim data-db-0, whose mode is Filesystem", "knowngood backup restore"},
		"of files":              {func(r *restore.Request) { r.Snapshots[0].VolumeMode, r.From = "Block", restore.FromBackup }, "whose mode is Block", "knowngood backup restore"},
		"a used name":           {func(r *restore.Request) { r.From, r.NewClaim = restore.FromBackup, claim }, "there is a claim data-db-0 already", "--new-claim"},
		"a waited name":         {func(r *restore.Request) { r.From, r.NewClaim = restore.FromBackup, "awaited" }, "pod waits mounts claim awaited", "scale down"},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeWithCourier(t, func(t *testing.T, c *courier) {
				fatal(t, c.fake.core.Create(podsKind, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "waits"}, Spec: corev1.PodSpec{
					Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "awaited"}}}},
				}}, c.Namespace))
				plan, err := restore.Make(t.Context(), c.Cluster, c.request(release.RestoreNew, c.fromBackup(test.change)))
				if test.cure == "" {
					fatal(t, err)
					mentions(t, "notes", strings.Join(plan.Result().Notes, "\n"), test.says)
					return
				}
				if fault.StatusOf(err) != fault.Usage {
					t.Fatalf("error %v, want one of usage", err)
				}
				mentions(t, "error", err.Error(), test.says)
				mentions(t, "hints", strings.Join(fault.Hints(err), " "), test.cure)
			})
		})
	}
}

// What a claim has got since a backup was swapped into it is its owner's.
func TestAClaimThatABackupWasSwappedIntoIsNotFilledAgain(t *testing.T) {
	inFakeWithCourier(t, func(t *testing.T, c *courier) {
		wanted := c.fromBackup(func(r *restore.Request) { r.From = restore.FromBackup })
		_, err := c.restored(t, c.request(release.RestoreInPlace, wanted))
		fatal(t, err)
		c.write(t, "newer")
		set, err := c.Core.AppsV1().StatefulSets(c.Namespace).Get(t.Context(), "db", metav1.GetOptions{})
		fatal(t, err)
		set.Spec.Replicas = new(int32)
		_, err = c.Core.AppsV1().StatefulSets(c.Namespace).Update(t.Context(), set, metav1.UpdateOptions{})
		fatal(t, err)
		time.Sleep(time.Minute) // of the fake's own clock
		brought := c.brought
		got, err := c.restored(t, c.request(release.RestoreNew, wanted, func(r *restore.Request) { r.NewClaim, r.Name = claim, "restore-2" }))
		fatal(t, err)
		mentions(t, "notes", strings.Join(got.Notes, "\n"), "is left as it is")
		// Nor is one that somebody took the mark from.
		claims := c.Core.CoreV1().PersistentVolumeClaims(c.Namespace)
		made, err := claims.Get(t.Context(), claim, metav1.GetOptions{})
		fatal(t, err)
		delete(made.Annotations, release.AnnotationFilled)
		_, err = claims.Update(t.Context(), made, metav1.UpdateOptions{})
		fatal(t, err)
		_, err = c.restored(t, c.request(release.RestoreNew, wanted, func(r *restore.Request) { r.NewClaim, r.Name = claim, "restore-3" }))
		if err == nil || !strings.Contains(err.Error(), "not touched") {
			t.Errorf("error %v, want that it is not touched", err)
		}
		if held := c.fake.hold(c.volumeOf(t, claim)); held != "newer" || c.brought != brought {
			t.Errorf("it holds %q, and was filled %d times more", held, c.brought-brought)
		}
	})
}
