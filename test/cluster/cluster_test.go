// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCluster starts two instances beside each other, uses one for all it can do, and wants the host as it was.
func TestCluster(t *testing.T) {
	gated(t)
	before := takeFootprint(t)
	a, b := cluster{t, "test-a"}, cluster{t, "test-b"}
	for _, c := range []cluster{a, b} {
		c.must("down")
		t.Cleanup(func() { _, _ = c.try("down") })
	}
	a.must("build", "--with", "tekton")
	var both sync.WaitGroup
	for c, parts := range map[cluster][]string{a: {"--with", "tekton"}, b: nil} {
		both.Go(func() {
			if _, err := c.try("up", parts...); err != nil {
				t.Errorf("%s does not start: %v", c.name, err)
			}
		})
	}
	both.Wait()
	if t.Failed() {
		t.FailNow()
	}
	unchanged(t, before)
	report(a)
	a.must("load", probeImage(t))
	a.must("kubectl", "apply", "-f", "testdata/objects.yaml")
	a.wait("condition=Ready", "pod", "--all")
	a.wait("condition=Ready", "certificate", "--all")
	t.Run("network", func(t *testing.T) { network(cluster{t, a.name}) })
	t.Run("storage", func(t *testing.T) { storage(cluster{t, a.name}) })
	t.Run("faults", func(t *testing.T) { faults(cluster{t, a.name}) })
	t.Run("certificates", func(t *testing.T) { certificates(cluster{t, a.name}) })
	t.Run("admission", func(t *testing.T) { admission(cluster{t, a.name}) })
	t.Run("supervision", func(t *testing.T) { supervision(cluster{t, a.name}) })
	t.Run("tekton", func(t *testing.T) { tekton(cluster{t, a.name}) })
	if out, err := b.try("up", "--with", "tekton"); err == nil {
		t.Errorf("an instance got another part while it ran: %s", out)
	}
	if got := b.must("kubectl", "get", "pods", "-o", "name"); got != "" {
		t.Errorf("pods of %s are in %s: %s", a.name, b.name, got)
	}
	freeze(a)
	for _, c := range []cluster{a, b} {
		in := c.instance()
		spaces := namespaces(in)
		c.must("down")
		nothingLeft(t, in, spaces)
	}
	unchanged(t, before)
}

// report checks the documented shape of status --json.
func report(c cluster) {
	c.t.Helper()
	var r Report
	if err := json.Unmarshal([]byte(c.must("status", "--json")), &r); err != nil {
		c.t.Fatal(err)
	}
	if !r.Ready || !r.Running || r.Name != c.name || len(r.Components) < 15 || r.Since == nil {
		c.t.Errorf("status: %+v", r)
	}
	if r.Kubeconfig != c.must("kubeconfig") {
		c.t.Errorf("status and kubeconfig disagree: %s", r.Kubeconfig)
	}
	if _, err := os.Readlink(r.Network); err != nil {
		c.t.Error(err)
	}
}

func network(c cluster) {
	c.expect("hello from web-", "kubectl", "exec", "db-0", "--", "/probe", "get", "http://web.default.svc.cluster.local/")
	c.expect("hello from web-", "kubectl", "exec", "db-0", "--", "/probe", "get", "http://web/")
	c.expect("holding", "kubectl", "logs", "db-1")
	address := c.must("kubectl", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	c.expect("hello from web-", "exec", "--", "curl", "-s", "http://"+address+"/")
	if _, err := c.try("exec", "--", "sh", "-c", "exit 7"); err == nil || err.Error() != "exit status 7" {
		c.t.Errorf("exec of a failing program: %v", err)
	}
	if out, err := c.try("exec", "--", "curl", "-s", "--max-time", "2", "http://192.0.2.1/"); err == nil {
		c.t.Errorf("something outside answers: %s", out)
	}
	portForward(c)
}

func portForward(c cluster) {
	c.t.Helper()
	forward := c.command(c.t.Context(), "kubectl", "port-forward", "deployment/web", ":8080")
	out, err := forward.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		c.t.Fatal(err)
	}
	defer func() { _, _ = forward.Process.Kill(), forward.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n') // Forwarding from 127.0.0.1:45678 -> 8080
	if err != nil {
		c.t.Fatal(err)
	}
	address := strings.Fields(line)[2]
	response, err := http.Get("http://" + address + "/")
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if text, err := io.ReadAll(response.Body); err != nil || !strings.HasPrefix(string(text), "hello from web-") {
		c.t.Errorf("port-forward: %q, %v", text, err)
	}
}

func storage(c cluster) {
	c.must("kubectl", "exec", "db-0", "--", "/probe", "write", "/data/file", "before")
	c.must("kubectl", "exec", "raw", "--", "/probe", "write", "/dev/disk", "raw bytes")
	c.must("kubectl", "apply", "-f", "testdata/snapshots.yaml")
	c.wait("jsonpath={.status.readyToUse}=true", "volumesnapshot/one")
	c.must("kubectl", "exec", "db-0", "--", "/probe", "write", "/data/file", "after!")
	c.wait("condition=Ready", "pod/restored")
	c.expect("before", "kubectl", "exec", "restored", "--", "/probe", "read", "/data/file")
	c.expect("after!", "kubectl", "exec", "db-0", "--", "/probe", "read", "/data/file")
	c.wait("jsonpath={.status.readyToUse}=true", "volumegroupsnapshot/both")
	c.wait("jsonpath={.status.readyToUse}=true", "volumesnapshot", "--all")
	if members := c.must("kubectl", "get", "volumesnapshot", "-o", "name"); strings.Count(members, "\n") != 2 {
		c.t.Errorf("want the snapshot and two members of the group, got:\n%s", members)
	}
	c.must("kubectl", "delete", "--timeout=60s", "pod", "restored", "raw")
	c.must("kubectl", "delete", "--timeout=60s", "pvc", "restored", "raw")
	c.must("kubectl", "delete", "--timeout=60s", "volumegroupsnapshot", "both")
	c.must("kubectl", "delete", "--timeout=60s", "volumesnapshot", "one")
}

func faults(c cluster) {
	c.must("kubectl", "apply", "-f", "testdata/faults.yaml")
	c.wait("jsonpath={.status.error.message}", "volumesnapshot/full")
	c.expect("quota exceeded", "kubectl", "get", "volumesnapshot", "full", "-o", "jsonpath={.status.error.message}")
	c.wait("jsonpath={.status.readyToUse}=false", "volumesnapshot/never")
	c.wait("jsonpath={.status.readyToUse}=true", "volumesnapshot/slow")
	c.must("kubectl", "delete", "--timeout=60s", "volumesnapshot", "slow", "full", "never")
}

func certificates(c cluster) {
	const serial = `jsonpath={.data.tls\.crt}`
	old := c.must("kubectl", "get", "secret", "leaf", "-o", serial)
	c.must("kubectl", "patch", "certificate", "leaf", "--subresource=status", "--type=json", "-p",
		`[{"op":"add","path":"/status/conditions/-","value":{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"test","lastTransitionTime":"2026-01-01T00:00:00Z"}}]`)
	c.wait("jsonpath={.status.revision}=2", "certificate/leaf")
	if c.must("kubectl", "get", "secret", "leaf", "-o", serial) == old {
		c.t.Error("the certificate is the old one")
	}
}

// admission: cert-manager's webhook and the API server's own Pod Security both refuse what they should.
func admission(c cluster) {
	text := "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: bad}\nspec: {secretName: bad, issuerRef: {name: ca}}\n"
	if err := create(c, text); err == nil {
		c.t.Error("a Certificate without names is accepted")
	}
	c.must("kubectl", "create", "namespace", "strict")
	c.must("kubectl", "label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
	c.wait("create", "-n", "strict", "serviceaccount/default")
	text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: strict}\nspec: {containers: [{name: c, image: \"knowngood.test/probe:1\"}]}\n"
	if err := create(c, text); err == nil {
		c.t.Error("a Pod without a security context is accepted in a restricted namespace")
	}
}

func create(c cluster, text string) error {
	c.t.Helper()
	cmd := c.command(c.t.Context(), "kubectl", "create", "--dry-run=server", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	c.t.Logf("create: %v: %s", err, out)
	return err
}

// supervision: components can be kept down, and come back by themselves when they are killed.
func supervision(c cluster) {
	c.must("stop", "snapshot-controller")
	if _, err := c.try("status"); err == nil {
		c.t.Error("status says ready while a component is stopped")
	}
	c.must("start", "snapshot-controller")
	c.must("status")
	c.must("exec", "--", "pkill", "-KILL", "-x", "csi-snapshotter")
	deadline := time.Now().Add(30 * time.Second)
	for {
		var r Report
		out, _ := c.try("status", "--json") // its status is 1 while the component is away
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			c.t.Fatal(err)
		}
		for _, s := range r.Components {
			if s.Name == "csi-snapshotter" && s.Restarts > 0 && r.Ready {
				return
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("csi-snapshotter does not come back: %+v", r)
		}
	}
}
