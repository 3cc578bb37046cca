// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/peer"
)

func TestTheServerPrintsItsAddressAndEnds(t *testing.T) {
	t.Parallel()
	stdin, hold := io.Pipe()
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	args := []string{"-token", "secret", "-repository", "acme/shop", "-pull", "7=" + strings.Repeat("a", 40), "-wait"}
	go func() { ended <- run(t.Context(), args, stdin, stdout) }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSpace(address)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/repos/acme/shop/issues/7/comments", strings.NewReader(`{"body":"**hello**"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer secret")
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", response, err)
	}
	response.Body.Close()
	if shown := get(t, base+"/acme/shop/pull/7"); !strings.Contains(shown, "by github-actions[bot]") || !strings.Contains(shown, "**hello**") {
		t.Errorf("the conversation shows %q", shown)
	}
	if state := get(t, base+"/_fake/state"); strings.Contains(state, "secret") {
		t.Errorf("the state tells the token: %s", state)
	}
	hold.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheServerStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("not to be reached"))
	for _, address := range []string{"0.0.0.0:0", ":0", "example.com:80", "nonsense"} {
		if err := run(ctx, []string{"-listen", address}, strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "want a loopback address") {
			t.Errorf("listen on %q: %v", address, err)
		}
	}
}

// TestTheServerGoesFurtherWithTLS: the token then crosses no network in the clear.
func TestTheServerGoesFurtherWithTLS(t *testing.T) {
	t.Parallel()
	authority := peer.NewAuthority(t, "authority", time.Now)
	served := authority.Issue(t, peer.Order{Names: []string{"localhost"}})
	certificate, key := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	if err := errors.Join(os.WriteFile(certificate, peer.PEM(served.Leaf), 0o600), os.WriteFile(key, peer.KeyPEM(t, served), 0o600)); err != nil {
		t.Fatal(err)
	}
	stdin, hold := io.Pipe()
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(t.Context(), []string{"-listen", "0.0.0.0:0", "-certificate", certificate, "-key", key, "-wait"}, stdin, stdout)
	}()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimSpace(address), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate)
	connection, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}).
		DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	connection.Close()
	hold.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
