// SPDX-License-Identifier: Apache-2.0

package cert_test

import (
	"errors"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/test/peer"
)

func TestLookAtRealPostgreSQL(t *testing.T) {
	t.Parallel()
	root := peer.NewAuthority(t, "root", time.Now)
	order := peer.Order{Names: []string{"db.shop.svc"}}
	old, fresh := root.Issue(t, order), root.Issue(t, order)
	database := peer.StartPostgreSQL(t, &old)
	look := func() cert.Served {
		t.Helper()
		served, err := lookIn(t, 10*time.Second, database.Address, cert.PostgreSQL, "db.shop.svc")
		if err != nil {
			t.Fatal(err)
		}
		return served
	}
	want := wanted(fresh.Leaf, root.Certificate, "db.shop.svc")
	want.Before = cert.Describe(old.Leaf).Fingerprint
	if like := want.Like(look().Leaf()); like != cert.Stale {
		t.Fatalf("at first it serves a %s certificate, want %s", like, cert.Stale)
	}
	database.Install(t, fresh)
	if like := want.Like(look().Leaf()); like != cert.Stale {
		t.Fatalf("with the file alone it serves a %s certificate, want %s", like, cert.Stale)
	}
	database.Reload(t)
	for deadline := time.Now().Add(10 * time.Second); want.Like(look().Leaf()) != cert.Same; {
		if time.Now().After(deadline) {
			t.Fatal("it serves the old certificate 10 s after the reload")
		}
	}
	if err := want.Check(look(), time.Now()); err != nil {
		t.Errorf("Check() = %v", err)
	}
	if _, err := lookIn(t, 10*time.Second, database.Address, cert.TLS, ""); !errors.Is(err, cert.ErrPlain) {
		t.Errorf("TLS without SSLRequest: Look() = %v, want %q", err, cert.ErrPlain)
	}
}

func TestLookAtRealPostgreSQLWithoutTLS(t *testing.T) {
	t.Parallel()
	database := peer.StartPostgreSQL(t, nil)
	if _, err := lookIn(t, 10*time.Second, database.Address, cert.PostgreSQL, ""); !errors.Is(err, cert.ErrPlain) {
		t.Errorf("Look() = %v, want %q", err, cert.ErrPlain)
	}
}
