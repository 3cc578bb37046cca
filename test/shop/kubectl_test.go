// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A cluster is a real one, reached through its programs.
type cluster struct {
	kubectl []string // with the flags that find the cluster
	load    []string // imports the archive whose path is added
	space   string
}

// openCluster makes a namespace that goes with the test.
func openCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{kubectl: strings.Fields(os.Getenv("SHOP_TEST_KUBECTL")), load: strings.Fields(os.Getenv("SHOP_TEST_LOAD"))}
	if len(c.kubectl) == 0 || len(c.load) == 0 {
		t.Skip(`set SHOP_TEST_KUBECTL="kubectl --kubeconfig FILE" and SHOP_TEST_LOAD="cluster load --name NAME" to run this on a real cluster`)
	}
	c.space = fmt.Sprintf("shop-test-%d", os.Getpid())
	c.do(t, "create", "namespace", c.space)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.ask(context.WithoutCancel(t.Context()), nil, "get", "pods,events"))
			t.Log(c.ask(context.WithoutCancel(t.Context()), nil, "logs", "--selector=app.kubernetes.io/part-of=shop", "--tail=15", "--prefix"))
		}
		if _, err := c.ask(context.WithoutCancel(t.Context()), nil, "delete", "namespace", c.space, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	c.do(t, "label", "namespace", c.space, "pod-security.kubernetes.io/enforce=restricted")
	return c
}

func (c *cluster) ask(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	all := append(append([]string{}, c.kubectl[1:]...), "--namespace", c.space)
	cmd := exec.CommandContext(ctx, c.kubectl[0], append(all, args...)...)
	cmd.Stdin = stdin
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return string(out), err
}

func (c *cluster) do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.ask(t.Context(), nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (c *cluster) apply(t *testing.T, manifests string) {
	t.Helper()
	if _, err := c.ask(t.Context(), strings.NewReader(manifests), "apply", "--filename=-"); err != nil {
		t.Fatal(err)
	}
}

// images loads the images of the commits and of the database.
func (c *cluster) images(t *testing.T, repo string) []Image {
	t.Helper()
	out := os.Getenv("SHOP_TEST_IMAGES")
	if out == "" {
		out = t.TempDir()
	}
	var made []Image
	if err := json.Unmarshal([]byte(command(t, "images", "--repo", repo, "--out", out, "main", "wildcards")), &made); err != nil {
		t.Fatal(err)
	}
	for _, image := range made {
		all := append(append([]string{}, c.load[1:]...), image.Archive)
		if out, err := exec.CommandContext(t.Context(), c.load[0], all...).CombinedOutput(); err != nil {
			t.Fatalf("loading %s: %v\n%s", image.Name, err, out)
		}
	}
	return made
}

// get asks the shop through the API server.
func (c *cluster) get(t *testing.T, path string) string {
	t.Helper()
	return c.do(t, "get", "--raw", "/api/v1/namespaces/"+c.space+"/services/https:shop:https/proxy"+path)
}

// renew asks cert-manager for a new certificate, and returns when its Secret has it.
func (c *cluster) renew(t *testing.T, certificate, secret string) {
	t.Helper()
	before := c.fingerprint(t, secret)
	patch := fmt.Sprintf(`[{"op":"add","path":"/status/conditions/-","value":{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"asked by a test","lastTransitionTime":%q}}]`,
		time.Now().UTC().Format(time.RFC3339))
	c.do(t, "patch", "certificate", certificate, "--subresource=status", "--type=json", "--patch="+patch)
	eventually(t, "a new certificate in Secret "+secret, func() bool { return c.fingerprint(t, secret) != before })
}

// fingerprint is that of the certificate in a Secret.
func (c *cluster) fingerprint(t *testing.T, secret string) string {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(c.do(t, "get", "secret", secret, `--output=jsonpath={.data.tls\.crt}`))
	if err != nil {
		t.Fatal(err)
	}
	return fingerprintPEM(t, data)
}

func fingerprintPEM(t *testing.T, data []byte) string {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("no certificate in %q", data)
	}
	return fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
}

// eventually looks once a second, for the kubelet tells nobody when it has brought
// a Secret's new content to a pod.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for beat := time.NewTicker(time.Second); !done(); {
		select {
		case <-beat.C:
		case <-late:
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// databaseShows is the fingerprint of the certificate that the database shows on
// the wire, after PostgreSQL's request for TLS.
func (c *cluster) databaseShows(t *testing.T) string {
	t.Helper()
	all := append(append([]string{}, c.kubectl[1:]...), "--namespace", c.space, "port-forward", "pod/db-0", ":5432", "--address=127.0.0.1")
	forward := exec.CommandContext(t.Context(), c.kubectl[0], all...)
	told, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	lines := bufio.NewScanner(told)
	if !lines.Scan() { // Forwarding from 127.0.0.1:41234 -> 5432
		t.Fatal("kubectl port-forward ended")
	}
	address := strings.Fields(lines.Text())[2]
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	answer := make([]byte, 1)
	_, err = connection.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	if err == nil {
		_, err = io.ReadFull(connection, answer)
	}
	if err != nil || answer[0] != 'S' {
		t.Fatalf("the database answers %q, %v; want S for TLS", answer, err)
	}
	secure := tls.Client(connection, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // its bytes are compared
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(secure.ConnectionState().PeerCertificates[0].Raw))
}

// psql asks the database from inside its container.
func (c *cluster) psql(t *testing.T, database, query string) string {
	t.Helper()
	return c.do(t, "exec", "db-0", "--", "psql", "-XAqt", "--dbname="+database, "--command="+query)
}
