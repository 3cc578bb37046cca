// SPDX-License-Identifier: Apache-2.0

// Package peer holds what tests of certificates ask: a certificate authority in memory, and
// peers on loopback that serve its certificates as web servers and PostgreSQL do.
package peer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// An Authority issues certificates. It is safe for concurrent use.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
	serial      *atomic.Int64
	now         func() time.Time
}

// NewAuthority returns a self-signed authority whose certificates begin at now().
func NewAuthority(t testing.TB, name string, now func() time.Time) *Authority {
	t.Helper()
	a := &Authority{key: newKey(t), serial: new(atomic.Int64), now: now}
	a.serial.Store(0x0fff)
	template := a.template(Order{Subject: name, For: 20 * 365 * 24 * time.Hour})
	asAuthority(template)
	a.Certificate = sign(t, template, template, a.key.Public(), a.key)
	return a
}

// Below returns an authority that a signed.
func (a *Authority) Below(t testing.TB, name string) *Authority {
	t.Helper()
	key := newKey(t)
	template := a.template(Order{Subject: name, For: 10 * 365 * 24 * time.Hour})
	asAuthority(template)
	return &Authority{
		Certificate: sign(t, template, a.Certificate, key.Public(), a.key),
		key:         key, serial: a.serial, now: a.now,
	}
}

func asAuthority(template *x509.Certificate) {
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.ExtKeyUsage = nil
}

// An Order is what a certificate is to bear.
type Order struct {
	Subject string // common name, "" for none
	Names   []string
	IPs     []net.IP
	Start   time.Time     // zero: now
	For     time.Duration // zero: 90 days
	Usage   []x509.ExtKeyUsage
}

// Issue returns a new certificate with a new key, ready to be served without intermediates.
func (a *Authority) Issue(t testing.TB, order Order) tls.Certificate {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, a.template(order), a.Certificate, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// Sign returns a certificate for somebody else's key.
func (a *Authority) Sign(t testing.TB, order Order, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	return sign(t, a.template(order), a.Certificate, public, a.key)
}

// PEM returns the authority's own certificate.
func (a *Authority) PEM() []byte { return PEM(a.Certificate) }

// PEM returns certificates as PEM blocks, in order.
func PEM(certificates ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// KeyPEM returns the certificate's key.
func KeyPEM(t testing.TB, certificate tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *Authority) template(order Order) *x509.Certificate {
	start := order.Start
	if start.IsZero() {
		start = a.now()
	}
	lifetime := order.For
	if lifetime == 0 {
		lifetime = 90 * 24 * time.Hour
	}
	usage := order.Usage
	if usage == nil {
		usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial.Add(1)),
		Subject:      pkix.Name{CommonName: order.Subject},
		DNSNames:     order.Names,
		IPAddresses:  order.IPs,
		NotBefore:    start,
		NotAfter:     start.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usage,
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
