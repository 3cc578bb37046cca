// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Database is a PostgreSQL of one replica: the StatefulSet db with the claim data-db-0. What
// it holds is the newest row of a table.
type Database struct {
	*Cluster
	image string
}

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

// Database starts one on a storage class. Volumes that restores have kept for it are given up
// when the test ends.
func (c *Cluster) Database(t *testing.T, class string) *Database {
	t.Helper()
	d := &Database{Cluster: c, image: c.Image(t, "/shop-db:", databaseSwitch)}
	t.Cleanup(func() { d.forget(context.WithoutCancel(t.Context()), t) })
	d.Apply(t, fmt.Sprintf(databaseSet, class, d.image))
	d.Ready(t, "db-0")
	d.sql(t, "db-0", "create table t (n bigint generated always as identity, what text)")
	return d
}

// forget lets the storage delete the volumes that are kept for claims of the namespace.
func (c *Cluster) forget(ctx context.Context, t *testing.T) {
	t.Helper()
	list, err := c.Core.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{LabelSelector: release.LabelKept})
	if err != nil {
		t.Error(err)
		return
	}
	for i := range list.Items {
		if ref := list.Items[i].Spec.ClaimRef; ref != nil && ref.Namespace == c.Namespace {
			patch := []byte(`{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
			if _, err := c.Core.CoreV1().PersistentVolumes().Patch(ctx, list.Items[i].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// Ready waits until a pod is ready.
func (c *Cluster) Ready(t *testing.T, pod string) {
	t.Helper()
	spec := kube.WaitSpec{What: "pod " + pod, Timeout: 2 * time.Minute, Resource: "pods", Namespace: c.Namespace, Name: pod}
	if err := kube.Wait(t.Context(), c.Cluster, spec, c.Core.CoreV1().Pods(c.Namespace), kube.Named(func(pod *corev1.Pod) (kube.Progress, error) {
		if pod == nil {
			return kube.Progress{State: "absent"}, nil
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return kube.Progress{Done: true}, nil
			}
		}
		return kube.Progress{State: string(pod.Status.Phase)}, nil
	})); err != nil {
		t.Fatal(err)
	}
}

func (d *Database) sql(t *testing.T, pod, statement string) string {
	t.Helper()
	output, err := d.Streams.Exec(t.Context(), kube.Command{
		Namespace: d.Namespace, Pod: pod, Container: "db", Args: []string{"psql", "-XAtq", "-d", "postgres", "-U", "postgres", "-c", statement},
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output.Stdout)
}

// Write lets the database hold a text.
func (d *Database) Write(t *testing.T, text string) {
	t.Helper()
	d.sql(t, "db-0", "insert into t (what) values ('"+text+"')")
}

// Read returns what the database of a pod holds.
func (d *Database) Read(t *testing.T, pod string) string {
	t.Helper()
	return d.sql(t, pod, "select what from t order by n desc limit 1")
}

// Start starts a pod of the claim's name that serves what the claim holds.
func (d *Database) Start(t *testing.T, claim string) {
	t.Helper()
	d.Apply(t, fmt.Sprintf(strings.ReplaceAll(onClaim, "%[2]s", d.image), claim))
	d.Ready(t, claim)
}
