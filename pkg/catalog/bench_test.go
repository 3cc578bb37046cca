// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// BenchmarkListing finds one run among 60,000 entries in a folder: ten thousand releases of
// one application.
func BenchmarkListing(b *testing.B) {
	folder := b.TempDir()
	if err := os.MkdirAll(folder+"/v1/shop/production", 0o755); err != nil {
		b.Fatal(err)
	}
	for i := range 60_000 {
		name := fmt.Sprintf("/v1/shop/production/01KE0M4F9M%016d-%d-%s-gate.json", i, i/6, strings.Repeat("a", 40))
		if err := os.WriteFile(folder+name, nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c, err := Open(b.Context(), folder, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		keys, _, err := c.keys(b.Context(), Query{App: "shop", Run: "77"})
		if err != nil || len(keys) != 6 {
			b.Fatalf("found %d, %v", len(keys), err)
		}
	}
}
