// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"context"
	"errors"
	"fmt"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// diagnosis is how often a wait looks at the CertificateRequest to tell what is missing. The
// end of the wait does not hang on it: that is watched.
const diagnosis = 5 * time.Second

// errLeft means that an issuance ended by what an earlier attempt had left.
var errLeft = errors.New("the request of an earlier attempt stands in the way")

// await waits until the Certificate has reached the revision, and returns it as it is then. left
// holds the requests that had failed before.
func await(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, next int, left map[types.UID]bool, timeout time.Duration) (*cmapi.Certificate, error) {
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
		if ended := condition(now, cmapi.CertificateConditionIssuing); ended != nil && ended.Status == cmmeta.ConditionFalse {
			return kube.Progress{}, failure(ctx, c, now, next, left)
		}
		return kube.Progress{State: missing(ctx, c, now, next), Recheck: diagnosis}, nil
	}))
	return last, err
}

// failure words the condition by which cert-manager says that an issuance has failed. The
// error wraps errLeft unless a request of this attempt has failed.
func failure(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate, next int, left map[types.UID]bool) error {
	ended := condition(certificate, cmapi.CertificateConditionIssuing)
	err := fmt.Errorf("certificate %s %w%s", certificate.Name, ErrCannotIssue, said(ended))
	owned, listErr := ownRequests(ctx, c, certificate)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	for i := range owned {
		request := &owned[i]
		switch {
		case requestRevision(request) != next || !failed(request) || left[request.UID]:
			continue
		case denied(request):
			return fault.Hint(err, "an approver denied the request: look at its policy; kubectl -n %s describe certificaterequest %s",
				certificate.Namespace, request.Name)
		default:
			return fault.Hint(err, "mend %s, then run this again; kubectl -n %s describe certificaterequest %s",
				refName(certificate.Spec.IssuerRef), certificate.Namespace, request.Name)
		}
	}
	return fault.Hint(fmt.Errorf("%w: %w", err, errLeft),
		"kubectl -n %s get certificaterequest shows it; delete it, then run this again", certificate.Namespace)
}

func denied(r *cmapi.CertificateRequest) bool {
	found := requestCondition(r, cmapi.CertificateRequestConditionDenied)
	return found != nil && found.Status == cmmeta.ConditionTrue
}

// failed tells whether a request has come to its end without a certificate.
func failed(r *cmapi.CertificateRequest) bool {
	invalid := requestCondition(r, cmapi.CertificateRequestConditionInvalidRequest)
	ready := requestCondition(r, cmapi.CertificateRequestConditionReady)
	return denied(r) || invalid != nil && invalid.Status == cmmeta.ConditionTrue ||
		ready != nil && ready.Reason == cmapi.CertificateRequestReasonFailed
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
