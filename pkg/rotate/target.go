// SPDX-License-Identifier: Apache-2.0

package rotate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A target is one certificate that has to be served.
type target struct {
	rotation release.Rotation
	wanted   cert.Wanted
	// unclear says what could not be read of its users.
	unclear error
	// err says why it cannot be, or was not, proved.
	err error
}

func (t *target) fail(err error) {
	t.err = errors.Join(t.err, err)
}

// targets returns what has to be served: the present certificate of every selected
// Certificate, and of every one that Prepare has seen.
func targets(ctx context.Context, c *kube.Cluster, request Request) (all []*target, skipped []string, err error) {
	fit, skipped, err := selected(ctx, c, request)
	if err != nil {
		return nil, nil, err
	}
	prepared := map[string]release.Rotation{}
	if request.Prepared != nil {
		for _, rotation := range request.Prepared.Rotations {
			prepared[rotation.Name] = rotation
		}
	}
	for i := range fit {
		before, ok := prepared[fit[i].Name]
		delete(prepared, fit[i].Name)
		found, err := newTarget(ctx, c, &fit[i], before, ok)
		if err != nil {
			return nil, nil, err
		}
		found.wanted.Trusted = request.Trusted
		all = append(all, found)
	}
	for name, rotation := range prepared {
		all = append(all, &target{rotation: rotation, err: fmt.Errorf(
			"certificate %s: rotate prepare has seen it, and it is not among the Certificates of namespace %s that are selected now", name, c.Namespace)})
	}
	return all, skipped, nil
}

// newTarget reads the present certificate. Only an error of the cluster is returned.
func newTarget(ctx context.Context, c *kube.Cluster, certificate *cert.Certificate, prepared release.Rotation, ok bool) (*target, error) {
	t := &target{rotation: release.Rotation{
		Namespace: certificate.Namespace, Name: certificate.Name, Secret: certificate.Spec.SecretName,
		Why: "rotate prepare has left nothing in this run",
	}}
	if ok {
		t.rotation.Renewed, t.rotation.Why, t.rotation.Before = prepared.Renewed, prepared.Why, prepared.Before
	}
	present, err := cert.Current(ctx, c, certificate)
	switch {
	case errors.Is(err, cert.ErrUnknown):
		t.fail(fault.Hint(err, "run rotate prepare --when always: the certificate that it issues is known"))
		return t, nil
	case err != nil:
		return nil, err
	}
	t.rotation.After = cert.Describe(present.Leaf)
	if ok && prepared.After.Fingerprint != "" && prepared.After.Fingerprint != t.rotation.After.Fingerprint {
		t.rotation.Why += "; renewed again since, by somebody else"
	}
	t.wanted = cert.Wanted{Issued: present, Names: cert.Names(certificate), Before: t.rotation.Before.Fingerprint}
	return t, nil
}

// like tells how a leaf relates to the target, among all that the prover knows. What another
// Certificate wants served is foreign, however alike their names are; neighbour is true then,
// and for an earlier one of another Certificate.
func (p *prover) like(t *target, leaf *x509.Certificate) (like cert.Likeness, neighbour bool) {
	like = t.wanted.Like(leaf)
	for _, other := range p.targets {
		if like == cert.Same || other == t || other.wanted.Leaf == nil {
			continue
		}
		switch other.wanted.Like(leaf) {
		case cert.Same:
			return cert.Foreign, true
		case cert.Stale:
			neighbour = neighbour || like == cert.Foreign
		case cert.Foreign:
		}
	}
	return like, neighbour
}

// conclude returns what is to be kept, and the errors with what to do about them.
func conclude(all []*target, skipped []string) (release.TLS, error) {
	left := release.TLS{Skipped: skipped}
	var errs []error
	for _, t := range all {
		t.fail(t.unclear)
		if t.err != nil {
			t.rotation.Error = t.err.Error()
			errs = append(errs, fault.Hint(t.err, "%s", wayOn(t)))
		}
		left.Rotations = append(left.Rotations, t.rotation)
	}
	return left, errors.Join(errs...)
}

// wayOn tells what stands and what can be done once a proof has failed.
func wayOn(t *target) string {
	var say []string
	if before := t.rotation.Before; t.rotation.Renewed && before.Serial != "" {
		say = append(say, fmt.Sprintf("pods that still serve the old certificate (serial %s) can until %s", before.Serial,
			before.NotAfter.UTC().Format("2006-01-02 15:04 UTC")))
		say = append(say, "cert-manager cannot take the new one back")
	}
	say = append(say, "mend what the error names, then run rotate prove again")
	return strings.Join(say, "; ")
}
