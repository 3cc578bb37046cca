// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/restore"
	"github.com/knowngood/knowngood/test/realcluster"
)

const theClaim = "data-db-0"

// A restoring is a database of the real cluster whose release has left a snapshot in a catalog.
type restoring struct {
	*realcluster.Database
	catalog string
	// repository and image are of a release that has left a backup, too.
	repository, image string
}

func newRestoring(t *testing.T) *restoring {
	t.Helper()
	c := realcluster.New(t, "restore-step")
	r := &restoring{Database: c.Database(t, "loop"), catalog: filepath.Join(t.TempDir(), "records")}
	r.Write(t, "good")
	run, h := newRun(t)
	s := newSnapshot(c.Cluster, "")
	s.subject.catalog, s.subject.commit = r.catalog, commitA
	if err := s.Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	entry, _ := h.result.(release.Entry)
	if kept := entry.Protection.Manifests; kept == nil || strings.Join(kept.Objects, ", ") != "PersistentVolumeClaim data-db-0, StatefulSet db" {
		t.Errorf("manifests %+v", kept)
	}
	r.Write(t, "bad")
	return r
}

// step is the restore of the database, in place.
func (r *restoring) step(connected *kube.Cluster) *Restore {
	s := &Restore{place: place{app: "shop", catalog: r.catalog}, environment: "production", inPlace: true, again: true, carrying: r.carrying()}
	s.cluster.connected, s.cluster.timeout = connected, 2*time.Minute
	return s
}

func (r *restoring) volumeOf(t *testing.T) string {
	t.Helper()
	claim, err := r.Core.CoreV1().PersistentVolumeClaims(r.Namespace).Get(t.Context(), theClaim, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return claim.Spec.VolumeName
}

// kept checks that a volume stays, and still holds files of the database.
func (r *restoring) kept(t *testing.T, name string) {
	t.Helper()
	volume, err := r.Core.CoreV1().PersistentVolumes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || volume.DeletionTimestamp != nil || volume.Status.Phase == corev1.VolumeFailed {
		t.Fatalf("the old volume: %v", err)
	}
	_, journalled := volume.Annotations[release.AnnotationRestore]
	if retains := volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain; retains != journalled {
		t.Errorf("volume %s: policy %s, journal %v", name, volume.Spec.PersistentVolumeReclaimPolicy, journalled)
	}
}

// restoreSwitch makes the test program the restore that another test kills.
const restoreSwitch = "KNOWNGOOD_TEST_RESTORE"

func TestRestoreThatIsKilled(t *testing.T) {
	given := os.Getenv(restoreSwitch)
	if given == "" {
		t.Skipf("is run by other tests, which set %s", restoreSwitch)
	}
	words := strings.Split(given, " ")
	c, err := kube.Connect(kube.Config{
		Kubeconfig: os.Getenv(realcluster.Switch), Namespace: words[0], Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	run, _ := newRun(t)
	if err := (&restoring{catalog: words[1], repository: words[2], image: words[3]}).step(c).Run(t.Context(), run); err != nil {
		t.Fatalf("%v\nhints: %q", err, fault.Hints(err))
	}
	fmt.Println("RESTORED")
}

// attempt restores in a process of its own, which is killed after a time; zero lets it end.
func (r *restoring) attempt(t *testing.T, after time.Duration) (ended bool) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	attempt := exec.CommandContext(ctx, program, "-test.run", "^TestRestoreThatIsKilled$", "-test.v")
	attempt.Env = append(os.Environ(), restoreSwitch+"="+r.words())
	if after > 0 {
		defer time.AfterFunc(after, cancel).Stop() // the context kills with SIGKILL
	}
	output, err := attempt.CombinedOutput()
	ended = strings.Contains(string(output), "RESTORED")
	if after == 0 && !ended {
		t.Fatalf("the same command did not finish: %v\n%s", err, output)
	}
	return ended
}

// Killed with SIGKILL at moments all over its course, a restore in place is finished by the same
// command: the data is the snapshot's, and the old volume is there all the time.
func TestRestoreInPlaceIsFinishedAfterKills(t *testing.T) {
	t.Parallel()
	newRestoring(t).finishedAfterKills(t, 0)
}

// finishedAfterKills kills restores in place at random moments, of which each stream has others,
// and has the same command finish each.
func (r *restoring) finishedAfterKills(t *testing.T, stream uint64) {
	t.Helper()
	kills, seed := sample(t)
	old := r.volumeOf(t)
	began := time.Now()
	r.attempt(t, 0)
	took := time.Since(began)
	r.restored(t, "good", old)
	random, unended := rand.New(rand.NewPCG(seed, stream)), 0
	for n, part := range random.Perm(kills) {
		r.Write(t, "bad "+strconv.Itoa(n))
		old := r.volumeOf(t)
		moment := time.Duration((float64(part) + random.Float64()) / float64(kills) * float64(took))
		ended := r.attempt(t, moment)
		r.kept(t, old)
		if !ended {
			unended++
			r.attempt(t, 0)
		}
		r.restored(t, "good", old)
	}
	t.Logf("seed %d: %d kills within %s, %d before the end", seed, kills, took.Round(time.Second), unended)
	if unended == 0 {
		t.Error("no kill came before the end")
	}
}

// sample says how often to kill, and by which seed.
func sample(t *testing.T) (kills int, seed uint64) {
	t.Helper()
	kills, seed = 1, 1
	if given := os.Getenv("KNOWNGOOD_SOAK"); given != "" {
		kills = 24
		if n, err := strconv.Atoi(given); err == nil && n > 1 {
			kills = n
		}
	}
	if given := os.Getenv("KNOWNGOOD_SOAK_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	return kills, seed
}

// restored checks the database after a restore, and that its old volume is kept with its data.
func (r *restoring) restored(t *testing.T, want, old string) {
	t.Helper()
	r.Ready(t, "db-0")
	if now := r.Read(t, "db-0"); now != want || r.volumeOf(t) == old {
		t.Fatalf("it holds %q on volume %s, want %q", now, r.volumeOf(t), want)
	}
	set, err := r.Core.AppsV1().StatefulSets(r.Namespace).Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil || *set.Spec.Replicas != 1 || set.Annotations[release.AnnotationReplicas] != "" {
		t.Errorf("StatefulSet db: %v, %v", set.Annotations, err)
	}
	r.kept(t, old)
	volume, err := r.Core.CoreV1().PersistentVolumes().Get(t.Context(), old, metav1.GetOptions{})
	if err != nil || volume.Status.Phase != corev1.VolumeReleased {
		t.Errorf("the old volume is %s: %v", volume.Status.Phase, err)
	}
}

// sparedByRestore are grants without which a restore in place of a StatefulSet succeeds all the
// same.
var sparedByRestore = map[string]string{
	"get deployments":   "asked only where one mounts the claim; the same calls as of StatefulSets",
	"watch deployments": "as above",
	"patch deployments": "as above",
	"get replicasets":   "asked only of a Deployment's pods",
	"get jobs":          "asked only of a Job's pods",
	"list events":       "asked only when a volume is late",
	"get namespaces":    "asked only where --environment is not given",
}

// planned are grants that are asked for before anything is done, so that a try without costs little.
var planned = map[string]bool{
	"get volumesnapshots": true, "get persistentvolumeclaims": true, "list pods": true, "list deployments": true, "list statefulsets": true,
	"list daemonsets": true, "list jobs": true, "list cronjobs": true, "list horizontalpodautoscalers": true, "get storageclasses": true,
	"get persistentvolumes": true, "list persistentvolumes": true, "patch persistentvolumes": true,
}

// What the rendered ServiceAccount of the Task may do is what the step needs: with exactly that
// it works, and without any one verb it says which.
func TestRestoreNeedsWhatItsTaskIsGranted(t *testing.T) {
	t.Parallel()
	r := newRestoring(t)
	within, whole := granted(t, "restore")
	try := func(t *testing.T, name string, without grant, dry bool) (*host, error) {
		t.Helper()
		run, h := newRun(t)
		s := r.step(nil)
		s.cluster.kubeconfig, s.dryRun = r.Account(t, name, but(within, without), but(whole, without)), dry
		return h, s.Run(t.Context(), run)
	}
	r.recorded(t, func(t *testing.T, dry bool) (*host, error) {
		t.Helper()
		return try(t, fmt.Sprintf("restore-%v", dry), grant{}, dry)
	})
	for _, without := range append(within, whole...) {
		_, spared := sparedByRestore[without.String()]
		if spared || os.Getenv("KNOWNGOOD_SOAK") == "" && !planned[without.String()] {
			continue
		}
		name := strings.ReplaceAll(without.verb+"-"+without.resource, "/", "-")
		t.Run("without "+name, func(t *testing.T) {
			_, err := try(t, name, without, false)
			said := ""
			if err != nil {
				said = err.Error() + strings.Join(fault.Hints(err), "\n")
			}
			if !strings.Contains(said, without.String()) || !strings.Contains(said, `verbs: ["`+without.verb+`"]`) {
				t.Errorf("without it: %v\nhints: %q", err, fault.Hints(err))
			}
			// What was begun is finished, so that the next try begins anew.
			if _, pending, _ := restore.Pending(t.Context(), r.Cluster.Cluster, restore.Wish{Namespace: r.Namespace}); pending {
				run, _ := newRun(t)
				if err := r.step(r.Cluster.Cluster).Run(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// recorded restores with all that is granted, first as a dry run, which tells the plan and
// touches nothing. The record tells where the data comes from.
func (r *restoring) recorded(t *testing.T, try func(t *testing.T, dry bool) (*host, error)) {
	t.Helper()
	old := r.volumeOf(t)
	h, err := try(t, true)
	if err != nil {
		t.Fatalf("a dry run with all that is granted: %v\nhints: %q", err, fault.Hints(err))
	}
	if shown := strings.Join(h.shown, ""); !strings.Contains(shown, "keep volume "+old) || !strings.Contains(shown, "run 1: taken ") || r.volumeOf(t) != old {
		t.Errorf("the plan:\n%s", shown)
	}
	if h, err = try(t, false); err != nil {
		t.Fatalf("with all that is granted: %v\nhints: %q", err, fault.Hints(err))
	}
	entry, _ := h.result.(release.Entry)
	got := entry.Restoration
	if entry.Step != "restore" || entry.State != release.Done || entry.Commit != commitA || got == nil || got.Source.Run != "1" || got.Claims[0].Kept != old {
		t.Errorf("entry %+v, restoration %+v", entry, got)
	}
	if h.outputs["claims"] != theClaim || h.outputs["kept-volumes"] != old || h.outputs["run"] != entry.Run {
		t.Errorf("outputs %v", h.outputs)
	}
}
