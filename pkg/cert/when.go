// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"fmt"
	"strings"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
)

// When says when certificates are renewed.
type When string

// Whens.
const (
	// Auto renews at every call where the issuer is known to have no public rate limit, and
	// only when due where it has one or where that is not known.
	Auto   When = "auto"
	Always When = "always"
	Due    When = "due"
	Never  When = "never"
)

// Whens returns all values, the default first.
func Whens() []string {
	return []string{string(Auto), string(Always), string(Due), string(Never)}
}

// nearest is the longest time before cert-manager's own renewal at which a certificate counts
// as due: a renewal in the middle of the release that follows would be nobody's.
const nearest = 24 * time.Hour

// A choice is whether to renew, and why, for people.
type choice struct {
	renew bool
	why   string
}

// choose decides whether the Certificate is renewed. issuer is who would be asked.
func choose(when When, c *cmapi.Certificate, issuer issuer, now time.Time) choice {
	due, why := isDue(c, now)
	switch {
	case when == Never:
		return choice{false, "not asked for (--when never)"}
	case when == Always:
		return choice{true, "asked for (--when always)"}
	case due:
		return choice{true, "due: " + why}
	case when == Due:
		return choice{false, "not due: " + why}
	case issuer.limited != "":
		return choice{false, fmt.Sprintf("not due: %s; %s", why, issuer.limited)}
	default:
		return choice{true, fmt.Sprintf("%s issuer without a public rate limit", issuer.sort)}
	}
}

// isDue tells whether a renewal is due or so near that cert-manager would begin it by itself
// while a release is under way, and why.
func isDue(c *cmapi.Certificate, now time.Time) (due bool, why string) {
	status := c.Status
	if status.Revision == nil || status.NotAfter == nil || status.NotBefore == nil {
		return true, "never issued"
	}
	begin, end := status.NotBefore.Time, status.NotAfter.Time
	lifetime := end.Sub(begin)
	if !now.Before(end) {
		return true, "expired on " + day(end)
	}
	if ready := condition(c, cmapi.CertificateConditionReady); ready == nil || ready.Status != cmmeta.ConditionTrue {
		return true, "not Ready" + said(ready)
	}
	if status.RenewalTime == nil {
		// cert-manager renews nothing by itself (spec.renewal.policy: Disabled): its own
		// default, a third of the lifetime before the end, stands in.
		due := now.After(end.Add(-lifetime / 3))
		return due, "no renewal is planned and it expires on " + day(end)
	}
	planned := status.RenewalTime.Time
	if planned.Sub(now) <= min(nearest, lifetime/60) {
		return true, "renewal was planned for " + day(planned)
	}
	return false, "renewal is planned for " + day(planned)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// An issuer is what the decision needs to know of an Issuer or ClusterIssuer.
type issuer struct {
	// sort is CA, SelfSigned, Vault, Venafi, ACME, or the kind of an external issuer.
	sort string
	// limited says why renewals may be rationed, "" when it is known that they are not.
	limited string
}

// sortOf reads an issuer's kind from its configuration.
func sortOf(spec cmapi.IssuerSpec) issuer {
	switch {
	case spec.CA != nil:
		return issuer{sort: "CA"}
	case spec.SelfSigned != nil:
		return issuer{sort: "SelfSigned"}
	case spec.Vault != nil:
		return issuer{sort: "Vault"}
	case spec.Venafi != nil:
		return issuer{sort: "Venafi"}
	case spec.ACME != nil:
		return issuer{"ACME", "ACME servers ration renewals (--when always renews all the same)"}
	default:
		return issuer{"unknown", "it is not known whether its issuer rations renewals (--when always renews all the same)"}
	}
}

// external is an issuer that another program than cert-manager serves.
func external(ref cmmeta.IssuerReference) issuer {
	return issuer{
		sort:    ref.Kind,
		limited: fmt.Sprintf("it is not known whether %s.%s rations renewals (--when always renews all the same)", ref.Kind, ref.Group),
	}
}

func condition(c *cmapi.Certificate, kind cmapi.CertificateConditionType) *cmapi.CertificateCondition {
	for i := range c.Status.Conditions {
		if c.Status.Conditions[i].Type == kind {
			return &c.Status.Conditions[i]
		}
	}
	return nil
}

// issuing tells whether cert-manager was told to issue and has not ended.
func issuing(c *cmapi.Certificate) bool {
	found := condition(c, cmapi.CertificateConditionIssuing)
	return found != nil && found.Status == cmmeta.ConditionTrue
}

// said returns a condition's reason and message, as they are shown behind a fact.
func said(c *cmapi.CertificateCondition) string {
	if c == nil {
		return ""
	}
	return reasoned(c.Reason, c.Message)
}

func reasoned(reason, message string) string {
	text := strings.Trim(kube.OneLine(reason+": "+message), ": ")
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
