// SPDX-License-Identifier: Apache-2.0

package kube_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/realcluster"
)

// imageSwitch names the variable with another image that has a shell and PostgreSQL.
const imageSwitch = "KNOWNGOOD_TEST_POSTGRESQL_IMAGE"

// server is a pod with a shell, and PostgreSQL on its port 5432.
const server = `
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: "%NAMESPACE%"}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 999, runAsGroup: 999}
  containers:
  - name: main
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "initdb -D /tmp/d --auth=trust -U postgres --no-sync >/dev/null; exec postgres -D /tmp/d -c unix_socket_directories=/tmp"]
    readinessProbe: {exec: {command: [psql, -h, /tmp, -U, postgres, -c, select]}, periodSeconds: 1}
  - name: aside
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "exec sleep 3600"]
`

// newServer starts the pod and waits until it is ready.
func newServer(t *testing.T) *realcluster.Cluster {
	t.Helper()
	c := realcluster.New(t, "snapshot")
	c.Apply(t, strings.ReplaceAll(server, "IMAGE", c.Image(t, "/shop-db:", imageSwitch)))
	spec := kube.WaitSpec{What: "pod server", Timeout: 2 * time.Minute, Resource: "pods", Namespace: c.Namespace, Name: "server"}
	if err := kube.Wait(t.Context(), c.Cluster, spec, c.Core.CoreV1().Pods(c.Namespace), kube.Named(func(pod *corev1.Pod) (kube.Progress, error) {
		if pod == nil {
			return kube.Progress{State: "absent"}, nil
		}
		ready := 0
		for _, status := range pod.Status.ContainerStatuses {
			if status.Ready {
				ready++
			}
		}
		return kube.Progress{Done: ready == 2, State: string(pod.Status.Phase)}, nil
	})); err != nil {
		t.Fatal(err)
	}
	return c
}

func shell(c *kube.Cluster, script string) kube.Command {
	return kube.Command{Namespace: c.Namespace, Pod: "server", Container: "main", Args: []string{"sh", "-c", script}}
}

func TestStreamsOfARealCluster(t *testing.T) {
	t.Parallel()
	c := newServer(t)
	for way, streams := range map[string]*kube.Cluster{"websocket": c.Cluster, "spdy": withoutWebsockets(t, c)} {
		t.Run(way, func(t *testing.T) {
			t.Run("exec", func(t *testing.T) { t.Parallel(); execWorks(t, streams) })
			t.Run("exec ends", func(t *testing.T) { t.Parallel(); execEnds(t, streams) })
			t.Run("hold", func(t *testing.T) { t.Parallel(); holdWorks(t, streams) })
			t.Run("dial", func(t *testing.T) { t.Parallel(); dialWorks(t, streams) })
		})
	}
	t.Run("forbidden", func(t *testing.T) { t.Parallel(); execForbidden(t, c) })
	t.Run("reach", func(t *testing.T) { t.Parallel(); reachWorks(t, c.Cluster) })
}

// withoutWebsockets reaches the same cluster through a proxy of the kind that knows SPDY alone.
func withoutWebsockets(t *testing.T, c *realcluster.Cluster) *kube.Cluster {
	t.Helper()
	target, err := url.Parse(c.REST.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(c.REST)
	if err != nil {
		t.Fatal(err)
	}
	upgrading := rest.CopyConfig(c.REST)
	upgrading.NextProtos = []string{"http/1.1"} // HTTP/2 knows no upgrades
	plain, err := rest.TransportFor(upgrading)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.Error(w, "no websockets here", http.StatusBadRequest)
			return
		}
		through := *proxy
		through.Transport = transport
		if r.Header.Get("Upgrade") != "" {
			through.Transport = plain
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	proxied, err := connect(kube.Config{Kubeconfig: kubeconfig(t, server.URL), Namespace: c.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	return proxied
}

func execWorks(t *testing.T, c *kube.Cluster) {
	output, err := c.Streams.Exec(t.Context(), shell(c, "echo out; echo err >&2"))
	if err != nil || output.Stdout != "out\n" || output.Stderr != "err\n" {
		t.Errorf("output %+v, %v", output, err)
	}
	fed := shell(c, "cat; echo end")
	fed.Stdin = strings.NewReader("in\n")
	if output, err = c.Streams.Exec(t.Context(), fed); err != nil || output.Stdout != "in\nend\n" {
		t.Errorf("with input: %+v, %v", output, err)
	}
	output, err = c.Streams.Exec(t.Context(), shell(c, "echo bad >&2; exit 7"))
	var exit *kube.ExitError
	if !errors.As(err, &exit) || exit.Status != 7 || exit.Stderr != "bad\n" || !strings.Contains(err.Error(), "container main: exit status 7: bad") {
		t.Errorf("failed command: %+v, %v", output, err)
	}
	output, err = c.Streams.Exec(t.Context(), shell(c, "head -c 3000000 /dev/zero | tr '\\0' x"))
	if err != nil || len(output.Stdout) > 66000 || !strings.Contains(output.Stdout, "bytes more") {
		t.Errorf("endless output: %d bytes, %v", len(output.Stdout), err)
	}
}

func execEnds(t *testing.T, c *kube.Cluster) {
	long := shell(c, "sleep 60")
	long.Timeout = time.Second
	began := time.Now()
	if _, err := c.Streams.Exec(t.Context(), long); !errors.Is(err, kube.ErrTimeout) || time.Since(began) > 15*time.Second {
		t.Errorf("error %v after %s, want the deadline", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	if _, err := c.Streams.Exec(ctx, shell(c, "sleep 60")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	absent, elsewhere, unknown := shell(c, "true"), shell(c, "true"), shell(c, "true")
	absent.Pod, elsewhere.Container, unknown.Args = "nobody", "nowhere", []string{"/no/such/program"}
	for want, command := range map[string]kube.Command{
		`"nobody" not found`: absent, "container nowhere is not valid": elsewhere, "/no/such/program": unknown,
	} {
		if _, err := c.Streams.Exec(t.Context(), command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func holdWorks(t *testing.T, c *kube.Cluster) {
	echo := shell(c, `echo ready; while read line; do echo "you said $line"; done; echo end of input >&2; exit 4`)
	echo.Timeout = time.Minute
	held, err := c.Streams.Hold(t.Context(), echo)
	if err != nil {
		t.Fatal(err)
	}
	for _, talk := range [][2]string{{"", "ready"}, {"a", "you said a"}, {"b", "you said b"}} {
		if talk[0] != "" {
			err = held.Say(t.Context(), talk[0])
		}
		line, failed := held.Line(t.Context())
		if err != nil || failed != nil || line != talk[1] {
			t.Fatalf("said %q, got %q, %v, %v", talk[0], line, err, failed)
		}
	}
	select {
	case <-held.Ended():
		t.Error("ended before it was released")
	default:
	}
	var exit *kube.ExitError
	if err = held.Release(t.Context()); !errors.As(err, &exit) || exit.Status != 4 || exit.Stderr != "end of input\n" {
		t.Errorf("released: %v, want the program's own end", err)
	}
	if _, err = held.Line(t.Context()); err == nil {
		t.Error("a line after the end")
	}
	deaf := shell(c, "trap '' TERM; exec sleep 100 </dev/null")
	deaf.Timeout = 2 * time.Second
	if held, err = c.Streams.Hold(t.Context(), deaf); err != nil {
		t.Fatal(err)
	}
	if _, err = held.Line(t.Context()); !errors.Is(err, kube.ErrTimeout) {
		t.Errorf("a program that does not speak: %v, want its deadline", err)
	}
}

// sslRequest asks PostgreSQL for TLS; without a certificate it answers N.
var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

func dialWorks(t *testing.T, c *kube.Cluster) {
	conn, err := c.Streams.Dial(t.Context(), c.Namespace, "server", 5432)
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err = conn.Write(sslRequest); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err != nil || answer[0] != 'N' {
		t.Errorf("PostgreSQL answered %q, %v", answer, err)
	}
	if err = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err == nil {
		_, err = conn.Read(answer)
	}
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("reading past the deadline: %v", err)
	}
	if err = conn.Close(); err != nil {
		t.Error(err)
	}
	if conn, err = c.Streams.Dial(t.Context(), c.Namespace, "server", 9); err == nil {
		_, err = conn.Read(answer)
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a port where nobody listens: %v", err)
	}
	if _, err = c.Streams.Dial(t.Context(), c.Namespace, "nobody", 5432); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("no such pod: %v", err)
	}
}

func execForbidden(t *testing.T, c *realcluster.Cluster) {
	limited, err := connect(kube.Config{Kubeconfig: c.Account(t, "reader", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
	}, nil)})
	if err != nil {
		t.Fatal(err)
	}
	_, run := limited.Streams.Exec(t.Context(), shell(limited, "true"))
	held, err := limited.Streams.Hold(t.Context(), shell(limited, "true"))
	if err == nil {
		_, err = held.Line(t.Context())
	}
	_, dial := limited.Streams.Dial(t.Context(), c.Namespace, "server", 5432)
	for resource, err := range map[string]error{"pods/exec": errors.Join(run), "pods/exec ": err, "pods/portforward": dial} {
		resource = strings.TrimSpace(resource)
		if !errors.Is(err, kube.ErrForbidden) || !strings.Contains(err.Error(), "create "+resource+" server in namespace "+c.Namespace) {
			t.Errorf("error %v, want that create %s is forbidden", err, resource)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, `resources: ["`+resource+`"], verbs: ["create"]`) {
			t.Errorf("hints %q", hints)
		}
	}
}

func reachWorks(t *testing.T, c *kube.Cluster) {
	if err := c.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	if uid, err := c.UID(t.Context()); err != nil || len(uid) != 36 {
		t.Errorf("UID() = %q, %v", uid, err)
	}
	if offset, within, err := c.Skew(t.Context()); err != nil || offset.Abs() > within+time.Second {
		t.Errorf("Skew() = %s ± %s, %v; want next to nothing on one machine", offset, within, err)
	}
}
