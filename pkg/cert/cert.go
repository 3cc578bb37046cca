// SPDX-License-Identifier: Apache-2.0

// Package cert replaces certificates that cert-manager keeps, and proves on the wire what is
// served. It reads no Secret: which certificate cert-manager put into one is read from the
// CertificateRequest of the Certificate's revision, and which one is served from the peer.
//
// A Certificate's condition Ready is never trusted alone: it stays True while cert-manager
// issues anew, and after a Certificate has expired (cert-manager issue 7895). Renewed means that
// status.revision has moved on and that the serial is another one.
//
// Certificates of authorities are not replaced here: whoever trusts the old one has to trust
// the new one first.
package cert

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// Describe returns what a record keeps of a certificate.
func Describe(c *x509.Certificate) release.Certificate {
	digest := sha256.Sum256(c.Raw)
	return release.Certificate{
		Serial:      Serial(c),
		Fingerprint: hex.EncodeToString(digest[:]),
		Subject:     c.Subject.String(),
		Issuer:      c.Issuer.String(),
		Names:       names(c),
		NotBefore:   c.NotBefore.UTC(),
		NotAfter:    c.NotAfter.UTC(),
	}
}

// Serial returns the serial number as whole bytes in lower-case hex.
func Serial(c *x509.Certificate) string {
	if digits := c.SerialNumber.Bytes(); len(digits) > 0 {
		return hex.EncodeToString(digits)
	}
	return "00"
}

func names(c *x509.Certificate) []string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	for _, uri := range c.URIs {
		all = append(all, uri.String())
	}
	return append(all, c.EmailAddresses...)
}

// ParsePEM returns the certificates in text, in order. Blocks of another kind are errors: a key
// has no business here. White space and comments around the blocks are tolerated, since tools
// differ about the last line end.
func ParsePEM(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %q: want CERTIFICATE", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in PEM: %w", len(all)+1, err)
		}
		all = append(all, certificate)
		text = rest
	}
	if bytes.Contains(text, []byte("-----BEGIN")) {
		return nil, errors.New("PEM block is cut off or malformed")
	}
	return all, nil
}

// Issued is one certificate as an issuer delivered it.
type Issued struct {
	// Request is the CertificateRequest that it was read from, Revision the Certificate's
	// revision that it belongs to.
	Request  string
	Revision int
	// Asked is when the CertificateRequest was made: whoever read the Secret before has not
	// read this certificate.
	Asked time.Time
	Leaf  *x509.Certificate
	// Between are the intermediates, in the order in which they are served.
	Between []*x509.Certificate
	// CA is what the issuer says signs it; empty where the issuer does not say (ACME): a
	// chain then has to end at an authority that this machine trusts.
	CA []*x509.Certificate
}

// parseIssued reads status.certificate and status.ca of a CertificateRequest.
func parseIssued(certificate, ca []byte) (Issued, error) {
	chain, err := ParsePEM(certificate)
	if err != nil {
		return Issued{}, fmt.Errorf("status.certificate: %w", err)
	}
	if len(chain) == 0 {
		return Issued{}, errors.New("status.certificate holds no certificate")
	}
	authorities, err := ParsePEM(ca)
	if err != nil {
		return Issued{}, fmt.Errorf("status.ca: %w", err)
	}
	return Issued{Leaf: chain[0], Between: chain[1:], CA: authorities}, nil
}
