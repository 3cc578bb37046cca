// SPDX-License-Identifier: Apache-2.0

// Package certmanager is a double of cert-manager for tests: a fake clientset with a
// controller behind it that answers the condition Issuing as cert-manager v1.21 does
// (controllers requestmanager, issuing, revisionmanager), with a real authority.
package certmanager

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/test/peer"
)

// Mood is how the controller treats the Certificates of an issuer.
type Mood string

// Moods.
const (
	Issues Mood = ""
	// Absent: no controller runs.
	Absent Mood = "absent"
	// Pends: the issuer never answers.
	Pends Mood = "pends"
	// Unapproved: nobody approves the request.
	Unapproved Mood = "unapproved"
	Fails      Mood = "fails"
	Denies     Mood = "denies"
	// Repeats: the issuer delivers the same certificate again.
	Repeats Mood = "repeats"
	// Forgets: the request is gone as soon as the Secret is written.
	Forgets Mood = "forgets"
)

// Namespace is where everything lies.
const Namespace = "shop"

// Issuer is the name of the CA issuer that a new double has.
const Issuer = "shop-ca"

// A Double is a cluster's cert-manager.
type Double struct {
	Client    *fake.Clientset
	Authority *peer.Authority

	// Stored is called with each certificate that is put into a Secret.
	Stored func(secret string, certificate tls.Certificate)

	t       testing.TB
	now     func() time.Time
	mu      sync.Mutex
	moods   map[string]Mood
	kicks   chan string
	last    map[string]tls.Certificate // by Secret
	made    atomic.Int64               // CertificateRequests
	stopped sync.WaitGroup
}

// Start returns a double with one ready CA issuer. It ends with the test.
func Start(t testing.TB, now func() time.Time) *Double {
	t.Helper()
	d := &Double{
		Client: fake.NewSimpleClientset(), Authority: peer.NewAuthority(t, "shop root", now),
		Stored: func(string, tls.Certificate) {},
		t:      t, now: now, moods: map[string]Mood{}, kicks: make(chan string), last: map[string]tls.Certificate{},
	}
	d.AddIssuer(&cmapi.Issuer{
		ObjectMeta: metav1.ObjectMeta{Name: Issuer, Namespace: Namespace},
		Spec:       cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{CA: &cmapi.CAIssuer{SecretName: Issuer}}},
		Status: cmapi.IssuerStatus{Conditions: []cmapi.IssuerCondition{
			{Type: cmapi.IssuerConditionReady, Status: cmmeta.ConditionTrue},
		}},
	})
	// The watch stands before anything can be asked.
	watching, err := d.Client.CertmanagerV1().Certificates(Namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watching.Stop(); d.stopped.Wait() })
	d.stopped.Go(func() { d.control(watching) })
	return d
}

// AddIssuer creates an issuer.
func (d *Double) AddIssuer(issuer *cmapi.Issuer) {
	d.t.Helper()
	if _, err := d.Client.CertmanagerV1().Issuers(Namespace).Create(d.t.Context(), issuer, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

// Mood sets how the Certificate of the name is treated from now on; what was asked of an absent
// controller is answered.
func (d *Double) Mood(certificate string, mood Mood) {
	d.mu.Lock()
	d.moods[certificate] = mood
	d.mu.Unlock()
	select {
	case d.kicks <- certificate:
	case <-d.t.Context().Done():
	}
}

// Served returns what lies in a Secret.
func (d *Double) Served(secret string) tls.Certificate {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last[secret]
}

// Certificate creates a Certificate that was issued once, its Secret bearing its name and
// "-tls". change may alter it before.
func (d *Double) Certificate(name string, names []string, change func(*cmapi.Certificate)) *cmapi.Certificate {
	d.t.Helper()
	c := &cmapi.Certificate{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace, UID: types.UID("uid-" + name), Generation: 1},
		Spec: cmapi.CertificateSpec{
			SecretName: name + "-tls", DNSNames: names, IssuerRef: cmmeta.IssuerReference{Name: Issuer, Kind: cmapi.IssuerKind},
		},
	}
	if change != nil {
		change(c)
	}
	ctx := d.t.Context()
	created, err := d.Client.CertmanagerV1().Certificates(Namespace).Create(ctx, c, metav1.CreateOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.issue(ctx, created, Issues); err != nil {
		d.t.Fatal(err)
	}
	return d.Get(name)
}

// Get returns a Certificate as it is.
func (d *Double) Get(name string) *cmapi.Certificate {
	d.t.Helper()
	c, err := d.Client.CertmanagerV1().Certificates(Namespace).Get(d.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}
