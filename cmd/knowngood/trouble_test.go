// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/realcluster"
)

const aClaim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: "%NAMESPACE%", labels: {app: data}}
spec: {accessModes: [ReadWriteOnce], storageClassName: loop, resources: {requests: {storage: 64Mi}}}
`

const issuers = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: broken}
spec: {ca: {secretName: gone}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: on-broken, labels: {app: on-broken}}
spec: {secretName: a, dnsNames: [a], issuerRef: {name: broken}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: on-external, labels: {app: on-external}}
spec: {secretName: c, dnsNames: [c], issuerRef: {name: x, kind: Shop, group: example.com}}
`

// class makes a VolumeSnapshotClass whose snapshots misbehave.
func class(t *testing.T, c *realcluster.Cluster, name string, faults map[string]string) string {
	t.Helper()
	classes := c.Snapshots.SnapshotV1().VolumeSnapshotClasses()
	made, err := classes.Create(t.Context(), &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-" + c.Namespace}, Driver: "loop.csi.knowngood.test",
		DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete, Parameters: faults,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = classes.Delete(context.WithoutCancel(t.Context()), made.Name, metav1.DeleteOptions{})
	})
	return made.Name
}

// TestTroublesOfACluster runs the program into what can be wrong in a cluster: a clear error, a
// cure, the exit status, and an entry that tells the same.
func TestTroublesOfACluster(t *testing.T) {
	t.Parallel()
	empty, c := realcluster.New(t, "trouble"), realcluster.New(t, "trouble")
	c.Apply(t, aClaim+"---"+issuers)
	c.Bound(t, "data")
	nobody := c.Account(t, "nobody", nil, nil)
	never := class(t, c, "never", map[string]string{"knowngood.test/ready-after": "never"})
	fails := class(t, c, "fails", map[string]string{"knowngood.test/fail": "too many snapshots", "knowngood.test/fail-code": "ResourceExhausted"})
	for _, test := range []struct {
		name       string
		args       []string
		status     int
		says, cure string
	}{
		{"no claims", []string{"snapshot", "--namespace", empty.Namespace}, 2, "has no claims", "--namespace"},
		{"no such claims", []string{"snapshot", "--claims", "app=absent"}, 2, "no claim", ""},
		{"no such class", []string{"snapshot", "--claims", "app=data", "--snapshot-class", "absent"}, 2, "there is no VolumeSnapshotClass absent", ""},
		{"storage that fails", []string{"snapshot", "--claims", "app=data", "--snapshot-class", fails}, 3, "too many snapshots", ""},
		{"deadline", []string{"snapshot", "--claims", "app=data", "--snapshot-class", never, "--timeout", "3s"}, 3, "deadline of 3s met", "--timeout"},
		{"forbidden", []string{"snapshot", "--claims", "app=data", "--kubeconfig", nobody}, 3, "list pods", `verbs: ["list"]`},
		{"forbidden to renew", []string{"rotate", "prepare", "--kubeconfig", nobody}, 3, "list certificates", `verbs: ["list"]`},
		{"an issuer that is not ready", []string{"rotate", "prepare", "--certificates", "app=on-broken"}, 3, "issuer/broken is not ready", ""},
		{"an issuer that does not answer", []string{"rotate", "prepare", "--certificates", "app=on-external", "--timeout", "3s"}, 3, "waits for approval", ""},
		{"a selector that is none", []string{"rotate", "prepare", "--certificates", "app in"}, 2, "app in", "app=shop"},
		{"claims by a selector that is none", []string{"snapshot", "--claims", "app in"}, 2, "app in", "app=shop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := aPerson(t, c)
			status, said := p.run(t, test.args...)
			if status != test.status || !strings.Contains(said, "knowngood: ") || !strings.Contains(said, test.says) {
				t.Errorf("exit status %d, want %d with %q:\n%s", status, test.status, test.says, said)
			}
			if !strings.Contains(said, "hint: ") || !strings.Contains(said, test.cure) {
				t.Errorf("no cure %q is told:\n%s", test.cure, said)
			}
			step := test.args[0]
			if step == "rotate" {
				step = "rotate-prepare"
			}
			if e := p.last(t, step); e == nil || e.State != release.Failed || !strings.Contains(e.Error, test.says) {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

// TestWithoutCertManager runs into a cluster that does not know what a Certificate is.
func TestWithoutCertManager(t *testing.T) {
	t.Parallel()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"major": "1", "minor": "37", "gitVersion": "v1.37.2"}`)
			return
		}
		http.NotFound(w, r) // what an API server says of a type that it does not know
	}))
	t.Cleanup(bare.Close)
	p := person{folder: t.TempDir(), namespace: "shop", name: "r1"}
	p.kubeconfig = kubeconfig(t, p.folder, bare.URL)
	for _, step := range []string{"prepare", "prove"} {
		status, said := p.run(t, "rotate", step)
		for _, text := range []string{"knowngood: list certificates", "hint: install cert-manager"} {
			if status != 3 || !strings.Contains(said, text) {
				t.Errorf("rotate %s: exit status %d, want 3 with %q:\n%s", step, status, text, said)
			}
		}
	}
}
