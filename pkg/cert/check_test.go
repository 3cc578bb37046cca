// SPDX-License-Identifier: Apache-2.0

package cert_test

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/test/peer"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

func wanted(leaf *x509.Certificate, ca *x509.Certificate, names ...string) cert.Wanted {
	return cert.Wanted{Issued: cert.Issued{Leaf: leaf, CA: []*x509.Certificate{ca}}, Names: names}
}

func TestCheckAcceptsWhatAClientWould(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", atNoon)
	between := root.Below(t, "between")
	order := peer.Order{Names: []string{"web", "*.shop.example"}, IPs: []net.IP{net.ParseIP("10.0.0.7"), net.ParseIP("fd00::7")}}
	leaf := between.Issue(t, order).Leaf
	alone := peer.NewAuthority(t, "alone", atNoon).Certificate
	named := root.Issue(t, peer.Order{Subject: "only a common name"}).Leaf
	for name, test := range map[string]struct {
		want   cert.Wanted
		served []*x509.Certificate
	}{
		"whole chain":                {wanted(leaf, root.Certificate, "web", "*.shop.example", "a.shop.example", "10.0.0.7", "fd00::7"), []*x509.Certificate{leaf, between.Certificate}},
		"the CA is the intermediate": {wanted(leaf, between.Certificate, "web"), []*x509.Certificate{leaf}},
		"self-signed":                {wanted(alone, alone), []*x509.Certificate{alone}},
		"common name":                {wanted(named, root.Certificate, "only a common name"), []*x509.Certificate{named}},
	} {
		if err := test.want.Check(cert.Served{Chain: test.served}, noon.Add(time.Hour)); err != nil {
			t.Errorf("%s: Check() = %v", name, err)
		}
	}
}

func TestCheckNamesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	root, stranger := peer.NewAuthority(t, "root", atNoon), peer.NewAuthority(t, "root", atNoon)
	between := root.Below(t, "between")
	order := peer.Order{Names: []string{"web"}}
	fresh, old := root.Issue(t, order).Leaf, root.Issue(t, order).Leaf
	below := between.Issue(t, order).Leaf
	client := root.Issue(t, peer.Order{Names: []string{"web"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}).Leaf
	other := root.Issue(t, peer.Order{Names: []string{"db"}}).Leaf
	for name, test := range map[string]struct {
		want   cert.Wanted
		served *x509.Certificate
		at     time.Time
		text   []string
	}{
		"stale":                 {wanted(fresh, root.Certificate, "web"), old, noon, []string{"serves serial " + cert.Serial(old) + " (stale), want " + cert.Serial(fresh)}},
		"foreign":               {wanted(fresh, root.Certificate, "web"), other, noon, []string{"(foreign)", "name:", "web"}},
		"chain of a namesake":   {wanted(fresh, stranger.Certificate, "web"), fresh, noon, []string{"chain:"}},
		"intermediate left out": {wanted(below, root.Certificate, "web"), below, noon, []string{"chain:"}},
		"not for servers":       {wanted(client, root.Certificate, "web"), client, noon, []string{"chain:"}},
		"name not covered":      {wanted(fresh, root.Certificate, "web", "db", "*.web", "10.0.0.7"), fresh, noon, []string{"not db", "*.web", "10.0.0.7"}},
		"expired":               {wanted(fresh, root.Certificate, "web"), fresh, noon.Add(91 * 24 * time.Hour), []string{"expired on 2027-05-30T12:00:00Z"}},
		"not valid yet":         {wanted(fresh, root.Certificate, "web"), fresh, noon.Add(-time.Minute), []string{"is not valid before 2027-03-01T12:00:00Z"}},
		"no authority is known": {cert.Wanted{Issued: cert.Issued{Leaf: fresh}, Trusted: x509.NewCertPool()}, fresh, noon, []string{"chain:"}},
	} {
		err := test.want.Check(cert.Served{Chain: []*x509.Certificate{test.served}}, test.at)
		if err == nil {
			t.Errorf("%s: Check() = nil", name)
			continue
		}
		for _, text := range test.text {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: Check() = %q, want it to say %q", name, err, text)
			}
		}
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", atNoon)
	issue := func(names ...string) *x509.Certificate { return root.Issue(t, peer.Order{Names: names}).Leaf }
	fresh, namesake, renamed, other := issue("a", "b"), issue("b", "a"), issue("a"), issue("c")
	want := wanted(fresh, root.Certificate)
	want.Before = cert.Describe(renamed).Fingerprint
	for name, test := range map[string]struct {
		leaf *x509.Certificate
		like cert.Likeness
	}{
		"the one":                   {fresh, cert.Same},
		"same names in other order": {namesake, cert.Stale},
		"the one before":            {renamed, cert.Stale},
		"somebody else's":           {other, cert.Foreign},
	} {
		if like := want.Like(test.leaf); like != test.like {
			t.Errorf("%s: Like() = %s, want %s", name, like, test.like)
		}
	}
	bare := wanted(root.Issue(t, peer.Order{}).Leaf, root.Certificate)
	if like := bare.Like(root.Issue(t, peer.Order{}).Leaf); like != cert.Foreign {
		t.Errorf("two certificates without any name: Like() = %s, want %s", like, cert.Foreign)
	}
}

func TestServerNames(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", atNoon)
	for _, test := range []struct{ names, want []string }{
		{[]string{"web", "*.shop.example", "web"}, []string{"web", "knowngood.shop.example"}},
		{nil, []string{""}},
	} {
		got := wanted(root.Issue(t, peer.Order{Names: test.names}).Leaf, root.Certificate).ServerNames()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("ServerNames() of %q (-want +got):\n%s", test.names, diff)
		}
	}
}

func TestParsePEM(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", atNoon)
	one := string(root.PEM())
	for name, test := range map[string]struct {
		text  string
		count int
		fails bool
	}{
		"none":                {"", 0, false},
		"one":                 {one, 1, false},
		"no last line end":    {strings.TrimSpace(one), 1, false},
		"blank lines between": {one + "\n\n" + one + "\n", 2, false},
		"comments":            {"# the root\n" + one + "# end\n", 1, false},
		"a key":               {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0, true},
		"cut off":             {one + one[:100], 1, true},
		"not DER":             {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0, true},
	} {
		got, err := cert.ParsePEM([]byte(test.text))
		if (err != nil) != test.fails || (err == nil && len(got) != test.count) {
			t.Errorf("%s: ParsePEM() = %d certificates, %v", name, len(got), err)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", atNoon)
	got := cert.Describe(root.Issue(t, peer.Order{Subject: "s", Names: []string{"web"}, IPs: []net.IP{net.ParseIP("10.0.0.7")}}).Leaf)
	if got.Serial != "1001" || got.Issuer != "CN=root" || got.Subject != "CN=s" || len(got.Fingerprint) != 64 {
		t.Errorf("Describe() = %+v", got)
	}
	if diff := cmp.Diff([]string{"web", "10.0.0.7"}, got.Names); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	if !got.NotBefore.Equal(noon) || !got.NotAfter.Equal(noon.Add(90*24*time.Hour)) {
		t.Errorf("valid %s … %s", got.NotBefore, got.NotAfter)
	}
}
