// SPDX-License-Identifier: Apache-2.0

package cert_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	cmacme "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/certmanager"
)

// shop returns a cluster whose cert-manager is a double that issues at noon.
func shop(t *testing.T) (*certmanager.Double, *kube.Cluster) {
	t.Helper()
	double := certmanager.Start(t, atNoon)
	return double, &kube.Cluster{
		Namespace: certmanager.Namespace, Certificates: double.Client,
		Log: slog.New(slog.DiscardHandler), Now: atNoon,
	}
}

func renew(t *testing.T, c *kube.Cluster, certificate *cmapi.Certificate, when cert.When) (release.Rotation, error) {
	t.Helper()
	return cert.Renew(t.Context(), c, certificate, cert.Request{When: when, Timeout: 20 * time.Second})
}

func TestRenew(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	web := double.Certificate("web", []string{"web.shop.svc"}, nil)
	old := double.Served("web-tls")
	rotation, err := renew(t, cluster, web, cert.Auto)
	if err != nil {
		t.Fatal(err)
	}
	fresh := double.Served("web-tls")
	if !rotation.Renewed || rotation.Before.Serial != cert.Serial(old.Leaf) || rotation.After.Serial != cert.Serial(fresh.Leaf) {
		t.Errorf("Renew() = %+v, want serial %s replaced by %s", rotation, cert.Serial(old.Leaf), cert.Serial(fresh.Leaf))
	}
	if rotation.Namespace != "shop" || rotation.Name != "web" || rotation.Secret != "web-tls" || rotation.Why == "" {
		t.Errorf("Renew() = %+v", rotation)
	}
	if now := double.Get("web"); *now.Status.Revision != 2 {
		t.Errorf("revision %d, want 2", *now.Status.Revision)
	}
}

func TestRenewLeavesAloneWhatIsNotDue(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	double.AddIssuer(&cmapi.Issuer{
		ObjectMeta: metav1.ObjectMeta{Name: "public", Namespace: certmanager.Namespace},
		Spec:       cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{ACME: &cmacme.ACMEIssuer{}}},
	})
	for name, test := range map[string]struct {
		when   cert.When
		issuer cmmeta.IssuerReference
	}{
		"acme":     {cert.Auto, cmmeta.IssuerReference{Name: "public"}},
		"external": {cert.Auto, cmmeta.IssuerReference{Name: "x", Kind: "AWSPCAIssuer", Group: "awspca.cert-manager.io"}},
		"due":      {cert.Due, cmmeta.IssuerReference{Name: certmanager.Issuer}},
		"never":    {cert.Never, cmmeta.IssuerReference{Name: "absent"}},
		"broken":   {cert.Due, cmmeta.IssuerReference{Name: "absent"}},
	} {
		given := double.Certificate(name, []string{name}, func(c *cmapi.Certificate) { c.Spec.IssuerRef = test.issuer })
		rotation, err := renew(t, cluster, given, test.when)
		if err != nil || rotation.Renewed || rotation.Why == "" || rotation.After.Serial == "" || rotation.After.Serial != rotation.Before.Serial {
			t.Errorf("%s: Renew() = %+v, %v, want it left alone with a reason and its present serial", name, rotation, err)
		}
		if revision := *double.Get(name).Status.Revision; revision != 1 {
			t.Errorf("%s: revision %d, want 1", name, revision)
		}
	}
}

func TestRenewJoinsAnIssuanceUnderWay(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	double.Certificate("web", []string{"web"}, nil)
	double.Mood("web", certmanager.Absent)
	ask(t, double, "web")
	web := double.Get("web")
	time.AfterFunc(50*time.Millisecond, func() { double.Mood("web", certmanager.Issues) })
	rotation, err := renew(t, cluster, web, cert.Auto)
	if err != nil || !rotation.Renewed {
		t.Errorf("Renew() = %+v, %v", rotation, err)
	}
	if revision := *double.Get("web").Status.Revision; revision != 2 {
		t.Errorf("revision %d, want 2: it was issued once", revision)
	}
}

// ask sets the condition Issuing as somebody else would.
func ask(t *testing.T, double *certmanager.Double, name string) {
	t.Helper()
	now := double.Get(name)
	now.Status.Conditions = append(now.Status.Conditions, cmapi.CertificateCondition{
		Type: cmapi.CertificateConditionIssuing, Status: cmmeta.ConditionTrue, LastTransitionTime: &metav1.Time{Time: noon},
	})
	if _, err := double.Client.CertmanagerV1().Certificates(now.Namespace).UpdateStatus(t.Context(), now, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestRenewEndsEarlyWhenNothingCanHeal(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	double.AddIssuer(&cmapi.Issuer{
		ObjectMeta: metav1.ObjectMeta{Name: "broken", Namespace: certmanager.Namespace},
		Spec:       cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{CA: &cmapi.CAIssuer{SecretName: "gone"}}},
		Status: cmapi.IssuerStatus{Conditions: []cmapi.IssuerCondition{{
			Type: cmapi.IssuerConditionReady, Status: cmmeta.ConditionFalse, Reason: "ErrGetKeyPair", Message: `secret "gone" not found`,
		}}},
	})
	for name, test := range map[string]struct {
		mood   certmanager.Mood
		issuer string
		text   string
		hint   string
	}{
		"fails":  {certmanager.Fails, certmanager.Issuer, "the issuer refuses the name", "issuer/shop-ca"},
		"denied": {certmanager.Denies, certmanager.Issuer, "policy says no", "approver"},
		"lost":   {certmanager.Issues, "absent", "there is no issuer/absent", "create the issuer"},
		"broken": {certmanager.Issues, "broken", `issuer/broken is not ready (ErrGetKeyPair: secret "gone" not found)`, "describe issuer/broken"},
	} {
		given := double.Certificate(name, []string{name}, func(c *cmapi.Certificate) { c.Spec.IssuerRef.Name = test.issuer })
		double.Mood(name, test.mood)
		rotation, err := renew(t, cluster, given, cert.Auto)
		if !errors.Is(err, cert.ErrCannotIssue) || !strings.Contains(err.Error(), test.text) || !strings.Contains(strings.Join(fault.Hints(err), " "), test.hint) {
			t.Errorf("%s: Renew() = %v with hints %q, want %q and %q", name, err, fault.Hints(err), test.text, test.hint)
		}
		if rotation.Renewed || rotation.Before.Serial == "" {
			t.Errorf("%s: Renew() = %+v, want what was there before and nothing renewed", name, rotation)
		}
	}
}

func TestRenewTriesAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, mood := range []certmanager.Mood{certmanager.Fails, certmanager.Denies} {
		double, cluster := shop(t)
		web := double.Certificate("web", []string{"web"}, nil)
		double.Mood("web", mood)
		if _, err := renew(t, cluster, web, cert.Auto); err == nil {
			t.Fatalf("%s: Renew() = nil", mood)
		}
		double.Mood("web", certmanager.Issues)
		// The clock has not moved on: only a condition that is later than the failure counts,
		// and what the first attempt left is no answer to the second.
		rotation, err := renew(t, cluster, web, cert.Auto)
		if err != nil || !rotation.Renewed {
			t.Errorf("%s: Renew() once the cause is gone = %+v, %v", mood, rotation, err)
		}
	}
}

func TestRenewDoesNotTrustARevisionAlone(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	for name, test := range map[string]struct {
		mood certmanager.Mood
		text string
	}{
		"repeats": {certmanager.Repeats, "nothing was renewed"},
		"forgets": {certmanager.Forgets, "no issued CertificateRequest of revision 2"},
	} {
		given := double.Certificate(name, []string{name}, nil)
		double.Mood(name, test.mood)
		rotation, err := renew(t, cluster, given, cert.Auto)
		if err == nil || rotation.Renewed || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: Renew() = %+v, %v, want an error with %q", name, rotation, err, test.text)
		}
	}
}

func TestRenewRefusesWhatNoClientWouldAccept(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	web := double.Certificate("web", []string{"web"}, func(c *cmapi.Certificate) { c.Spec.IPAddresses = []string{"10.0.0.7"} })
	rotation, err := renew(t, cluster, web, cert.Auto) // the double forgets the address
	if err == nil || !strings.Contains(err.Error(), "10.0.0.7") || !rotation.Renewed {
		t.Errorf("Renew() = %+v, %v, want renewed and an error that names 10.0.0.7", rotation, err)
	}
}

func TestRenewAtTheDeadlineSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	for name, test := range map[string]struct {
		mood certmanager.Mood
		text string
	}{
		"absent":     {certmanager.Absent, "cert-manager has not begun"},
		"pends":      {certmanager.Pends, "CertificateRequest pends-2 (Pending: the issuer is busy)"},
		"unapproved": {certmanager.Unapproved, "CertificateRequest unapproved-2 waits for approval"},
	} {
		given := double.Certificate(name, []string{name}, nil)
		double.Mood(name, test.mood)
		_, err := cert.Renew(t.Context(), cluster, given, cert.Request{When: cert.Auto, Timeout: 300 * time.Millisecond})
		if !errors.Is(err, kube.ErrTimeout) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: Renew() = %v, want the deadline and %q", name, err, test.text)
		}
		if hints := strings.Join(fault.Hints(err), " "); !strings.Contains(hints, "may still finish") {
			t.Errorf("%s: hints %q do not say that the renewal stays asked for", name, hints)
		}
	}
}

func TestRenewEndsWithItsContext(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	web := double.Certificate("web", []string{"web"}, nil)
	double.Mood("web", certmanager.Pends)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	rotation, err := cert.Renew(ctx, cluster, web, cert.Request{When: cert.Auto, Timeout: time.Minute})
	if fault.StatusOf(err) != fault.Cancelled || rotation.Before.Serial == "" {
		t.Errorf("Renew() = %+v, %v, want cancelled and what was there before", rotation, err)
	}
}

func TestWithoutCertManager(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	double.Client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		// What the API server answers for a type that it does not know.
		return true, nil, apierrors.NewGenericServerResponse(http.StatusNotFound, "list",
			schema.GroupResource{Group: "cert-manager.io", Resource: "certificates"}, "", "404 page not found", 0, true)
	})
	_, err := cert.List(t.Context(), cluster, "")
	if !errors.Is(err, kube.ErrNoAPI) || !strings.Contains(strings.Join(fault.Hints(err), " "), "install cert-manager") {
		t.Errorf("List() = %v with hints %q", err, fault.Hints(err))
	}
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	web := double.Certificate("web", []string{"web"}, nil)
	double.Client.PrependReactor("get", "issuers", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "cert-manager.io", Resource: "issuers"}, "shop-ca", errors.New("no"))
	})
	if _, err := renew(t, cluster, web, cert.Auto); !errors.Is(err, kube.ErrForbidden) || !strings.Contains(err.Error(), "get issuers.cert-manager.io shop-ca") {
		t.Errorf("Renew(auto) = %v, want forbidden, naming verb and resource", err)
	}
	if rotation, err := renew(t, cluster, web, cert.Always); err != nil || !rotation.Renewed {
		t.Errorf("Renew(always) = %+v, %v: it need not read the issuer", rotation, err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	double, cluster := shop(t)
	double.Certificate("web", []string{"web"}, func(c *cmapi.Certificate) { c.Labels = map[string]string{"app": "shop"} })
	double.Certificate("db", []string{"db"}, nil)
	for _, test := range []struct {
		selector string
		names    string
		status   fault.Status
	}{
		{"", "db web", fault.Done},
		{"app=shop", "web", fault.Done},
		{"app=nobody", "", fault.Usage},
		{"app=(", "", fault.Usage},
	} {
		found, err := cert.List(t.Context(), cluster, test.selector)
		var names []string
		for i := range found {
			names = append(names, found[i].Name)
		}
		if got := strings.Join(names, " "); got != test.names || fault.StatusOf(err) != test.status {
			t.Errorf("List(%q) = %q, %v, want %q and status %d", test.selector, got, err, test.names, test.status)
		}
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	double, _ := shop(t)
	leaving := double.Certificate("leaving", []string{"l"}, nil)
	leaving.DeletionTimestamp = &metav1.Time{Time: noon}
	authority := double.Certificate("authority", nil, func(c *cmapi.Certificate) { c.Spec.IsCA = true })
	one := double.Certificate("one", []string{"o"}, func(c *cmapi.Certificate) { c.Spec.SecretName = "same" })
	two := double.Certificate("two", []string{"t"}, func(c *cmapi.Certificate) { c.Spec.SecretName = "same" })
	web := double.Certificate("web", []string{"web"}, nil)
	all := []cmapi.Certificate{*leaving, *authority, *one, *two, *web}
	for _, test := range []struct {
		given *cmapi.Certificate
		why   string
	}{
		{leaving, "being deleted"}, {authority, "authority"}, {one, "Certificate two writes to the same Secret"}, {web, ""},
	} {
		if why := cert.Unfit(test.given, all); (why == "") != (test.why == "") || !strings.Contains(why, test.why) {
			t.Errorf("%s: Unfit() = %q, want %q", test.given.Name, why, test.why)
		}
	}
}
