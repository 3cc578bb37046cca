// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Request says how to renew.
type Request struct {
	When When
	// Timeout is how long cert-manager may take.
	Timeout time.Duration
	// Trusted are authorities for issuers that do not name theirs; nil means this machine's.
	Trusted *x509.CertPool
}

// Renew replaces the certificate of a Certificate if the request says so, and returns when
// cert-manager has stored the new one in the Secret. The rotation tells what was there before,
// what is there now and why; it is of use with an error too. Renew joins an issuance that is
// under way.
//
// An error wraps ErrCannotIssue when waiting is no help, and kube.ErrTimeout at the deadline.
// cert-manager cannot be told to take a certificate back: after an error or a cancelled
// context it may still finish.
func Renew(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, request Request) (release.Rotation, error) {
	rotation := release.Rotation{Namespace: certificate.Namespace, Name: certificate.Name, Secret: certificate.Spec.SecretName}
	before, err := Current(ctx, c, certificate)
	switch {
	case err == nil:
		rotation.Before = Describe(before.Leaf)
	case !errors.Is(err, ErrUnknown):
		return rotation, err
	}
	chosen, err := decide(ctx, c, certificate, request.When)
	rotation.Why = chosen.why
	if err != nil || !chosen.renew {
		rotation.After = rotation.Before
		return rotation, err
	}
	renewed, err := ask(ctx, c, certificate, request.Timeout)
	if err != nil {
		return rotation, err
	}
	return finish(ctx, c, renewed, rotation, request)
}

// decide reads the issuer where the answer depends on it.
func decide(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, when When) (choice, error) {
	if when == Never {
		return choose(when, certificate, issuer{}, c.Now()), nil
	}
	found, err := readIssuer(ctx, c, certificate)
	chosen := choose(when, certificate, found, c.Now())
	switch {
	case errors.Is(err, kube.ErrForbidden) && when == Always:
		return chosen, nil // whoever asks for it always need not know the issuer
	case errors.Is(err, ErrCannotIssue) && !chosen.renew:
		return chosen, nil // nobody asks the issuer
	default:
		return chosen, err
	}
}

// attempts is how often cert-manager is asked when it answers with what an earlier attempt left.
const attempts = 3

// ask triggers an issuance and waits for its end. The requests of earlier attempts at the same
// revision do not count: cert-manager deletes them once it has made a new key, and may take one
// for the answer before it does (seen with a denied one, v1.21.2).
func ask(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, timeout time.Duration) (*cmapi.Certificate, error) {
	for attempt := 1; ; attempt++ {
		owned, err := ownRequests(ctx, c, certificate)
		if err != nil {
			return nil, err
		}
		left := map[types.UID]bool{}
		for i := range owned {
			left[owned[i].UID] = failed(&owned[i])
		}
		next, err := trigger(ctx, c, certificate)
		if err != nil {
			return nil, err
		}
		renewed, err := await(ctx, c, certificate, next, left, timeout)
		if attempt == attempts || !errors.Is(err, errLeft) {
			return renewed, err
		}
		c.Log.Info("asking again, since the answer was to an earlier request", "certificate", certificate.Name, "attempt", attempt+1)
	}
}

// trigger sets the condition Issuing as cmctl does, and returns the revision to wait for. It
// updates the whole status, as cert-manager's role for editors allows, and not by a patch.
func trigger(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate) (next int, err error) {
	client := c.Certificates.CertmanagerV1().Certificates(certificate.Namespace)
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		fresh, err := client.Get(ctx, certificate.Name, metav1.GetOptions{})
		if err != nil {
			return c.Explain(ctx, kube.Call{Verb: "get", Resource: certificates, Namespace: certificate.Namespace, Name: certificate.Name}, err)
		}
		if fresh.UID != certificate.UID {
			return fmt.Errorf("certificate %s: it was deleted and made anew meanwhile", certificate.Name)
		}
		next = revisionOf(fresh) + 1
		if issuing(fresh) {
			c.Log.Info("joining an issuance under way", "certificate", certificate.Name, "revision", next)
			return nil
		}
		askToIssue(fresh, c.Now())
		_, err = client.UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) {
			return c.Explain(ctx, kube.Call{Verb: "update", Resource: certificates + "/status", Namespace: certificate.Namespace, Name: certificate.Name}, err)
		}
		return err
	})
	return next, err
}

// askToIssue sets the condition. Its time lies after the last failure even where our clock is
// behind cert-manager's: cert-manager takes a failed request for the answer to this condition
// unless it is older, in whole seconds.
func askToIssue(c *cmapi.Certificate, now time.Time) {
	if failed := c.Status.LastFailureTime; failed != nil && !now.Truncate(time.Second).After(failed.Time) {
		now = failed.Add(time.Second)
	}
	c.Status.Conditions = slices.DeleteFunc(c.Status.Conditions, func(known cmapi.CertificateCondition) bool {
		return known.Type == cmapi.CertificateConditionIssuing
	})
	c.Status.Conditions = append(c.Status.Conditions, cmapi.CertificateCondition{
		Type: cmapi.CertificateConditionIssuing, Status: cmmeta.ConditionTrue, ObservedGeneration: c.Generation,
		Reason: "ManuallyTriggered", Message: "Renewal asked for by knowngood",
		LastTransitionTime: &metav1.Time{Time: now},
	})
}

// finish reads what was issued and sees to it that it is new and that a client would take it.
func finish(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, rotation release.Rotation, request Request) (release.Rotation, error) {
	after, err := Current(ctx, c, certificate)
	if err != nil {
		return rotation, err
	}
	rotation.After = Describe(after.Leaf)
	if rotation.After.Serial == rotation.Before.Serial {
		return rotation, fmt.Errorf("certificate %s: revision %d has the serial %s of the one before: nothing was renewed",
			certificate.Name, after.Revision, rotation.After.Serial)
	}
	rotation.Renewed = true
	wanted := Wanted{Issued: after, Names: Names(certificate), Trusted: request.Trusted}
	if err := wanted.acceptable(c.Now()); err != nil {
		return rotation, fault.Hint(fmt.Errorf("certificate %s: no client would accept the new one: %s",
			certificate.Name, strings.ReplaceAll(err.Error(), "\n", "; ")),
			"mend %s, or Certificate %s, and renew again", refName(certificate.Spec.IssuerRef), certificate.Name)
	}
	c.Log.Info("certificate renewed", "certificate", certificate.Name, "revision", after.Revision, "serial", rotation.After.Serial)
	return rotation, nil
}
