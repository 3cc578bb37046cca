// SPDX-License-Identifier: Apache-2.0

package ask_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/shop/app/ask"
	"github.com/knowngood/knowngood/test/shop/app/store"
)

// market starts a shop that remembers the last order; spoil may answer instead. It
// returns the customer for it.
func market(t *testing.T, spoil func(n int64, w http.ResponseWriter) bool) ask.Customer {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		if spoil != nil && spoil(n, w) {
			return
		}
		order := store.Order{ID: 7, Customer: "asker 0", Product: 1, Quantity: 2, Total: 2580}
		if r.Method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" {
			t.Error("an order came without a key")
		}
		if err := json.NewEncoder(w).Encode(order); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return ask.Customer{URL: server.URL, Authority: file, Rate: 200, Workers: 2, Duration: 300 * time.Millisecond, Timeout: 5 * time.Second}
}

func TestAskCountsWhatItSaw(t *testing.T) {
	summary, err := market(t, nil).Ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if summary.Requests < 4 || summary.Requests%2 != 0 || summary.Failures != 0 {
		t.Errorf("%d requests, %d failures; want pairs of requests and no failure", summary.Requests, summary.Failures)
	}
	if len(summary.Serials) != 1 || summary.Serials[0].Requests != summary.Requests {
		t.Errorf("serials = %+v, want one for all %d requests", summary.Serials, summary.Requests)
	}
	if summary.Latency["p50"] <= 0 || summary.Latency["max"] < summary.Latency["p99"] {
		t.Errorf("latency = %v, want measured percentiles in order", summary.Latency)
	}
	var line bytes.Buffer
	if err := summary.Write(&line); err != nil || strings.Count(line.String(), "\n") != 1 {
		t.Errorf("Write() = %v, wrote %q; want one line", err, &line)
	}
}

func TestAskCountsFailures(t *testing.T) {
	cases := []struct {
		name, want string
		spoil      func(n int64, w http.ResponseWriter) bool
	}{
		{"refusals", "503 Service Unavailable: closed today", func(_ int64, w http.ResponseWriter) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "closed today")
			return true
		}},
		{"another order comes back", "order 7 came back as", func(n int64, w http.ResponseWriter) bool {
			if n%2 == 1 {
				return false
			}
			fmt.Fprint(w, `{"id":7,"customer":"somebody else"}`)
			return true
		}},
		{"broken answers", "unexpected EOF", func(_ int64, w http.ResponseWriter) bool {
			fmt.Fprint(w, `{"id":`)
			return true
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			customer := market(t, c.spoil)
			customer.Workers = 1
			summary, err := customer.Ask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if summary.Failures == 0 || len(summary.Errors) == 0 || !strings.Contains(summary.Errors[0], c.want) {
				t.Errorf("%d failures, errors %q; want the first with %q", summary.Failures, summary.Errors, c.want)
			}
			if len(summary.Errors) > 10 {
				t.Errorf("%d errors are kept, want 10 at most", len(summary.Errors))
			}
		})
	}
}

func TestAskVerifiesTheShop(t *testing.T) {
	customer := market(t, nil)
	customer.URL = strings.Replace(customer.URL, "127.0.0.1", "localhost", 1)
	if summary, err := customer.Ask(t.Context()); err != nil || summary.Failures == 0 {
		t.Errorf("a certificate for another name: %+v, %v; want failures", summary, err)
	}
}

func TestAskEndsWithItsContext(t *testing.T) {
	customer := market(t, nil)
	customer.Duration = 0
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if summary, err := customer.Ask(ctx); err != nil || summary.Failures != 0 {
		t.Errorf("Ask() = %+v, %v; want an end without failures", summary, err)
	}
}

func TestAskRefuses(t *testing.T) {
	good := ask.Customer{Rate: 1, Workers: 1, Authority: filepath.Join(t.TempDir(), "absent")}
	for _, c := range []struct {
		name, want string
		change     func(*ask.Customer)
	}{
		{"no authority", "reading the certificate authority", func(*ask.Customer) {}},
		{"a flood", "a rate above 0 and up to 1000", func(c *ask.Customer) { c.Rate = 1e6 }},
		{"nobody", "at least one worker", func(c *ask.Customer) { c.Workers = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			customer := good
			c.change(&customer)
			if _, err := customer.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Ask() = %v, want an error with %q", err, c.want)
			}
		})
	}
}
