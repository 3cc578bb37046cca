// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// A database is a PostgreSQL on the real cluster. What it holds is the newest row of a table.
type database struct {
	*realcluster.Cluster
	image string
}

// imageSwitch names the variable with another image that has PostgreSQL in its PATH.
const imageSwitch = "KNOWNGOOD_TEST_POSTGRESQL_IMAGE"

const databaseSpec = `
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
`

const databaseSet = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: "%%NAMESPACE%%"}
spec:
  replicas: 1
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:` + databaseSpec + `
  volumeClaimTemplates:
  - metadata: {name: data, labels: {app: db}, annotations: {example.com/mine: "1"}}
    spec: {accessModes: [ReadWriteOnce], storageClassName: %[1]s, resources: {requests: {storage: 256Mi}}}
`

// onClaim is the same database as a pod, to see what a claim holds.
const onClaim = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: "%%NAMESPACE%%"}
spec:` + databaseSpec + `
      volumes: [{name: data, persistentVolumeClaim: {claimName: %[1]s}}]
`

func TestOnRealCluster(t *testing.T) {
	t.Parallel()
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, inCluster(t))
		})
	}
}

// inCluster makes a world of its own on the real cluster. Volumes that a test kept are deleted
// in the end.
func inCluster(t *testing.T) *world {
	t.Helper()
	c := realcluster.New(t, "restore")
	d := &database{Cluster: c, image: c.Image(t, "/shop-db:", imageSwitch)}
	later, deleting := storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "later-" + c.Namespace}, Provisioner: driver, VolumeBindingMode: &later, ReclaimPolicy: &deleting,
	}
	_, err := c.Core.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{})
	fatal(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = c.Core.StorageV1().StorageClasses().Delete(ctx, class.Name, metav1.DeleteOptions{})
		d.forget(ctx, t)
	})
	return &world{Cluster: c.Cluster, later: class.Name, real: d}
}

// forget lets the storage delete the volumes that are kept for claims of the namespace.
func (d *database) forget(ctx context.Context, t *testing.T) {
	t.Helper()
	list, err := d.Core.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{LabelSelector: release.LabelKept})
	if err != nil {
		t.Error(err)
		return
	}
	for i := range list.Items {
		if ref := list.Items[i].Spec.ClaimRef; ref != nil && ref.Namespace == d.Namespace {
			patch := []byte(`{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
			if _, err := d.Core.CoreV1().PersistentVolumes().Patch(ctx, list.Items[i].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// begin starts the database, writes "good" and takes the snapshot of a release.
func (d *database) begin(t *testing.T, class string) release.Snapshot {
	t.Helper()
	d.Apply(t, fmt.Sprintf(databaseSet, class, d.image))
	d.ready(t, "db-0")
	d.sql(t, "db-0", "create table t (n bigint generated always as identity, what text)")
	d.write(t, "good")
	got, err := snapshot.Take(t.Context(), d.Cluster.Cluster, snapshot.Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "run-1", Commit: commit}, Class: "loop", Timeout: time.Minute,
	})
	fatal(t, err)
	return got.Snapshots[0]
}

func (d *database) ready(t *testing.T, pod string) {
	t.Helper()
	spec := kube.WaitSpec{What: "pod " + pod, Timeout: 2 * time.Minute, Resource: "pods", Namespace: d.Namespace, Name: pod}
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

func (d *database) sql(t *testing.T, pod, statement string) string {
	t.Helper()
	output, err := d.Streams.Exec(t.Context(), kube.Command{
		Namespace: d.Namespace, Pod: pod, Container: "db", Args: []string{"psql", "-XAtq", "-d", "postgres", "-U", "postgres", "-c", statement},
	})
	fatal(t, err)
	return strings.TrimSpace(output.Stdout)
}

func (d *database) write(t *testing.T, text string) {
	t.Helper()
	d.sql(t, "db-0", "insert into t (what) values ('"+text+"')")
}

func (d *database) read(t *testing.T, pod string) string {
	t.Helper()
	return d.sql(t, pod, "select what from t order by n desc limit 1")
}

// start starts a database of the claim's name on a claim.
func (d *database) start(t *testing.T, claim string) {
	t.Helper()
	d.Apply(t, fmt.Sprintf(strings.ReplaceAll(onClaim, "%[2]s", d.image), claim))
	d.ready(t, claim)
}
