// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/kube"
)

// A Disk is an application on a raw block volume: the StatefulSet disk with the claim data-disk-0.
type Disk struct {
	*Cluster
	image string
}

const diskSpec = `
      terminationGracePeriodSeconds: 1
      containers:
      - name: disk
        image: %[2]s
        imagePullPolicy: Never
        command: [sleep, infinity]
        securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        volumeDevices: [{name: data, devicePath: /dev/disk}]
`

const diskSet = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: disk, namespace: "%%NAMESPACE%%"}
spec:
  replicas: 1
  serviceName: disk
  selector: {matchLabels: {app: disk}}
  template:
    metadata: {labels: {app: disk}}
    spec:` + diskSpec + `
  volumeClaimTemplates:
  - metadata: {name: data, labels: {app: disk}}
    spec: {accessModes: [ReadWriteOnce], volumeMode: Block, storageClassName: %[1]s, resources: {requests: {storage: 32Mi}}}
`

const onDevice = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: "%%NAMESPACE%%"}
spec:` + diskSpec + `
      volumes: [{name: data, persistentVolumeClaim: {claimName: %[1]s}}]
`

// Disk starts one on a storage class. Volumes that restores have kept for it are given up when the
// test ends.
func (c *Cluster) Disk(t *testing.T, class string) *Disk {
	t.Helper()
	d := &Disk{Cluster: c, image: c.Image(t, "/shop-db:", databaseSwitch)}
	t.Cleanup(func() { d.forget(context.WithoutCancel(t.Context()), t) })
	d.Apply(t, fmt.Sprintf(diskSet, class, d.image))
	d.Ready(t, "disk-0")
	return d
}

func (d *Disk) shell(t *testing.T, pod, line string) string {
	t.Helper()
	output, err := d.Streams.Exec(t.Context(), kube.Command{
		Namespace: d.Namespace, Pod: pod, Container: "disk", Args: []string{"sh", "-euc", line},
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output.Stdout)
}

// Write puts a text at the start of the device and near its end.
func (d *Disk) Write(t *testing.T, text string) {
	t.Helper()
	d.shell(t, "disk-0", "for at in 0 30000; do printf %s '"+text+"' | dd of=/dev/disk bs=1k seek=$at conv=fsync,notrunc 2>/dev/null; done")
}

// Read returns what the device of a pod holds: the text, and the digest of all of it.
func (d *Disk) Read(t *testing.T, pod string) (text, digest string) {
	t.Helper()
	text, digest, _ = strings.Cut(d.shell(t, pod, "head -c 16 /dev/disk | tr -d '\\0'; echo; sha256sum /dev/disk | head -c 64"), "\n")
	return text, digest
}

// Start starts a pod of the claim's name that has the claim's device.
func (d *Disk) Start(t *testing.T, claim string) {
	t.Helper()
	d.Apply(t, fmt.Sprintf(strings.ReplaceAll(onDevice, "%[2]s", d.image), claim))
	d.Ready(t, claim)
}
