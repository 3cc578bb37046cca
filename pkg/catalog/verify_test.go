// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/release"
)

func TestVerifyFindsWhatWasRemovedOrAltered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, c *catalog.Catalog, stored []release.Entry)
		broken bool
	}{
		{"nothing", func(*testing.T, *catalog.Catalog, []release.Entry) {}, false},
		{"the first removed", func(_ *testing.T, c *catalog.Catalog, stored []release.Entry) { os.Remove(c.Place(stored[0])) }, true},
		{"one in the middle removed", func(_ *testing.T, c *catalog.Catalog, stored []release.Entry) { os.Remove(c.Place(stored[1])) }, true},
		{"one altered", func(t *testing.T, c *catalog.Catalog, stored []release.Entry) {
			t.Helper()
			change(t, c.Place(stored[0]), func(o map[string]any) { o["state"] = "failed" })
		}, true},
		{"a predecessor denied", func(t *testing.T, c *catalog.Catalog, stored []release.Entry) {
			t.Helper()
			change(t, c.Place(stored[2]), func(o map[string]any) { delete(o, "previous") })
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := start()
			c := open(t, t.TempDir(), at)
			var stored []release.Entry
			for _, name := range []string{"gate", "snapshot", "deploy-start"} {
				stored = append(stored, put(t, c, entry("production", "1", commitA, name))...)
				at.at = at.at.Add(5 * time.Minute)
			}
			test.damage(t, c, stored)
			if err := c.Verify(t.Context(), "shop", "", "1"); errors.Is(err, catalog.ErrBroken) != test.broken {
				t.Errorf("Verify: %v, want broken %t", err, test.broken)
			}
		})
	}
	if err := open(t, "mem://", start()).Verify(t.Context(), "shop", "", "1"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("Verify of nothing: %v", err)
	}
}

func TestOrderDoesNotDependOnClocks(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ahead, behind := start(), start()
	ahead.at = ahead.at.Add(time.Hour)
	put(t, open(t, folder, ahead), entry("production", "1", commitA, "gate"))
	put(t, open(t, folder, behind), entry("production", "1", commitA, "snapshot"))
	c := open(t, folder, ahead)
	put(t, c, entry("production", "1", commitA, "report"))
	record, err := c.Record(t.Context(), "shop", "", "1")
	if err != nil || steps(record) != "production: gate snapshot report" {
		t.Errorf("record %q, %v", steps(record), err)
	}
	if err := c.Verify(t.Context(), "shop", "", "1"); err != nil {
		t.Error(err)
	}
}
