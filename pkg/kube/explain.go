// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Errors on which callers branch.
var (
	// ErrNoCluster: nothing says where a cluster is.
	ErrNoCluster = errors.New("no cluster is configured")
	// ErrForbidden: the account may not do it.
	ErrForbidden = errors.New("forbidden")
	// ErrNoAPI: the cluster does not know the resource at all.
	ErrNoAPI = errors.New("the cluster has no such API")
	// ErrUnreachable: the API server did not answer.
	ErrUnreachable = errors.New("cluster unreachable")
	// ErrTimeout: a wait met its deadline.
	ErrTimeout = errors.New("deadline")
	// ErrRefused: nothing listens on a pod's port.
	ErrRefused = errors.New("connection refused")
)

// A Call is one request to the cluster, in the words of RBAC.
type Call struct {
	Verb string
	// Resource is group/plural, or plural alone for the core group: "pods", "pods/exec",
	// "snapshot.storage.k8s.io/volumesnapshots".
	Resource  string
	Namespace string // "" for resources of the whole cluster
	Name      string // "" for lists
}

// String says the call for people, e.g. "create volumesnapshots.snapshot.storage.k8s.io db in namespace shop".
func (c Call) String() string {
	group, plural := c.split()
	text := c.Verb + " " + plural
	if group != "" {
		text += "." + group
	}
	if c.Name != "" {
		text += " " + c.Name
	}
	if c.Namespace != "" {
		text += " in namespace " + c.Namespace
	}
	return text
}

func (c Call) split() (group, plural string) {
	before, after, found := strings.Cut(c.Resource, "/")
	switch {
	case found && strings.Contains(before, "."), before == "apps", before == "batch", before == "policy", before == "autoscaling":
		return before, after
	}
	return "", c.Resource
}

// Explain returns err with what was asked of the cluster, and a hint where the cure is
// known. Explain of nil is nil. A cancelled context stays recognisable.
func (c *Cluster) Explain(ctx context.Context, call Call, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", call, context.Canceled)
	case isNoAPI(err):
		group, plural := call.split()
		return fault.Hint(fmt.Errorf("%s: %w: %s", call, ErrNoAPI, plural), "%s", missing(group))
	case apierrors.IsForbidden(err):
		return fault.Hint(fmt.Errorf("%s: %w: %w", call, ErrForbidden, err), "%s", grant(call))
	case apierrors.IsUnauthorized(err):
		return fault.Hint(fmt.Errorf("%s: %w", call, err),
			"%s does not accept the credentials of this kubeconfig: log in again, or renew its token", c.Host)
	}
	if cure := c.unreachable(err); cure != "" {
		return fault.Hint(fmt.Errorf("%s: %w: %w", call, ErrUnreachable, err), "%s", cure)
	}
	return fmt.Errorf("%s: %w", call, err)
}

// isNoAPI tells a missing resource type from a missing object: only the latter answer is
// made by the API of the type itself.
func isNoAPI(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsNotFound(err) {
		return false
	}
	details := status.Status().Details
	if details == nil {
		return false
	}
	for _, cause := range details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			return true
		}
	}
	return false
}

func missing(group string) string {
	switch group {
	case "snapshot.storage.k8s.io":
		return "install the CRDs of external-snapshotter, its snapshot-controller, and a CSI driver that can snapshot"
	case "cert-manager.io":
		return "install cert-manager, or leave the rotation out"
	default:
		return "this cluster is older than the API, or the API's CRDs are not installed"
	}
}

// grant words the rule that is missing as it stands in a Role.
func grant(call Call) string {
	group, plural := call.split()
	kind, place := "Role", " in namespace "+call.Namespace
	if call.Namespace == "" {
		kind, place = "ClusterRole", ""
	}
	return fmt.Sprintf("bind the account to a %s%s with the rule {apiGroups: [%q], resources: [%q], verbs: [%q]}",
		kind, place, group, plural, call.Verb)
}

// unreachable returns the cure when err means that the API server was not reached at all.
func (c *Cluster) unreachable(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		lookup   *net.DNSError
		network  *net.OpError
		address  *url.Error
	)
	switch {
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &hostname):
		return fmt.Sprintf("the certificate of %s does not fit this kubeconfig: is it the right cluster, and is certificate-authority-data current?", c.Host)
	case errors.As(err, &lookup):
		return fmt.Sprintf("the name in %s does not resolve here: check the kubeconfig's server and this machine's DNS", c.Host)
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.As(err, &address):
		return fmt.Sprintf("is the cluster up, and may this machine reach %s? try: kubectl version", c.Host)
	}
	return ""
}
