// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestChain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := NewAuthority(dir, "ca", "test-ca")
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range []Leaf{
		{File: "server", CommonName: "server", Hosts: []string{"api.test", "127.0.0.1"}},
		{File: "admin", CommonName: "admin", Organization: "system:masters"},
	} {
		if err := ca.Issue(dir, leaf); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	for _, test := range []struct {
		file, host string
		usage      x509.ExtKeyUsage
		ok         bool
	}{
		{"server", "api.test", x509.ExtKeyUsageServerAuth, true},
		{"server", "127.0.0.1", x509.ExtKeyUsageServerAuth, true},
		{"server", "other.test", x509.ExtKeyUsageServerAuth, false},
		{"server", "", x509.ExtKeyUsageClientAuth, false},
		{"admin", "", x509.ExtKeyUsageClientAuth, true},
		{"admin", "", x509.ExtKeyUsageServerAuth, false},
	} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, test.file+".crt"), filepath.Join(dir, test.file+".key"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: test.host, KeyUsages: []x509.ExtKeyUsage{test.usage}})
		if (err == nil) != test.ok {
			t.Errorf("%s for %q: %v", test.file, test.host, err)
		}
	}
	keysArePrivate(t, dir)
	text, err := Kubeconfig(dir, "admin", "demo", "https://127.0.0.1:6443")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			}
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(config.Users[0].User.Cert, config.Users[0].User.Key); err != nil {
		t.Error(err)
	}
}

func keysArePrivate(t *testing.T, dir string) {
	t.Helper()
	keys, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	for _, key := range keys {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
}
