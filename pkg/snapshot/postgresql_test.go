// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

var holding = map[string]string{snapshot.AnnotationHold: "postgresql"}

// with adds annotations to others.
func with(annotations map[string]string, pairs ...string) map[string]string {
	all := map[string]string{}
	for key, value := range annotations {
		all[key] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

func TestPostgreSQLIsHeldWhileItsVolumeIsCut(t *testing.T) {
	t.Parallel()
	for version, calls := range map[string][2]string{
		"150018": {"set statement_timeout = 60000; set idle_session_timeout = 60000; select pg_backup_start('knowngood 0123456789ab', true);", "from pg_backup_stop(false);"},
		"140022": {"set statement_timeout = 60000; set idle_session_timeout = 60000; select pg_start_backup('knowngood 0123456789ab', true, false);", "from pg_stop_backup(false, false);"},
		"130023": {"set statement_timeout = 60000; select pg_start_backup('knowngood 0123456789ab', true, false);", "from pg_stop_backup(false, false);"},
	} {
		inFake(t, func(t *testing.T, w *world) {
			database := newPostgreSQL()
			database.version, database.slow = version, 2*time.Second
			streams := w.play(database, &commands{})
			w.claim(t, "data", "loop")
			w.pod(t, "db-0", holding, []string{"data"})
			class := w.faulty(t, "late", map[string]string{"knowngood.test/delay": "3s", "knowngood.test/ready-after": "5m"})
			got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class; r.Timeout = 10 * time.Minute }))
			fatal(t, err)
			if s := got.Snapshots[0]; s.Consistency != release.ConsistencyApplication || len(got.Notes) != 1 {
				t.Errorf("consistency %s, notes %q; want application and one note on the class", s.Consistency, got.Notes)
			}
			mentions(t, "what psql was told", database.heard(), calls[0], calls[1])
			if got.FrozenSeconds < 5 || got.FrozenSeconds > 6 {
				t.Errorf("frozen %v s, want the 2 s of the checkpoint and the 3 s of the cut, not the 5 min until it was ready", got.FrozenSeconds)
			}
			vs := w.there(t)["data"]
			if vs.Annotations[release.AnnotationConsistency] != "application" || !strings.Contains(vs.Annotations[snapshot.AnnotationBackupLabel], "START WAL LOCATION") {
				t.Errorf("annotations %v", vs.Annotations)
			}
			hook := got.Hooks[0]
			if hook.Pod != "db-0" || hook.Container != "main" || !hook.Held || hook.Source != "postgresql recipe" ||
				hook.Quiesce.Ended.Sub(hook.Quiesce.Began) < 2*time.Second || hook.Thaw.Began.Before(got.Snapshots[0].Cut) {
				t.Errorf("hook %+v", hook)
			}
			if !database.quiet() || len(streams.Ran()) != 1 {
				t.Errorf("sessions are left, or there were %d", len(streams.Ran()))
			}
		})
	}
}

func TestPostgreSQLUser(t *testing.T) {
	t.Parallel()
	inEnvironment := func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "POSTGRES_USER", Value: "owner"}}
	}
	for name, test := range map[string]struct {
		role        string
		annotations map[string]string
		change      func(*corev1.Pod)
		want        string // what the last psql was given
		fails       string
	}{
		"the container's own":   {"", holding, func(*corev1.Pod) {}, "", ""},
		"else postgres":         {"postgres", holding, func(*corev1.Pod) {}, "--username=postgres", ""},
		"of the official image": {"owner", holding, inEnvironment, "--username=owner", ""},
		"named":                 {"boss", with(holding, snapshot.AnnotationHoldUser, "boss"), inEnvironment, "--username=boss", ""},
		"unknown":               {"boss", holding, func(*corev1.Pod) {}, "--username=postgres", `role "postgres" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				database := newPostgreSQL()
				database.roles = []string{test.role}
				streams := w.play(database, &commands{})
				w.claim(t, "data", "loop")
				w.pod(t, "db-0", test.annotations, []string{"data"}, test.change)
				got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
				ran := streams.Ran()
				if last := strings.Join(ran[len(ran)-1].Args, " "); !strings.HasSuffix(last, test.want) {
					t.Errorf("ran %q, want %q", last, test.want)
				}
				if test.fails == "" {
					fatal(t, err)
					return
				}
				if fault.StatusOf(err) != fault.Failed || len(got.Snapshots) != 0 || len(w.there(t)) != 0 {
					t.Errorf("error %v, snapshots %+v; want a failure before anything is taken", err, got.Snapshots)
				}
				mentions(t, "error", err.Error(), "quiesce pod shop/db-0", test.fails)
				mentions(t, "hints", strings.Join(fault.Hints(err), "\n"), snapshot.AnnotationHoldUser, snapshot.AnnotationHooks)
			})
		})
	}
}

func TestPostgreSQLProvesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		database func(*postgresql)
		world    func(t *testing.T, w *world)
		class    map[string]string
		want     string
	}{
		"without fsync":            {database: func(p *postgresql) { p.fsync = "off" }, want: "fsync off"},
		"with tablespaces":         {database: func(p *postgresql) { p.spaces = "1" }, want: "spread over several volumes"},
		"with its data elsewhere":  {database: func(p *postgresql) { p.directory = "/database" }, want: "data directory /database is on no claim"},
		"when another pod writes":  {world: func(t *testing.T, w *world) { t.Helper(); w.pod(t, "intruder", nil, []string{"data"}) }, want: "pod intruder mounts it and has no hook"},
		"when its session dies":    {database: func(p *postgresql) { p.dies = time.Second }, class: map[string]string{"knowngood.test/delay": "10s"}, want: "ended before the storage had cut"},
		"when the storage is slow": {class: map[string]string{"knowngood.test/delay": "90s"}, want: "longer than the 1m0s for which it may be quiesced"},
		"when it does not stop":    {database: func(p *postgresql) { p.stuck = true }, want: "its thaw failed: leave backup mode"},
		"when the clocks disagree": {world: func(_ *testing.T, w *world) { w.fake.clock = 10 * time.Minute }, want: "the storage says that it cut at"},
		"when the storage is silent": {world: func(_ *testing.T, w *world) {
			w.fake.mute = true
		}, want: "the storage does not tell when it cut"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				database := newPostgreSQL()
				if test.database != nil {
					test.database(database)
				}
				w.play(database, &commands{})
				w.claim(t, "data", "loop")
				w.pod(t, "db-0", holding, []string{"data"})
				if test.world != nil {
					test.world(t, w)
				}
				class := w.faulty(t, "odd", test.class)
				got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class; r.Timeout = 5 * time.Minute }))
				fatal(t, err)
				if s := got.Snapshots[0]; s.Consistency != release.ConsistencyUnproven || !s.Ready {
					t.Errorf("snapshot %+v, want it ready and unproven", s)
				}
				if vs := w.there(t)["data"]; vs.Annotations[release.AnnotationConsistency] != "unproven" {
					t.Errorf("the VolumeSnapshot says %q", vs.Annotations[release.AnnotationConsistency])
				}
				mentions(t, "Notes", strings.Join(got.Notes, "\n"), "claim data is not proved", test.want)
				if !database.quiet() {
					t.Error("a session is left")
				}
				if got.FrozenSeconds > 100 {
					t.Errorf("frozen %v s", got.FrozenSeconds)
				}
			})
		})
	}
}

func TestClocksThatDisagreeALittleProve(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.play(newPostgreSQL(), &commands{})
		w.fake.clock = -1500 * time.Millisecond
		w.claim(t, "data", "loop")
		w.pod(t, "db-0", holding, []string{"data"})
		got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		fatal(t, err)
		if got.Snapshots[0].Consistency != release.ConsistencyApplication {
			t.Errorf("consistency %s: %q", got.Snapshots[0].Consistency, got.Notes)
		}
	})
}

func TestSeveralVolumesAreNotOneInstant(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.play(newPostgreSQL(), &commands{})
		w.claim(t, "data", "loop")
		w.claim(t, "wal", "loop")
		w.pod(t, "db-0", holding, []string{"data", "wal"})
		got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		fatal(t, err)
		for _, s := range got.Snapshots {
			if s.Consistency != release.ConsistencyUnproven {
				t.Errorf("claim %s: %s", s.Claim, s.Consistency)
			}
		}
		mentions(t, "Notes", strings.Join(got.Notes, "\n"), "spread over several volumes")
	})
}

func TestOldPostgreSQLIsRefused(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		database := newPostgreSQL()
		database.version = "90624"
		w.play(database, &commands{})
		w.claim(t, "data", "loop")
		w.pod(t, "db-0", holding, []string{"data"})
		_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		if fault.StatusOf(err) != fault.Usage {
			t.Fatalf("error %v, want one of usage", err)
		}
		mentions(t, "error", err.Error(), "the recipe needs 10 or newer")
		if !database.quiet() || len(w.there(t)) != 0 {
			t.Error("something is left")
		}
	})
}

// A person or a pipeline may stop us at any moment. Whenever it is, nothing stays quiesced and
// no half-made snapshot stays behind.
func TestCancelledAtAnyMomentNothingStaysHeld(t *testing.T) {
	t.Parallel()
	for _, moment := range []time.Duration{0, time.Millisecond, time.Second, 2*time.Second + 10*time.Millisecond, 3 * time.Second, 6 * time.Second, 20 * time.Second, 40 * time.Second} {
		t.Run(moment.String(), func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				database := newPostgreSQL()
				database.slow = 2 * time.Second
				w.play(database, &commands{takes: map[string]time.Duration{"/bin/rest": time.Second}})
				w.claim(t, "data", "loop")
				w.claim(t, "files", "loop")
				w.pod(t, "db-0", holding, []string{"data"})
				w.pod(t, "web-0", map[string]string{
					"pre.hook.backup.velero.io/command": "/bin/rest", "post.hook.backup.velero.io/command": "/bin/wake",
				}, []string{"files"})
				class := w.faulty(t, "slow", map[string]string{"knowngood.test/delay": "3s", "knowngood.test/ready-after": "30s"})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(moment, cancel)
				began := time.Now()
				got, err := snapshot.Take(ctx, w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class }))
				switch {
				case moment > 35*time.Second:
					fatal(t, err)
				case !errors.Is(err, context.Canceled) || fault.StatusOf(err) != fault.Cancelled:
					t.Errorf("error %v with status %d, want cancelled", err, fault.StatusOf(err))
				case time.Since(began) > moment+5*time.Second:
					t.Errorf("took %s to end", time.Since(began)-moment)
				case len(w.there(t)) != 0:
					t.Errorf("left behind: %v", w.there(t))
				}
				if !database.quiet() {
					t.Error("the database is still held")
				}
				thawed(t, got)
			})
		})
	}
}

// thawed fails unless everything that was quiesced was thawed.
func thawed(t *testing.T, got release.Protection) {
	t.Helper()
	for _, hook := range got.Hooks {
		if hook.Thaw.Ended.IsZero() || hook.Thaw.Error != "" {
			t.Errorf("pod %s was not thawed: %+v", hook.Pod, hook.Thaw)
		}
	}
}

func TestHooksAreNotRunForWhatIsThere(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		streams := w.play(newPostgreSQL(), &commands{})
		w.claim(t, "data", "loop")
		w.pod(t, "db-0", holding, []string{"data"})
		_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		fatal(t, err)
		again, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		fatal(t, err)
		if s := again.Snapshots[0]; !s.Reused || s.Consistency != release.ConsistencyApplication || len(streams.Ran()) != 1 {
			t.Errorf("repeated: %+v after %d sessions, want what was there and no second session", s, len(streams.Ran()))
		}
	})
}

// An earlier attempt that was killed while it held leaves a snapshot that nobody vouches for.
func TestASnapshotOfADeadAttemptIsUnproven(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.play(newPostgreSQL(), &commands{})
		w.claim(t, "data", "loop")
		w.pod(t, "db-0", holding, []string{"data"})
		var made []*snapshotv1.VolumeSnapshot
		onCreate(w, func(vs *snapshotv1.VolumeSnapshot) { made = append(made, vs.DeepCopy()) })
		_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		fatal(t, err)
		if len(made) != 1 || made[0].Annotations[release.AnnotationConsistency] != "unproven" {
			t.Errorf("created as %+v, want it unproven until it is proved", made)
		}
	})
}
