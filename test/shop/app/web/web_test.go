// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/knowngood/knowngood/test/shop/app/pkitest"
	"github.com/knowngood/knowngood/test/shop/app/store"
	"github.com/knowngood/knowngood/test/shop/app/web"
)

// shelf is a shop's memory without a database.
type shelf struct {
	mu     sync.Mutex
	orders map[string]store.Order
	broken error // what every call answers, when set
}

var goods = []store.Product{{ID: 1, Name: "Moka pot", Price: 2990}, {ID: 2, Name: "Espresso blend", Price: 1090}}

func (s *shelf) Ping(context.Context) error { return s.broken }

func (s *shelf) Products(context.Context) ([]store.Product, error) { return goods, s.broken }

func (s *shelf) Search(_ context.Context, text string) ([]store.Product, error) {
	missing := func(p store.Product) bool { return !strings.Contains(p.Name, text) }
	return slices.DeleteFunc(slices.Clone(goods), missing), s.broken
}

func (s *shelf) Place(_ context.Context, key, customer string, product, quantity int64) (store.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if product > int64(len(goods)) {
		return store.Order{}, store.ErrNotFound
	}
	if _, again := s.orders[key]; !again {
		id := int64(len(s.orders) + 1)
		s.orders[key] = store.Order{ID: id, Customer: customer, Product: product, Quantity: quantity, Total: goods[product-1].Price * quantity}
	}
	return s.orders[key], s.broken
}

func (s *shelf) Order(_ context.Context, id int64) (store.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range maps.Values(s.orders) {
		if o.ID == id {
			return o, s.broken
		}
	}
	return store.Order{}, store.ErrNotFound
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestHandler(t *testing.T) {
	broken := errors.New("connection refused to 10.0.0.1")
	const good = `{"customer":"ada","product":1,"quantity":2}`
	cases := []struct {
		name, method, path, key, body string
		broken                        error
		status                        int
		want                          string
	}{
		{"ready", "GET", "/healthz", "", "", nil, 200, `{"status":"ready"}`},
		{"not ready without database", "GET", "/healthz", "", "", broken, 503, `{"error":"the database does not answer"}`},
		{"version", "GET", "/version", "", "", nil, 200, `{"commit":"abc"}`},
		{"products", "GET", "/products", "", "", nil, 200, `[{"id":1,"name":"Moka pot","price":2990},{"id":2,"name":"Espresso blend","price":1090}]`},
		{"search", "GET", "/search?q=Moka", "", "", nil, 200, `[{"id":1,"name":"Moka pot","price":2990}]`},
		{"search for nothing there", "GET", "/search?q=tea", "", "", nil, 200, `[]`},
		{"order", "POST", "/orders", "k", good, nil, 200, `{"id":1,"customer":"ada","product":1,"quantity":2,"total":5980,"placed":"0001-01-01T00:00:00Z"}`},
		{"order of what is not sold", "POST", "/orders", "k", `{"customer":"ada","product":9,"quantity":2}`, nil, 404, `{"error":"not found"}`},
		{"order without key", "POST", "/orders", "", good, nil, 400, `{"error":"an Idempotency-Key of 1 to 64 bytes is needed"}`},
		{"order without customer", "POST", "/orders", "k", `{"product":1,"quantity":2}`, nil, 400, `{"error":"a customer of 1 to 100 bytes is needed"}`},
		{"order of nothing", "POST", "/orders", "k", `{"customer":"ada","product":1,"quantity":0}`, nil, 400, `{"error":"a quantity from 1 to 1000 is needed"}`},
		{"order that is no JSON", "POST", "/orders", "k", "two", nil, 400, `{"error":"the order is not JSON"}`},
		{"order not found", "GET", "/orders/7", "", "", nil, 404, `{"error":"not found"}`},
		{"order without number", "GET", "/orders/seven", "", "", nil, 400, `{"error":"an order has a number"}`},
		{"a database error stays inside", "GET", "/products", "", "", broken, 500, `{"error":"the shop has a problem"}`},
		{"an unknown path", "GET", "/admin", "", "", nil, 404, "404 page not found"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			shop := &web.Shop{Store: &shelf{orders: map[string]store.Order{}, broken: c.broken}, Log: quiet(), Commit: "abc"}
			request := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			request.Header.Set("Idempotency-Key", c.key)
			answer := httptest.NewRecorder()
			shop.Handler().ServeHTTP(answer, request)
			if got := strings.TrimSpace(answer.Body.String()); answer.Code != c.status || got != c.want {
				t.Errorf("%s %s = %d %s, want %d %s", c.method, c.path, answer.Code, got, c.status, c.want)
			}
		})
	}
}

func TestServeLeavesWithoutFailures(t *testing.T) {
	pki := pkitest.New(t)
	identity, err := web.LoadIdentity(pki.Folder(t, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	log, lines := logLines()
	shop := &web.Shop{Store: &shelf{orders: map[string]store.Order{}}, Log: log, Commit: "abc"}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- shop.Serve(ctx, "127.0.0.1:0", identity.Certificate, drain) }()
	url := "https://" + wait(t, lines, "serving")["address"].(string)

	client := client(pki, "shop")
	get := func() (closes bool, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return false, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return response.Close, errors.Join(err, response.Body.Close())
	}
	closes, err := get()
	if err != nil || closes {
		t.Fatalf("before: %v, closes %v; want an answer on a connection that stays", err, closes)
	}
	stop()
	wait(t, lines, "leaving")
	closes, err = get()
	if err != nil || !closes {
		t.Fatalf("while leaving: %v; want an answer that closes its connection", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v, want nil", err)
	}
	if _, err := get(); err == nil {
		t.Error("the shop answers after it left")
	}
}

func TestLoadIdentityRefuses(t *testing.T) {
	for _, c := range []struct{ name, folder, want string }{
		{"no folder", t.TempDir() + "/absent", "opening the certificate folder"},
		{"an empty folder", t.TempDir(), "reading"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := web.LoadIdentity(c.folder); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("LoadIdentity() = %v, want an error with %q", err, c.want)
			}
		})
	}
}
