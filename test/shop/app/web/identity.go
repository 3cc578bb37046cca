// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/tls"
	"fmt"
	"os"
)

// An Identity is what the shop shows to customers and to its database, and the
// authority that it believes.
type Identity struct {
	Certificate                   tls.Certificate
	CertPEM, KeyPEM, AuthorityPEM []byte
}

// LoadIdentity reads tls.crt, tls.key and ca.crt of a folder, such as a mounted
// Secret. A later change of the folder has no effect: a new certificate needs a
// new process.
func LoadIdentity(folder string) (*Identity, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("opening the certificate folder: %w", err)
	}
	defer root.Close()
	var id Identity
	for name, to := range map[string]*[]byte{"tls.crt": &id.CertPEM, "tls.key": &id.KeyPEM, "ca.crt": &id.AuthorityPEM} {
		if *to, err = root.ReadFile(name); err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", name, folder, err)
		}
	}
	if id.Certificate, err = tls.X509KeyPair(id.CertPEM, id.KeyPEM); err != nil {
		return nil, fmt.Errorf("reading the certificate of %s: %w", folder, err)
	}
	return &id, nil
}
