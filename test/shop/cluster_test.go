// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/shop/app/ask"
	"github.com/knowngood/knowngood/test/shop/app/store"
)

func TestShopOnACluster(t *testing.T) {
	c := openCluster(t)
	repo, commits := makeRepository(t)
	made := c.images(t, repo)
	c.apply(t, command(t, "manifests", "--tag", commits["clean"][:12]))
	c.do(t, "rollout", "status", "statefulset/db", "--timeout=180s")
	c.do(t, "rollout", "status", "deployment/shop", "--timeout=180s")

	t.Run("sells what the schema holds", func(t *testing.T) {
		var list []store.Product
		if err := json.Unmarshal([]byte(c.get(t, "/search?q=blend")), &list); err != nil || len(list) != 2 {
			t.Errorf("search = %v, %v; want two blends", list, err)
		}
		if got := c.get(t, "/version"); !strings.Contains(got, commits["clean"]) {
			t.Errorf("version = %s, want commit %s", got, commits["clean"])
		}
	})
	t.Run("speaks to its database over TLS alone", func(t *testing.T) {
		const sessions = "SELECT count(*) > 0, bool_and(ssl), min(client_dn) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'shop'"
		if got := c.psql(t, "shop", sessions); got != "t|t|/CN=shop" {
			t.Errorf("sessions of the shop = %q, want all encrypted, by its certificate", got)
		}
		out, err := c.ask(t.Context(), nil, "exec", "db-0", "--", "psql", "-XAqt", "--command=SELECT 1", "host=db user=shop dbname=shop sslmode=disable")
		if err == nil || !strings.Contains(err.Error(), "no encryption") {
			t.Errorf("without TLS: %q, %v; want a refusal", out, err)
		}
	})
	t.Run("loses no request in rolling restarts", func(t *testing.T) { c.restartUnderLoad(t, commits["clean"][:12]) })
	t.Run("database takes a new certificate without a restart", c.reloadDatabase)
	t.Run("keeps its orders when the database moves to a new pod", func(t *testing.T) {
		before := c.psql(t, "shop", "SELECT count(*), sum(total) FROM orders")
		c.do(t, "delete", "pod", "db-0", "--timeout=60s")
		c.do(t, "wait", "--for=create", "pod/db-0", "--timeout=60s")
		c.do(t, "rollout", "status", "statefulset/db", "--timeout=180s")
		if after := c.psql(t, "shop", "SELECT count(*), sum(total) FROM orders"); after != before {
			t.Errorf("orders = %s, were %s", after, before)
		}
	})
	t.Run("the injection is real", func(t *testing.T) {
		steal := "/search?q=" + url.QueryEscape("x' UNION SELECT id, customer, total FROM orders WHERE id <= 3 --")
		c.do(t, "wait", "--for=condition=Available", "deployment/shop", "--timeout=120s")
		if got := c.get(t, steal); got != "[]" {
			t.Errorf("the clean commit answers %s, want []", got)
		}
		c.do(t, "set", "image", "deployment/shop", "shop="+made[1].Name)
		c.do(t, "rollout", "status", "deployment/shop", "--timeout=180s")
		eventually(t, "the old pods gone from the service", func() bool { return strings.Contains(c.get(t, "/version"), commits["injection"]) })
		if got := c.get(t, steal); !strings.Contains(got, "customer 1") {
			t.Errorf("the commit with the injection answers %s, want customers of orders", got)
		}
	})
}

// restartUnderLoad renews the shop's certificate and restarts the shop twice while
// a customer orders.
func (c *cluster) restartUnderLoad(t *testing.T, tag string) {
	t.Helper()
	c.apply(t, command(t, "manifests", "--tag", tag, "--asker"))
	c.do(t, "wait", "--for=condition=Ready", "pod/asker", "--timeout=60s")
	c.renew(t, "shop", "shop-tls")
	for range 2 {
		c.do(t, "rollout", "restart", "deployment/shop")
		c.do(t, "rollout", "status", "deployment/shop", "--timeout=180s")
		eventually(t, "the old pods gone", func() bool {
			return len(strings.Fields(c.do(t, "get", "pods", "--selector=app.kubernetes.io/name=shop", "--output=name"))) == 2
		})
	}
	c.do(t, "exec", "asker", "--", "/shop", "stop")
	c.do(t, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asker", "--timeout=60s")
	lines := strings.Split(c.do(t, "logs", "asker"), "\n")
	var summary ask.Summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests in %v, latency %v", summary.Requests, summary.Ended.Sub(summary.Began), summary.Latency)
	if summary.Requests == 0 || summary.Failures != 0 {
		t.Errorf("%d of %d requests failed: %q", summary.Failures, summary.Requests, summary.Errors)
	}
	if len(summary.Serials) != 2 {
		t.Errorf("certificates seen = %+v, want the old and the new", summary.Serials)
	}
}

func (c *cluster) reloadDatabase(t *testing.T) {
	process := c.psql(t, "shop", "SELECT pg_postmaster_start_time()")
	old := c.databaseShows(t)
	c.renew(t, "db", "db-tls")
	want := c.fingerprint(t, "db-tls")
	eventually(t, "the new certificate in the container", func() bool {
		return fingerprintPEM(t, []byte(c.do(t, "exec", "db-0", "--", "cat", "/tls/tls.crt"))) == want
	})
	if got := c.databaseShows(t); got != old {
		t.Errorf("before the reload the database shows %s, want the old certificate %s", got, old)
	}
	var reload []string
	annotation := c.do(t, "get", "statefulset", "db", `--output=jsonpath={.spec.template.metadata.annotations.knowngood\.dev/reload}`)
	if err := json.Unmarshal([]byte(annotation), &reload); err != nil {
		t.Fatal(err)
	}
	c.do(t, append([]string{"exec", "db-0", "--"}, reload...)...)
	eventually(t, "the new certificate on the wire", func() bool { return c.databaseShows(t) == want })
	if again := c.psql(t, "shop", "SELECT pg_postmaster_start_time()"); again != process {
		t.Errorf("the database started at %s, was running since %s", again, process)
	}
}
