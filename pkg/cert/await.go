// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"context"
	"fmt"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// diagnosis is how often a wait looks at the CertificateRequest to tell what is missing. The
// end of the wait does not hang on it: that is watched.
const diagnosis = 5 * time.Second

// await waits until the Certificate has reached the revision, and returns it as it is then.
func await(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, next int, timeout time.Duration) (*cmapi.Certificate, error) {
	client := c.Certificates.CertmanagerV1().Certificates(certificate.Namespace)
	spec := kube.WaitSpec{
		What:     "certificate " + certificate.Name + " to be renewed",
		Timeout:  timeout,
		Resource: certificates, Namespace: certificate.Namespace, Name: certificate.Name,
		TimeoutHint: fmt.Sprintf("the renewal stays asked for, and cert-manager may still finish it; what it says: kubectl -n %s describe certificate,certificaterequest; does its controller run? kubectl get pods -A -l app.kubernetes.io/name=cert-manager",
			certificate.Namespace),
	}
	var last *cmapi.Certificate
	err := kube.Wait(ctx, c, spec, client, kube.Named(func(now *cmapi.Certificate) (kube.Progress, error) {
		last = now
		if now == nil || now.UID != certificate.UID {
			return kube.Progress{}, fmt.Errorf("certificate %s: it was deleted", certificate.Name)
		}
		if revisionOf(now) >= next {
			return kube.Progress{Done: true}, nil
		}
		if failed := condition(now, cmapi.CertificateConditionIssuing); failed != nil && failed.Status == cmmeta.ConditionFalse {
			return kube.Progress{}, failure(now, failed)
		}
		return kube.Progress{State: missing(ctx, c, now, next), Recheck: diagnosis}, nil
	}))
	return last, err
}

// failure words the condition by which cert-manager says that an issuance has failed.
func failure(c *cmapi.Certificate, failed *cmapi.CertificateCondition) error {
	hint := "mend %s, then run this again; see: kubectl -n %s describe certificaterequest"
	if failed.Reason == cmapi.CertificateRequestReasonDenied {
		hint = "an approver denied the request for %s: look at its policy; see: kubectl -n %s describe certificaterequest"
	}
	return fault.Hint(fmt.Errorf("certificate %s %w%s", c.Name, ErrCannotIssue, said(failed)),
		hint, refName(c.Spec.IssuerRef), c.Namespace)
}

// missing tells what an issuance under way waits for.
func missing(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, next int) string {
	owned, err := ownRequests(ctx, c, certificate)
	if err != nil {
		return kube.OneLine(err.Error())
	}
	for i := range owned {
		request := &owned[i]
		if requestRevision(request) == next {
			return requestState(request)
		}
	}
	if certificate.Status.NextPrivateKeySecretName == nil {
		return "cert-manager has not begun"
	}
	return "cert-manager has made a key and no CertificateRequest"
}

func requestState(r *cmapi.CertificateRequest) string {
	ready := requestCondition(r, cmapi.CertificateRequestConditionReady)
	approved := requestCondition(r, cmapi.CertificateRequestConditionApproved)
	switch {
	case issued(r):
		return "issued, not stored in the Secret yet"
	case ready != nil:
		return "CertificateRequest " + r.Name + reasoned(ready.Reason, ready.Message)
	case approved == nil:
		return "CertificateRequest " + r.Name + " waits for approval"
	default:
		return "CertificateRequest " + r.Name + " waits for its issuer"
	}
}
