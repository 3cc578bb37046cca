// SPDX-License-Identifier: Apache-2.0

// Package pkitest signs certificates for tests.
package pkitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs the certificates of one test.
type Authority struct {
	Certificate *x509.Certificate
	PEM         []byte
	key         *ecdsa.PrivateKey
}

// An Identity is a certificate and its key, as PEM.
type Identity struct{ Certificate, Key []byte }

// New makes an authority that lives for an hour.
func New(t *testing.T) *Authority {
	t.Helper()
	template := certificate(1, "authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a := &Authority{key: newKey(t)}
	der := sign(t, template, template, a.key, a.key)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.Certificate, a.PEM = parsed, encode("CERTIFICATE", der)
	return a
}

// Issue makes a certificate for a server or a client of that name.
func (a *Authority) Issue(t *testing.T, name string) *Identity {
	t.Helper()
	template := certificate(2, name)
	template.DNSNames, template.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key := newKey(t)
	der := sign(t, template, a.Certificate, key, a.key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &Identity{Certificate: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", private)}
}

// Folder writes a folder like a mounted Secret, with a certificate for that name.
func (a *Authority) Folder(t *testing.T, name string) string {
	t.Helper()
	id, folder := a.Issue(t, name), t.TempDir()
	for file, data := range map[string][]byte{"tls.crt": id.Certificate, "tls.key": id.Key, "ca.crt": a.PEM} {
		if err := os.WriteFile(filepath.Join(folder, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func certificate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
