// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/release"
)

// What lies beside a record is found by its key, stays what it is, and is no entry.
func TestAttached(t *testing.T) {
	t.Parallel()
	c, err := catalog.Open(t.Context(), "mem://", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	about := release.Subject{App: "shop", Environment: "a/b", Run: "12/3", Commit: release.Commit(strings.Repeat("a", 40))}
	first, err := c.Attach(t.Context(), about, "manifests", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Attach(t.Context(), about, "manifests", []byte("one"))
	if err != nil || again != first {
		t.Errorf("the same bytes got %q, %v, want %q", again, err, first)
	}
	if other, err := c.Attach(t.Context(), about, "manifests", []byte("two")); err != nil || other == first {
		t.Errorf("other bytes got %q, %v", other, err)
	}
	if got, err := c.Attached(t.Context(), "shop", first); err != nil || string(got) != "one" {
		t.Errorf("Attached() = %q, %v", got, err)
	}
	for _, key := range []string{"v1/other/e/x.attached", first + ".json", "../" + first, "v1/shop/a%2Fb/absent.attached"} {
		if got, err := c.Attached(t.Context(), "shop", key); err == nil {
			t.Errorf("Attached(%q) = %q", key, got)
		}
	}
	if records, err := c.Records(t.Context(), catalog.Query{App: "shop"}); err != nil || len(records) != 0 {
		t.Errorf("records %v, %v; want none", records, err)
	}
}
