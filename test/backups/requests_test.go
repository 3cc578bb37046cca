// SPDX-License-Identifier: Apache-2.0

package backups

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// requested is how large the tree is by which requests are counted, in bytes: about 500 small
// files beside the large ones.
const requested = 20e6

// TestRequests counts what each program asks of an S3 server for the same tree: buckets are paid
// by the request, and far ones are slow by it.
func TestRequests(t *testing.T) {
	if os.Getenv(sizeSwitch) == "" {
		t.Skipf("set %s to count the requests of other programs too; make soak does", sizeSwitch)
	}
	counted := &counter{}
	server := httptest.NewServer(counted.count(t, "knowngood", "kopia", "restic"))
	t.Cleanup(server.Close)
	top := t.TempDir()
	folder, g := filepath.Join(top, "tree"), newGenerator(1)
	check(t, os.MkdirAll(folder, 0o755))
	check(t, makeMixed(g, folder, requested))
	var engines []engine
	for _, e := range contenders(t) {
		switch e.name {
		case "knowngood":
			e.place = "s3://knowngood?region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape(server.URL)
			e.environ = append(e.environ, "AWS_ACCESS_KEY_ID=tester", "AWS_SECRET_ACCESS_KEY=tester-secret")
		case "kopia":
			e.place = server.URL
		case "restic":
			e.place = "s3:" + server.URL + "/restic"
		default:
			continue
		}
		e.home = filepath.Join(top, e.name)
		check(t, os.MkdirAll(e.home, 0o755))
		_, err := e.run(t.Context(), e.begin(e))
		check(t, err)
		engines = append(engines, e)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "requests to an S3 server, %d MB\n", int(requested/1e6))
	for _, work := range works {
		if work == works[1] {
			check(t, changeFiles(g, folder, requested))
		}
		fmt.Fprintf(&b, "%-14s %8s %8s %8s %8s\n", work, "all", "put", "get", "other")
		for _, e := range engines {
			commands := e.save(e, folder)
			if work == "restore" {
				commands = e.restore(e, filepath.Join(top, "restored-"+e.name))
			}
			counted.reset()
			_, err := e.run(t.Context(), commands)
			check(t, err)
			put, get, other := counted.of(http.MethodPut), counted.of(http.MethodGet), counted.of("")
			fmt.Fprintf(&b, "  %-12s %8d %8d %8d %8d\n", e.name, put+get+other, put, get, other)
			if e.name == "knowngood" && put+get+other > 100 {
				t.Errorf("%s of %d MB takes %d requests", work, int(requested/1e6), put+get+other)
			}
		}
	}
	t.Log(b.String())
}

// A counter counts requests by their method.
type counter struct {
	mu    sync.Mutex
	found map[string]int
}

// count serves buckets in memory, and counts what is asked of them.
func (c *counter) count(t *testing.T, buckets ...string) http.Handler {
	t.Helper()
	store := s3mem.New()
	for _, name := range buckets {
		check(t, store.CreateBucket(name))
	}
	inner := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if c.found == nil {
			c.found = map[string]int{}
		}
		c.found[r.Method]++
		c.mu.Unlock()
		inner.ServeHTTP(w, r)
	})
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = nil
}

// of returns how often a method was used; "" is all but the two that have their own column.
func (c *counter) of(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if method != "" {
		return c.found[method]
	}
	sum := 0
	for name, n := range c.found {
		if name != http.MethodPut && name != http.MethodGet {
			sum += n
		}
	}
	return sum
}
