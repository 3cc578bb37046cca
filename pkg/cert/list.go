// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// Resources of cert-manager, in the words of RBAC.
const (
	certificates   = "cert-manager.io/certificates"
	requests       = "cert-manager.io/certificaterequests"
	issuers        = "cert-manager.io/issuers"
	clusterIssuers = "cert-manager.io/clusterissuers"
)

// A Certificate is cert-manager's, for packages that only hand it on.
type Certificate = cmapi.Certificate

// List returns the Certificates of the cluster's namespace that a label selector selects (""
// selects all), sorted by name. A selector that cannot be read, or that selects nothing, is an
// error of usage. The error wraps kube.ErrNoAPI where cert-manager is not installed.
func List(ctx context.Context, c *kube.Cluster, selector string) ([]cmapi.Certificate, error) {
	if _, err := labels.Parse(selector); err != nil {
		return nil, fault.Hint(fault.Usagef("certificates %q: %w", selector, err), "write it as kubectl takes it, e.g. app=shop or app in (shop, db)")
	}
	list, err := c.Certificates.CertmanagerV1().Certificates(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.Explain(ctx, kube.Call{Verb: "list", Resource: certificates, Namespace: c.Namespace}, err)
	}
	if len(list.Items) == 0 && selector != "" {
		return nil, fault.Hint(fault.Usagef("namespace %s has no Certificate with the labels %s", c.Namespace, selector),
			"kubectl -n %s get certificates --show-labels", c.Namespace)
	}
	sort.Slice(list.Items, func(i, j int) bool { return list.Items[i].Name < list.Items[j].Name })
	return list.Items, nil
}

// Unfit says why a Certificate is no matter of a rotation, "" when it is one. all are the
// Certificates of its namespace.
func Unfit(c *cmapi.Certificate, all []cmapi.Certificate) string {
	switch {
	case c.DeletionTimestamp != nil:
		return "it is being deleted"
	case c.Spec.IsCA:
		return "it is an authority: whoever trusts it has to trust its successor first"
	}
	for i := range all {
		if other := &all[i]; other.Name != c.Name && other.Spec.SecretName == c.Spec.SecretName {
			return fmt.Sprintf("Certificate %s writes to the same Secret %s: cert-manager serves only one of them", other.Name, c.Spec.SecretName)
		}
	}
	return ""
}

// ErrUnknown means that the certificate of a revision cannot be learnt without reading the
// Secret: cert-manager keeps no CertificateRequest of it.
var ErrUnknown = errors.New("not known")

// Current returns the certificate of the Certificate's present revision. The error wraps
// ErrUnknown when there is no issued CertificateRequest of that revision, which happens when
// it was never issued, restored from a backup, or when a failed request has pushed the issued
// one out (revisionHistoryLimit).
func Current(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate) (Issued, error) {
	revision := revisionOf(certificate)
	if revision == 0 {
		return Issued{}, fmt.Errorf("certificate %s: %w: never issued", certificate.Name, ErrUnknown)
	}
	owned, err := ownRequests(ctx, c, certificate)
	if err != nil {
		return Issued{}, err
	}
	for i := range owned {
		request := &owned[i]
		if requestRevision(request) != revision || !issued(request) {
			continue
		}
		found, err := parseIssued(request.Status.Certificate, request.Status.CA)
		if err != nil {
			return Issued{}, fmt.Errorf("CertificateRequest %s: %w", request.Name, err)
		}
		found.Request, found.Revision, found.Asked = request.Name, revision, request.CreationTimestamp.Time
		return found, nil
	}
	return Issued{}, fmt.Errorf("certificate %s: %w: cert-manager keeps no issued CertificateRequest of revision %d",
		certificate.Name, ErrUnknown, revision)
}

// ownRequests returns the CertificateRequests that the Certificate owns, newest revision first.
func ownRequests(ctx context.Context, c *kube.Cluster, certificate *cmapi.Certificate) ([]cmapi.CertificateRequest, error) {
	list, err := c.Certificates.CertmanagerV1().CertificateRequests(certificate.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.Explain(ctx, kube.Call{Verb: "list", Resource: requests, Namespace: certificate.Namespace}, err)
	}
	owned := slices.DeleteFunc(list.Items, func(r cmapi.CertificateRequest) bool { return !metav1.IsControlledBy(&r, certificate) })
	sort.Slice(owned, func(i, j int) bool {
		a, b := &owned[i], &owned[j]
		return cmp.Or(requestRevision(b)-requestRevision(a), b.CreationTimestamp.Compare(a.CreationTimestamp.Time)) < 0
	})
	return owned, nil
}

func revisionOf(c *cmapi.Certificate) int {
	if c.Status.Revision == nil {
		return 0
	}
	return *c.Status.Revision
}

// requestRevision returns the revision that a request is for, 0 when it does not say.
func requestRevision(r *cmapi.CertificateRequest) int {
	revision, err := strconv.Atoi(r.Annotations[cmapi.CertificateRequestRevisionAnnotationKey])
	if err != nil {
		return 0
	}
	return revision
}

func issued(r *cmapi.CertificateRequest) bool {
	ready := requestCondition(r, cmapi.CertificateRequestConditionReady)
	return ready != nil && ready.Status == cmmeta.ConditionTrue && len(r.Status.Certificate) > 0
}

func requestCondition(r *cmapi.CertificateRequest, kind cmapi.CertificateRequestConditionType) *cmapi.CertificateRequestCondition {
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == kind {
			return &r.Status.Conditions[i]
		}
	}
	return nil
}

// Names returns what the Certificate asks its certificate to be valid for.
func Names(c *cmapi.Certificate) []string {
	all := slices.Concat(c.Spec.DNSNames, c.Spec.IPAddresses)
	if len(all) == 0 && c.Spec.CommonName != "" && len(c.Spec.URIs) == 0 && len(c.Spec.EmailAddresses) == 0 {
		all = []string{c.Spec.CommonName}
	}
	return all
}
