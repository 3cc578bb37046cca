// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"strings"
	"testing"
	"time"

	cmacme "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var today = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// lasting returns a Certificate that was issued age ago and lives for lifetime; cert-manager
// plans to renew it after two thirds.
func lasting(age, lifetime time.Duration) *cmapi.Certificate {
	begin := today.Add(-age)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: begin.Add(d)} }
	revision := 3
	return &cmapi.Certificate{Status: cmapi.CertificateStatus{
		Revision: &revision, NotBefore: at(0), NotAfter: at(lifetime), RenewalTime: at(lifetime * 2 / 3),
		Conditions: []cmapi.CertificateCondition{{Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionTrue}},
	}}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	const days = 24 * time.Hour
	ca := sortOf(cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{CA: &cmapi.CAIssuer{}}})
	acme := sortOf(cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{ACME: &cmacme.ACMEIssuer{}}})
	young, old := lasting(days, 90*days), lasting(60*days, 90*days)
	unplanned := lasting(50*days, 90*days)
	unplanned.Status.RenewalTime = nil
	unplannedOld := lasting(70*days, 90*days)
	unplannedOld.Status.RenewalTime = nil
	unready := lasting(days, 90*days)
	unready.Status.Conditions[0] = cmapi.CertificateCondition{
		Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionFalse, Reason: "DoesNotMatch", Message: "names differ",
	}
	for _, test := range []struct {
		name   string
		when   When
		given  *cmapi.Certificate
		issuer issuer
		renew  bool
		why    string
	}{
		{"CA, young", Auto, young, ca, true, "CA issuer without a public rate limit"},
		{"ACME, young", Auto, young, acme, false, "not due: renewal is planned for 2027-04-29 12:00 UTC; ACME servers ration"},
		{"ACME, due now", Auto, old, acme, true, "due: renewal was planned for 2027-03-01 12:00 UTC"},
		{"ACME, due within a day", Auto, lasting(59*days, 90*days), acme, true, "due"},
		{"ACME, due in two days", Auto, lasting(58*days, 90*days), acme, false, "not due"},
		{"ACME, short-lived", Auto, lasting(30*time.Minute, time.Hour), acme, false, "not due"},
		{"ACME, short-lived and near", Auto, lasting(39*time.Minute, time.Hour), acme, true, "due"},
		{"ACME, forced", Always, young, acme, true, "--when always"},
		{"external", Auto, young, external(cmmeta.IssuerReference{Kind: "AWSPCAIssuer", Group: "awspca.cert-manager.io"}), false, "AWSPCAIssuer.awspca.cert-manager.io"},
		{"unknown", Auto, young, sortOf(cmapi.IssuerSpec{}), false, "not known"},
		{"CA, only when due", Due, young, ca, false, "not due"},
		{"CA, due", Due, old, ca, true, "due"},
		{"never, though due", Never, old, ca, false, "--when never"},
		{"never issued", Due, &cmapi.Certificate{}, acme, true, "never issued"},
		{"expired while Ready", Due, lasting(91*days, 90*days), acme, true, "expired on 2027-02-28"},
		{"not Ready", Due, unready, acme, true, "not Ready (DoesNotMatch: names differ)"},
		{"no renewal planned", Due, unplanned, acme, false, "no renewal is planned"},
		{"no renewal planned, last third", Due, unplannedOld, acme, true, "no renewal is planned"},
	} {
		got := choose(test.when, test.given, test.issuer, today)
		if got.renew != test.renew || !strings.Contains(got.why, test.why) {
			t.Errorf("%s: choose() = %v, want %v because %q", test.name, got, test.renew, test.why)
		}
	}
}
