// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// ErrCannotIssue means that the issuer cannot or will not issue, and that waiting is no help.
var ErrCannotIssue = errors.New("cannot be issued")

// readIssuer reads who issues the Certificate. An issuer that another program serves is not
// read: its kind is not known here.
func readIssuer(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate) (issuer, error) {
	ref := certificate.Spec.IssuerRef
	if ref.Group != "" && ref.Group != "cert-manager.io" {
		return external(ref), nil
	}
	var (
		call   = kube.Call{Verb: "get", Resource: issuers, Namespace: certificate.Namespace, Name: ref.Name}
		spec   cmapi.IssuerSpec
		status cmapi.IssuerStatus
		err    error
	)
	if ref.Kind == cmapi.ClusterIssuerKind {
		call.Resource, call.Namespace = clusterIssuers, ""
		var found *cmapi.ClusterIssuer
		if found, err = c.Certificates.CertmanagerV1().ClusterIssuers().Get(ctx, ref.Name, metav1.GetOptions{}); err == nil {
			spec, status = found.Spec, found.Status
		}
	} else {
		var found *cmapi.Issuer
		if found, err = c.Certificates.CertmanagerV1().Issuers(certificate.Namespace).Get(ctx, ref.Name, metav1.GetOptions{}); err == nil {
			spec, status = found.Spec, found.Status
		}
	}
	explained := c.Explain(ctx, call, err)
	switch {
	case apierrors.IsNotFound(err) && !errors.Is(explained, kube.ErrNoAPI):
		return issuer{}, fault.Hint(fmt.Errorf("certificate %s %w: there is no %s", certificate.Name, ErrCannotIssue, refName(ref)),
			"create the issuer, or correct spec.issuerRef of Certificate %s", certificate.Name)
	case err != nil:
		return issuer{}, explained
	}
	return sortOf(spec), issuerReady(certificate, status)
}

// issuerReady returns an error when the issuer says that it is not ready. One that says
// nothing yet was made a moment ago; the wait for the certificate waits for it too.
func issuerReady(certificate *cmapi.Certificate, status cmapi.IssuerStatus) error {
	for _, condition := range status.Conditions {
		if condition.Type != cmapi.IssuerConditionReady || condition.Status != cmmeta.ConditionFalse {
			continue
		}
		name := refName(certificate.Spec.IssuerRef)
		return fault.Hint(fmt.Errorf("certificate %s %w: %s is not ready%s", certificate.Name, ErrCannotIssue, name,
			reasoned(condition.Reason, condition.Message)),
			"mend the issuer first: kubectl -n %s describe %s", certificate.Namespace, name)
	}
	return nil
}

// refName returns e.g. "issuer/shop-ca", as kubectl takes it.
func refName(ref cmmeta.IssuerReference) string {
	kind := strings.ToLower(ref.Kind)
	if kind == "" {
		kind = "issuer"
	}
	if ref.Group != "" && ref.Group != "cert-manager.io" {
		kind += "." + ref.Group
	}
	return kind + "/" + ref.Name
}
