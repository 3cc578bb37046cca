// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// database is a PostgreSQL on a claim of the real cluster.
type database struct {
	*realcluster.Cluster
	image string
	pod   string
}

// imageSwitch names the variable with another image that has PostgreSQL in its PATH.
const imageSwitch = "KNOWNGOOD_TEST_POSTGRESQL_IMAGE"

const databasePod = `
apiVersion: v1
kind: Pod
metadata:
  name: %[1]s
  namespace: "%%NAMESPACE%%"
  annotations: {knowngood.dev/hold: postgresql, knowngood.dev/hold-timeout: %[3]s}
spec:
  terminationGracePeriodSeconds: 2
  securityContext: {runAsUser: 999, runAsGroup: 999, fsGroup: 999}
  containers:
  - name: db
    image: %[2]s
    imagePullPolicy: Never
    env: [{name: PGHOST, value: /tmp}, {name: PGDATA, value: /data/pg}]
    command: [sh, -c]
    args:
    - |
      [ -d /data/pg ] || { initdb --auth=trust --username=postgres --no-sync >/dev/null && sync; }
      chmod 0700 /data/pg
      exec postgres -c listen_addresses= -c unix_socket_directories=/tmp
    readinessProbe: {exec: {command: [psql, -Atc, select 1, -d, postgres, -U, postgres]}, periodSeconds: 1}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: %[1]s}}
`

const databaseClaim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[1]s, namespace: "%%NAMESPACE%%"}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: loop
  resources: {requests: {storage: 512Mi}}
`

// newDatabase starts one that may be held for the given time.
func newDatabase(t *testing.T, hold time.Duration) *database {
	t.Helper()
	c := realcluster.New(t, "snapshot")
	d := &database{Cluster: c, image: c.Image(t, "/shop-db:", imageSwitch), pod: "db"}
	d.Apply(t, fmt.Sprintf(databaseClaim, "db"))
	d.start(t, "db", hold)
	return d
}

func (d *database) start(t *testing.T, name string, hold time.Duration) {
	t.Helper()
	d.Apply(t, fmt.Sprintf(databasePod, name, d.image, hold))
	spec := kube.WaitSpec{What: "pod " + name, Timeout: 2 * time.Minute, Resource: "pods", Namespace: d.Namespace, Name: name}
	fatal(t, kube.Wait(t.Context(), d.Cluster.Cluster, spec, d.Core.CoreV1().Pods(d.Namespace), kube.Named(func(pod *corev1.Pod) (kube.Progress, error) {
		if pod == nil {
			return kube.Progress{State: "absent"}, nil
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return kube.Progress{Done: true}, nil
			}
		}
		return kube.Progress{State: string(pod.Status.Phase)}, nil
	})))
}

// run runs a command in a pod and returns what it printed.
func (d *database) run(t *testing.T, pod string, args ...string) string {
	t.Helper()
	output, err := d.Streams.Exec(t.Context(), kube.Command{Namespace: d.Namespace, Pod: pod, Container: "db", Args: args})
	fatal(t, err)
	return strings.TrimSpace(output.Stdout)
}

func (d *database) sql(t *testing.T, pod, statement string) string {
	t.Helper()
	return d.run(t, pod, "psql", "-XAtq", "-d", "postgres", "-U", "postgres", "-c", statement)
}

// sessions counts our sessions on the server, processes our psql in the container.
func (d *database) sessions(t *testing.T) string {
	t.Helper()
	return d.sql(t, "db", "select count(*) from pg_stat_activity where application_name = 'knowngood'")
}

func (d *database) processes(t *testing.T) string {
	t.Helper()
	return d.run(t, "db", "sh", "-c", `n=0; for p in /proc/[0-9]*; do tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q '^psql .*application_name=knowngood' && n=$((n+1)); done; echo $n`)
}

// until asks again and again, for what no watch tells.
func until(t *testing.T, within time.Duration, what string, reached func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !reached() {
		if time.Since(began) > within {
			t.Fatalf("not %s within %s", what, within)
		}
	}
	return time.Since(began)
}

func realRequest(class string) snapshot.Request {
	return snapshot.Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit}, Class: class, Timeout: 3 * time.Minute,
	}
}

// A database that is written to all the time is snapshotted, restored and started: what was
// acknowledged before the cut is there.
func TestPostgreSQLComesBackFromItsSnapshot(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, time.Minute)
	d.sql(t, "db", "create table t (n bigint generated always as identity, at timestamptz default clock_timestamp())")
	writing, stop := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		_, err := d.Streams.Exec(writing, kube.Command{
			Namespace: d.Namespace, Pod: "db", Container: "db", Timeout: 5 * time.Minute,
			Args: []string{"sh", "-c", "while echo 'insert into t default values;'; do :; done | psql -Xq -d postgres -U postgres"},
		})
		written <- err
	}()
	defer func() { stop(); <-written }()
	until(t, time.Minute, "written to", func() bool { n, _ := strconv.Atoi(d.sql(t, "db", "select count(*) from t")); return n > 100 })
	before, err := strconv.Atoi(d.sql(t, "db", "select count(*) from t"))
	fatal(t, err)
	got, err := snapshot.Take(t.Context(), d.Cluster.Cluster, realRequest("loop"))
	fatal(t, err)
	after, err := strconv.Atoi(d.sql(t, "db", "select count(*) from t"))
	fatal(t, err)
	s := got.Snapshots[0]
	if s.Consistency != release.ConsistencyApplication || !got.Hooks[0].Held || d.sessions(t) != "0" || d.processes(t) != "0" {
		t.Errorf("snapshot %+v, notes %q, %s sessions and %s processes left", s, got.Notes, d.sessions(t), d.processes(t))
	}
	vs, err := d.Snapshots.SnapshotV1().VolumeSnapshots(d.Namespace).Get(t.Context(), s.Name, metav1.GetOptions{})
	fatal(t, err)
	mentions(t, "backup_label", vs.Annotations[snapshot.AnnotationBackupLabel], "START WAL LOCATION", "LABEL: knowngood 0123456789ab")

	d.Apply(t, fmt.Sprintf(databaseClaim, "restored")+fmt.Sprintf("  dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: %s}\n", s.Name))
	d.start(t, "restored", time.Minute)
	there, err := strconv.Atoi(d.sql(t, "restored", "select count(*) from t"))
	fatal(t, err)
	if there < before || there > after || after <= before {
		t.Errorf("%d rows restored; %d were acknowledged before, %d after", there, before, after)
	}
	t.Logf("rows: %d before, %d restored, %d after; held for %.3f s", before, there, after, got.FrozenSeconds)
}

// attemptSwitch makes the test program the attempt that another test kills: it holds the
// database of a namespace for as long as it lives.
const attemptSwitch = "KNOWNGOOD_TEST_ATTEMPT"

func TestAttemptThatIsKilled(t *testing.T) {
	namespace, class, given := strings.Cut(os.Getenv(attemptSwitch), "/")
	if !given {
		t.Skipf("is run by other tests, which set %s", attemptSwitch)
	}
	c, err := kube.Connect(kube.Config{Kubeconfig: os.Getenv(realcluster.Switch), Namespace: namespace, Log: discard(), Now: time.Now})
	fatal(t, err)
	_, err = snapshot.Take(t.Context(), c, realRequest(class))
	t.Logf("Take: %v", err)
}

// hold starts an attempt in a process of its own and returns it once the database is held.
func (d *database) hold(t *testing.T) *exec.Cmd {
	t.Helper()
	w := &world{Cluster: d.Cluster.Cluster, suffix: "-" + d.Namespace}
	class := w.faulty(t, "slow", map[string]string{"knowngood.test/delay": "25s"})
	program, err := os.Executable()
	fatal(t, err)
	attempt := exec.CommandContext(t.Context(), program, "-test.run", "^TestAttemptThatIsKilled$", "-test.v")
	attempt.Env = append(os.Environ(), attemptSwitch+"="+d.Namespace+"/"+class)
	attempt.Stdout, attempt.Stderr = t.Output(), t.Output()
	fatal(t, attempt.Start())
	t.Cleanup(func() {
		_ = attempt.Process.Signal(syscall.SIGCONT)
		_ = attempt.Process.Kill()
		_ = attempt.Wait()
	})
	until(t, time.Minute, "held", func() bool { return len(w.there(t)) == 1 && d.sessions(t) == "1" })
	return attempt
}

func TestKilledWeHoldNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, time.Minute)
	attempt := d.hold(t)
	fatal(t, attempt.Process.Kill())
	took := until(t, 10*time.Second, "let go", func() bool { return d.sessions(t) == "0" && d.processes(t) == "0" })
	t.Logf("killed: the session was gone after %s", took)
}

// A process that is stopped, or whose network is gone without a word, closes nothing. Then
// the server's own limit ends the hold.
func TestFallenSilentWeHoldNothingForLong(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, 8*time.Second)
	attempt := d.hold(t)
	fatal(t, attempt.Process.Signal(syscall.SIGSTOP))
	took := until(t, 20*time.Second, "let go", func() bool { return d.sessions(t) == "0" })
	if took < 2*time.Second {
		t.Errorf("let go after %s: that was not the server's limit", took)
	}
	t.Logf("stopped: the session was gone after %s", took)
}

func TestCancelledWeHoldNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, time.Minute)
	w := &world{Cluster: d.Cluster.Cluster, suffix: "-" + d.Namespace}
	class := w.faulty(t, "slow", map[string]string{"knowngood.test/delay": "25s"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		until(t, time.Minute, "held", func() bool { return len(w.there(t)) == 1 && d.sessions(t) == "1" })
	}()
	got, err := snapshot.Take(ctx, d.Cluster.Cluster, realRequest(class))
	if err == nil || d.sessions(t) != "0" || d.processes(t) != "0" {
		t.Errorf("error %v, %s sessions and %s processes left", err, d.sessions(t), d.processes(t))
	}
	thawed(t, got)
	if left := w.there(t); len(left) != 0 {
		t.Errorf("not deleted: %v", left)
	}
}
