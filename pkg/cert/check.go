// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Likeness is how a served certificate relates to the one that is wanted.
type Likeness string

// Likenesses.
const (
	// Same: it is the wanted one, byte for byte.
	Same Likeness = "same"
	// Stale: it is an earlier one of the same Certificate.
	Stale Likeness = "stale"
	// Foreign: it belongs to somebody else.
	Foreign Likeness = "foreign"
)

// Wanted is what an endpoint has to serve.
type Wanted struct {
	Issued
	// Names are what the Certificate asks for (dnsNames, ipAddresses, else commonName).
	Names []string
	// Before is the fingerprint of the certificate that was replaced, "" when not known.
	Before string
	// Trusted are authorities for issuers that do not name theirs; nil means this machine's.
	Trusted *x509.CertPool
}

// Like tells how a served leaf relates to the wanted one. An earlier one is known by its
// fingerprint or, where that is not known, by bearing the same subject and names: an endpoint
// that serves such a certificate is to be brought up to date, not passed over.
func (w Wanted) Like(leaf *x509.Certificate) Likeness {
	switch {
	case bytes.Equal(leaf.Raw, w.Leaf.Raw):
		return Same
	case w.Before != "" && Describe(leaf).Fingerprint == w.Before:
		return Stale
	case bytes.Equal(leaf.RawSubject, w.Leaf.RawSubject) && sameNames(leaf, w.Leaf):
		return Stale
	default:
		return Foreign
	}
}

func sameNames(a, b *x509.Certificate) bool {
	left, right := names(a), names(b)
	slices.Sort(left)
	slices.Sort(right)
	return slices.Equal(left, right) && (len(left) > 0 || a.Subject.CommonName != "")
}

// Check returns nil when served is the wanted certificate and a client would accept it: the
// same serial and bytes, a chain to the issuer's CA made of what was served alone, each name
// covered, valid at the time now. The error tells all that is wrong.
func (w Wanted) Check(served Served, now time.Time) error {
	leaf := served.Leaf()
	var wrong []error
	if like := w.Like(leaf); like != Same {
		wrong = append(wrong, fmt.Errorf("serves serial %s (%s), want %s", Serial(leaf), like, Serial(w.Leaf)))
	}
	switch {
	case now.Before(leaf.NotBefore):
		wrong = append(wrong, fmt.Errorf("is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339)))
	case now.After(leaf.NotAfter):
		wrong = append(wrong, fmt.Errorf("expired on %s", leaf.NotAfter.UTC().Format(time.RFC3339)))
	default:
		wrong = append(wrong, w.verify(served, now, x509.ExtKeyUsageServerAuth))
	}
	return errors.Join(append(wrong, w.checkNames(leaf))...)
}

func (w Wanted) verify(served Served, now time.Time, usage x509.ExtKeyUsage) error {
	options := x509.VerifyOptions{
		Roots:         w.Trusted,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}
	if len(w.CA) > 0 {
		options.Roots = x509.NewCertPool()
		for _, ca := range w.CA {
			options.Roots.AddCert(ca)
		}
	}
	for _, between := range served.Chain[1:] {
		options.Intermediates.AddCert(between)
	}
	if _, err := served.Leaf().Verify(options); err != nil {
		return fmt.Errorf("chain: %w", err)
	}
	return nil
}

func (w Wanted) checkNames(leaf *x509.Certificate) error {
	var wrong []error
	for _, name := range w.Names {
		if err := covers(leaf, name); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// covers tells whether leaf covers a name that a Certificate asks for. A wildcard has to be
// there literally. A commonName without alternative names is looked for in the subject, which
// no client of today accepts as a host: it is what the Certificate asked for.
func covers(leaf *x509.Certificate, name string) error {
	switch {
	case strings.HasPrefix(name, "*.") && slices.Contains(leaf.DNSNames, name):
		return nil
	case len(names(leaf)) == 0 && leaf.Subject.CommonName == name:
		return nil
	case net.ParseIP(name) != nil:
		name = "[" + name + "]" // VerifyHostname's form of an address
	}
	if err := leaf.VerifyHostname(name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	return nil
}

// ServerNames returns the names under which to ask for the wanted certificate: its DNS names,
// a wildcard as one name below it. Without any, one empty name: no SNI is sent.
func (w Wanted) ServerNames() []string {
	var all []string
	for _, name := range w.Leaf.DNSNames {
		if rest, ok := strings.CutPrefix(name, "*."); ok {
			name = "knowngood." + rest
		}
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

// acceptable returns nil when a client would accept the wanted certificate as it was issued.
// What it is used for does not matter: it may be a client's.
func (w Wanted) acceptable(now time.Time) error {
	served := Served{Chain: append([]*x509.Certificate{w.Leaf}, w.Between...)}
	return errors.Join(w.verify(served, now, x509.ExtKeyUsageAny), w.checkNames(w.Leaf))
}
