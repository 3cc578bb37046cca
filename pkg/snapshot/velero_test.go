// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

const (
	pre  = "pre.hook.backup.velero.io/"
	post = "post.hook.backup.velero.io/"
)

func TestVeleroHooks(t *testing.T) {
	t.Parallel()
	both := map[string]string{pre + "command": "/bin/rest", post + "command": `["/bin/wake", "--now"]`}
	for name, test := range map[string]struct {
		annotations map[string]string
		commands    commands
		want        []string // what ran
		consistency release.Consistency
		fails       string
		note        string
	}{
		"both":         {both, commands{}, []string{"web-0 main: /bin/rest", "web-0 main: /bin/wake --now"}, release.ConsistencyApplication, "", ""},
		"post alone":   {map[string]string{post + "command": "/bin/wake"}, commands{}, []string{"web-0 main: /bin/wake"}, release.ConsistencyUnproven, "", "nothing that runs before the cut"},
		"pre alone":    {map[string]string{pre + "command": "/bin/rest"}, commands{}, []string{"web-0 main: /bin/rest"}, release.ConsistencyApplication, "", ""},
		"a container":  {with(both, pre+"container", "aside"), commands{}, []string{"web-0 aside: /bin/rest", "web-0 main: /bin/wake --now"}, release.ConsistencyApplication, "", ""},
		"not a list":   {map[string]string{pre + "command": "/bin/rest now"}, commands{}, []string{"web-0 main: /bin/rest now"}, release.ConsistencyApplication, "", ""},
		"pre fails":    {both, commands{fails: map[string]string{"/bin/rest": "no rest"}}, []string{"web-0 main: /bin/rest", "web-0 main: /bin/wake --now"}, "", "exit status 1: no rest", ""},
		"pre hangs":    {with(both, pre+"timeout", "5s"), commands{takes: map[string]time.Duration{"/bin/rest": time.Hour}}, []string{"web-0 main: /bin/rest", "web-0 main: /bin/wake --now"}, "", "deadline of 5s met", ""},
		"pre may fail": {with(both, pre+"on-error", "Continue"), commands{fails: map[string]string{"/bin/rest": "no rest"}}, []string{"web-0 main: /bin/rest", "web-0 main: /bin/wake --now"}, release.ConsistencyUnproven, "", "web-0 was not quiesced"},
		"post fails":   {both, commands{fails: map[string]string{"/bin/wake": "asleep"}}, []string{"web-0 main: /bin/rest", "web-0 main: /bin/wake --now"}, release.ConsistencyUnproven, "", "its thaw failed"},
		"skipped":      {with(both, snapshot.AnnotationHooks, "skip"), commands{}, nil, release.ConsistencyCrash, "", ""},
		"hold is first": {
			with(both, snapshot.AnnotationHold, "postgresql", snapshot.AnnotationHoldContainer, "main"),
			commands{},
			[]string{"web-0 main: psql --no-psqlrc --quiet --no-align --tuples-only --no-password --set=ON_ERROR_STOP=1 --dbname=dbname=postgres application_name=knowngood"},
			release.ConsistencyApplication, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				database := newPostgreSQL()
				streams := w.play(database, &test.commands)
				w.claim(t, "data", "loop")
				w.pod(t, "web-0", test.annotations, []string{"data"}, aside)
				got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
				if diff := cmp.Diff(test.want, words(streams)); diff != "" {
					t.Errorf("ran (-want +got):\n%s", diff)
				}
				if test.fails != "" {
					if err == nil || fault.StatusOf(err) != fault.Failed || len(got.Snapshots) != 0 || len(w.there(t)) != 0 {
						t.Fatalf("error %v, snapshots %+v; want a failure before anything is taken", err, got.Snapshots)
					}
					mentions(t, "error", err.Error(), "quiesce pod shop/web-0", test.fails)
					return
				}
				fatal(t, err)
				if c := got.Snapshots[0].Consistency; c != test.consistency {
					t.Errorf("consistency %s, want %s: %q", c, test.consistency, got.Notes)
				}
				mentions(t, "Notes", strings.Join(got.Notes, "\n"), test.note)
			})
		})
	}
}

func TestPodsThatDoNotRunAreSkipped(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		streams := w.play(nil, &commands{})
		w.claim(t, "data", "loop")
		w.pod(t, "job-0", map[string]string{pre + "command": "/bin/rest"}, []string{"data"}, func(pod *corev1.Pod) {
			pod.Status.Phase = corev1.PodSucceeded
		})
		got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		fatal(t, err)
		mentions(t, "Skipped", strings.Join(got.Skipped, "\n"), "hooks of pod job-0: it does not run (Succeeded)")
		if len(streams.Ran()) != 0 || got.Snapshots[0].Consistency != release.ConsistencyCrash {
			t.Errorf("ran %v, consistency %s", words(streams), got.Snapshots[0].Consistency)
		}
	})
}

func TestMistakesInHooksAreFoundBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		annotations map[string]string
		status      fault.Status
		want        string
	}{
		"no list":            {map[string]string{pre + "command": "[/bin/rest"}, fault.Usage, "want a command, or a JSON list"},
		"empty list":         {map[string]string{pre + "command": "[]"}, fault.Usage, "want a command, or a JSON list"},
		"no such container":  {map[string]string{pre + "command": "x", pre + "container": "nope"}, fault.Usage, `there is no container "nope": the pod has main, aside, dead`},
		"dead container":     {map[string]string{pre + "command": "x", pre + "container": "dead"}, fault.Failed, "container dead does not run"},
		"no such mode":       {map[string]string{pre + "command": "x", pre + "on-error": "ignore"}, fault.Usage, "want Fail or Continue"},
		"no length of time":  {map[string]string{post + "command": "x", post + "timeout": "30"}, fault.Usage, "want a length of time"},
		"no such recipe":     {map[string]string{snapshot.AnnotationHold: "mysql"}, fault.Usage, "the one recipe is postgresql"},
		"which container":    {map[string]string{snapshot.AnnotationHold: "postgresql"}, fault.Usage, "no container is named and the pod has several: main, aside, dead"},
		"too long a hold":    {with(holding, snapshot.AnnotationHoldContainer, "main", snapshot.AnnotationHoldTimeout, "3h"), fault.Usage, "want a length of time up to 10m0s"},
		"neither skip":       {with(holding, snapshot.AnnotationHooks, "no"), fault.Usage, "want skip"},
		"two lines of words": {map[string]string{snapshot.AnnotationHold: "my\nsql"}, fault.Usage, `"my sql"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				streams := w.play(nil, &commands{})
				w.claim(t, "data", "loop")
				w.pod(t, "web-0", test.annotations, []string{"data"}, aside, func(pod *corev1.Pod) {
					pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "dead"})
				})
				got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
				if err == nil || fault.StatusOf(err) != test.status || len(got.Snapshots)+len(streams.Ran())+len(w.there(t)) != 0 {
					t.Fatalf("error %v with status %d, want %d and nothing touched", err, fault.StatusOf(err), test.status)
				}
				mentions(t, "error", err.Error(), "hooks of pod shop/web-0", test.want)
			})
		})
	}
}

func TestFreezingPairsAreRefused(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		`["/sbin/fsfreeze", "--freeze", "/data"]`,
		`["/bin/bash", "-c", "sync && /usr/sbin/fsfreeze -f /data"]`,
		`["xfs_freeze","-f","/data"]`,
		`["xfs_io","-x","-c","freeze","/data"]`,
		`["mysql", "-e", "FLUSH TABLES WITH READ LOCK"]`,
		`["sh","-c","mysql -uroot -e 'flush  local tables  with read lock; system sleep 1'"]`,
		`["mysql","-e","flush tables orders, items with read lock"]`,
		`["mysql","-e","LOCK INSTANCE FOR BACKUP"]`,
		`["mongosh","--eval","db.fsyncLock()"]`,
		`["mongo","--eval","db.runCommand({ fsync: 1, lock: true })"]`,
		`["psql","-c","select pg_backup_start('x')"]`,
		`["psql","-c","select pg_start_backup('x')"]`,
		`["dmsetup","suspend","vg-data"]`,
		`["sh","-c","kill -STOP 1"]`,
		`["kill","-s","SIGSTOP","1"]`,
		`["sqlplus","/","as","sysdba","ALTER DATABASE BEGIN BACKUP;"]`,
		`["db2","set write suspend for db"]`,
	} {
		inFake(t, func(t *testing.T, w *world) {
			w.play(nil, &commands{})
			w.claim(t, "data", "loop")
			w.pod(t, "web-0", map[string]string{pre + "command": command, post + "command": "/bin/thaw"}, []string{"data"})
			_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
			if err == nil || fault.StatusOf(err) != fault.Usage || len(w.there(t)) != 0 {
				t.Fatalf("%s: error %v, want it refused", command, err)
			}
			mentions(t, "error", err.Error(), "hooks of pod shop/web-0", "freezes", "killed")
			mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), snapshot.AnnotationHold, snapshot.AnnotationHooks)
		})
	}
	for _, command := range []string{`["psql","-c","CHECKPOINT"]`, `["sh","-c","pg_dump shop > /data/dump.sql"]`, `["redis-cli","BGSAVE"]`, `["sync"]`, `["nginx","-s","stop"]`} {
		inFake(t, func(t *testing.T, w *world) {
			w.play(nil, &commands{})
			w.claim(t, "data", "loop")
			w.pod(t, "web-0", map[string]string{pre + "command": command}, []string{"data"})
			if _, err := snapshot.Take(t.Context(), w.Cluster, w.request()); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		})
	}
}
