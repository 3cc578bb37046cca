// SPDX-License-Identifier: Apache-2.0

// Package rotate is the journey of a rotation. Prepare has certificates renewed before a
// deploy, so that the rollout of the deploy picks them up. Prove, after it, works out who has
// to serve them, brings those up to date that still serve an older one, and asks every ready
// pod over the wire. The expected set is computed first and proved last: whoever is missing is
// a failure.
//
// There is no way back for a certificate: cert-manager cannot un-issue one. What a failed
// proof leaves is said in its hint: until when the old certificate serves, and what to do.
package rotate

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Request says what is to be rotated, and how.
type Request struct {
	// Selector of Certificates by labels; "" selects all of the namespace.
	Selector string
	// When certificates are renewed; Prove does not ask.
	When cert.When
	// Timeout is how long each wait may take.
	Timeout time.Duration
	// AllowDowntime lets Prove restart what a restart may interrupt.
	AllowDowntime bool
	// Trusted are authorities for issuers that do not name theirs; nil means this machine's.
	Trusted *x509.CertPool
	// Prepared is what Prepare has left in this run; nil when there is nothing.
	Prepared *release.TLS
}

// selected returns the Certificates that the request means and that can be rotated, and what
// was passed over.
func selected(ctx context.Context, c *kube.Cluster, request Request) (fit []cert.Certificate, skipped []string, err error) {
	all, err := cert.List(ctx, c, "")
	if err != nil {
		return nil, nil, err
	}
	chosen := all
	if request.Selector != "" {
		if chosen, err = cert.List(ctx, c, request.Selector); err != nil {
			return nil, nil, err
		}
	}
	if len(all) == 0 {
		skipped = append(skipped, "namespace "+c.Namespace+" has no Certificate")
	}
	for i := range chosen {
		if why := cert.Unfit(&chosen[i], all); why != "" {
			skipped = append(skipped, "Certificate "+chosen[i].Name+": "+why)
			continue
		}
		fit = append(fit, chosen[i])
	}
	return fit, skipped, nil
}

// parallel is how many certificates are renewed, and how many pods looked at, at once.
const parallel = 8
