// SPDX-License-Identifier: Apache-2.0

package cert_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/test/peer"
)

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// lookIn asks with a deadline that only a peer who never answers reaches.
func lookIn(t *testing.T, limit time.Duration, address string, protocol cert.Protocol, name string) (cert.Served, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return cert.Look(ctx, dial(t, address), protocol, name)
}

func TestLookSeesWhatIsServed(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", time.Now)
	between := root.Below(t, "between")
	leaf := between.Issue(t, peer.Order{Names: []string{"web.shop.svc"}})
	leaf.Certificate = append(leaf.Certificate, between.Certificate.Raw)
	other := between.Issue(t, peer.Order{Names: []string{"other.shop.svc"}})
	expired := root.Issue(t, peer.Order{Names: []string{"web.shop.svc"}, Start: time.Now().Add(-48 * time.Hour), For: time.Hour})
	byName := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "other.shop.svc" {
			return &other, nil
		}
		return &leaf, nil
	}}
	one := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	mutual := func(version uint16) *tls.Config {
		c := one(leaf)
		c.ClientAuth, c.MaxVersion = tls.RequireAndVerifyClientCert, version
		return c
	}
	for _, test := range []struct {
		name     string
		handle   func(net.Conn)
		protocol cert.Protocol
		sni      string
		serial   string
		length   int
	}{
		{"web", peer.Web(one(leaf)), cert.TLS, "web.shop.svc", cert.Serial(leaf.Leaf), 2},
		{"an expired one is seen, not refused", peer.Web(one(expired)), cert.TLS, "", cert.Serial(expired.Leaf), 1},
		{"by name", peer.Web(byName), cert.TLS, "other.shop.svc", cert.Serial(other.Leaf), 1},
		{"postgresql", peer.PostgreSQL(one(leaf)), cert.PostgreSQL, "", cert.Serial(leaf.Leaf), 2},
		{"client certificate wanted, TLS 1.2", peer.Web(mutual(tls.VersionTLS12)), cert.TLS, "", cert.Serial(leaf.Leaf), 2},
		{"client certificate wanted, TLS 1.3", peer.Web(mutual(tls.VersionTLS13)), cert.TLS, "", cert.Serial(leaf.Leaf), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			served, err := lookIn(t, 10*time.Second, peer.Serve(t, test.handle), test.protocol, test.sni)
			if err != nil {
				t.Fatal(err)
			}
			if got := cert.Serial(served.Leaf()); got != test.serial || len(served.Chain) != test.length {
				t.Errorf("Look() saw serial %s and %d certificates, want %s and %d", got, len(served.Chain), test.serial, test.length)
			}
		})
	}
}

func TestLookTellsWhyNothingIsSeen(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", time.Now)
	leaf := root.Issue(t, peer.Order{Names: []string{"web"}})
	config := &tls.Config{Certificates: []tls.Certificate{leaf}}
	for _, test := range []struct {
		name     string
		handle   func(net.Conn)
		protocol cert.Protocol
		want     error
	}{
		{"plain HTTP", peer.Says("HTTP/1.1 400 Bad Request\r\n\r\n"), cert.TLS, cert.ErrPlain},
		{"hangs up", func(net.Conn) {}, cert.TLS, cert.ErrPlain},
		{"PostgreSQL without TLS", peer.PostgreSQL(nil), cert.PostgreSQL, cert.ErrPlain},
		{"TLS where PostgreSQL is expected", peer.Web(config), cert.PostgreSQL, cert.ErrPlain},
		{"PostgreSQL where TLS is expected", peer.PostgreSQL(config), cert.TLS, cert.ErrPlain},
		{"an error of PostgreSQL", peer.Says("E\x00\x00\x00\x10SFATAL"), cert.PostgreSQL, cert.ErrPlain},
		{"silence", peer.Silent, cert.TLS, cert.ErrSilent},
		{"silence of PostgreSQL", peer.Silent, cert.PostgreSQL, cert.ErrSilent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			limit := 10 * time.Second
			if errors.Is(test.want, cert.ErrSilent) {
				limit = 100 * time.Millisecond
			}
			served, err := lookIn(t, limit, peer.Serve(t, test.handle), test.protocol, "web")
			if !errors.Is(err, test.want) {
				t.Errorf("Look() = %v, %v, want an error that wraps %q", served.Chain, err, test.want)
			}
		})
	}
}

func TestLookEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	conn := dial(t, peer.Serve(t, peer.Silent))
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := cert.Look(ctx, conn, cert.TLS, ""); !errors.Is(err, context.Canceled) || errors.Is(err, cert.ErrSilent) {
		t.Errorf("Look() = %v, want context.Canceled alone", err)
	}
}
