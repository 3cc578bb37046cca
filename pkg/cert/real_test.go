// SPDX-License-Identifier: Apache-2.0

package cert_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/realcluster"
)

// authority is a self-signed root and an issuer that signs with it.
const authority = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: self}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: root}
spec:
  isCA: true
  commonName: shop root
  secretName: root
  privateKey: {algorithm: ECDSA}
  issuerRef: {name: self}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: shop-ca}
spec: {ca: {secretName: root}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web}
spec:
  secretName: web-tls
  dnsNames: [web, web.%NAMESPACE%.svc]
  privateKey: {algorithm: ECDSA}
  issuerRef: {name: shop-ca}
`

// issuedAt waits until a Certificate has reached a revision and returns it.
func issuedAt(t *testing.T, c *realcluster.Cluster, name string, revision int) *cmapi.Certificate {
	t.Helper()
	client := c.Certificates.CertmanagerV1().Certificates(c.Namespace)
	spec := kube.WaitSpec{What: "certificate " + name, Timeout: time.Minute, Resource: "cert-manager.io/certificates", Namespace: c.Namespace, Name: name}
	var found *cmapi.Certificate
	err := kube.Wait(t.Context(), c.Cluster, spec, client, kube.Named(func(now *cmapi.Certificate) (kube.Progress, error) {
		found = now
		return kube.Progress{Done: now != nil && now.Status.Revision != nil && *now.Status.Revision >= revision}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRealRenew(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "rotate-cert")
	c.Apply(t, authority)
	issuedAt(t, c, "root", 1)
	web := issuedAt(t, c, "web", 1)
	began := time.Now()
	rotation, err := cert.Renew(t.Context(), c.Cluster, web, cert.Request{When: cert.Auto, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("renewed in %s: %+v", time.Since(began), rotation)
	secret, err := c.Core.CoreV1().Secrets(c.Namespace).Get(t.Context(), "web-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := cert.ParsePEM(secret.Data["tls.crt"])
	if err != nil {
		t.Fatal(err)
	}
	if !rotation.Renewed || rotation.Before.Serial == rotation.After.Serial || cert.Describe(stored[0]).Fingerprint != rotation.After.Fingerprint {
		t.Errorf("Renew() = %+v, while the Secret holds serial %s", rotation, cert.Serial(stored[0]))
	}
	if now := issuedAt(t, c, "web", 2); *now.Status.Revision != 2 {
		t.Errorf("revision %d, want 2", *now.Status.Revision)
	}
}

func TestRealCannotIssue(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "rotate-cert")
	c.Apply(t, `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: broken}
spec: {ca: {secretName: gone}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: on-broken}
spec: {secretName: a, dnsNames: [a], issuerRef: {name: broken}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: on-nobody}
spec: {secretName: b, dnsNames: [b], issuerRef: {name: nobody}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: on-external}
spec: {secretName: c, dnsNames: [c], issuerRef: {name: x, kind: Shop, group: example.com}}
`)
	broken := kube.WaitSpec{What: "issuer", Timeout: time.Minute, Namespace: c.Namespace, Name: "broken"}
	issuers := c.Certificates.CertmanagerV1().Issuers(c.Namespace)
	if err := kube.Wait(t.Context(), c.Cluster, broken, issuers, kube.Named(func(i *cmapi.Issuer) (kube.Progress, error) {
		return kube.Progress{Done: i != nil && len(i.Status.Conditions) > 0}, nil
	})); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		want error
		text string
	}{
		{"on-broken", cert.ErrCannotIssue, "issuer/broken is not ready"},
		{"on-nobody", cert.ErrCannotIssue, "there is no issuer/nobody"},
		{"on-external", kube.ErrTimeout, "waits for approval"},
	} {
		given, err := c.Certificates.CertmanagerV1().Certificates(c.Namespace).Get(t.Context(), test.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = cert.Renew(t.Context(), c.Cluster, given, cert.Request{When: cert.Auto, Timeout: 7 * time.Second})
		t.Logf("after %s: %v (%q)", time.Since(began), err, fault.Hints(err))
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: Renew() = %v, want %q with %q", test.name, err, test.want, test.text)
		}
	}
}

// What an issuer answers ends the renewal at once, and what it answered before is not taken for
// the answer to the next one. The issuer is one that nobody but the test serves, so that
// cert-manager's own issuers stay out of it.
func TestRealFailureEndsEarly(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "rotate-cert")
	c.Apply(t, `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web}
spec: {secretName: web-tls, dnsNames: [web], issuerRef: {name: x, kind: Shop, group: example.com}}
`)
	web, err := c.Certificates.CertmanagerV1().Certificates(c.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{"not on a Friday", "not on a Monday either"} {
		stop := answer(t, c, cmapi.CertificateRequestCondition{
			Type: cmapi.CertificateRequestConditionReady, Status: cmmeta.ConditionFalse,
			Reason: cmapi.CertificateRequestReasonFailed, Message: message,
		})
		began := time.Now()
		_, err := cert.Renew(t.Context(), c.Cluster, web, cert.Request{When: cert.Always, Timeout: time.Minute})
		stop()
		t.Logf("after %s: %v (%q)", time.Since(began), err, fault.Hints(err))
		if !errors.Is(err, cert.ErrCannotIssue) || !strings.Contains(err.Error(), message) {
			t.Errorf("Renew() = %v, want %q with %q", err, cert.ErrCannotIssue, message)
		}
	}
}

// answer puts a condition on the CertificateRequests without one, those there are and those
// that come, until stop is called.
func answer(t *testing.T, c *realcluster.Cluster, condition cmapi.CertificateRequestCondition) (stop func()) {
	t.Helper()
	client := c.Certificates.CertmanagerV1().CertificateRequests(c.Namespace)
	watching, err := client.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watching.ResultChan() {
			request, ok := event.Object.(*cmapi.CertificateRequest)
			if !ok || event.Type == watch.Deleted || len(request.Status.Conditions) > 0 {
				continue
			}
			now := metav1.Now()
			request.Status.FailureTime = &now
			request.Status.Conditions = []cmapi.CertificateRequestCondition{condition}
			if _, err := client.UpdateStatus(t.Context(), request, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
				t.Errorf("answer %s: %v", request.Name, err)
			}
		}
	}()
	return func() { watching.Stop(); <-done }
}

func TestRealRenewEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "rotate-cert")
	c.Apply(t, `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: slow}
spec: {secretName: c, dnsNames: [c], issuerRef: {name: x, kind: Shop, group: example.com}}
`)
	given, err := c.Certificates.CertmanagerV1().Certificates(c.Namespace).Get(t.Context(), "slow", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	began := time.Now()
	_, err = cert.Renew(ctx, c.Cluster, given, cert.Request{When: cert.Auto, Timeout: time.Minute})
	if fault.StatusOf(err) != fault.Cancelled || time.Since(began) > 10*time.Second {
		t.Errorf("Renew() = %v after %s, want cancelled at once", err, time.Since(began))
	}
}
