// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const (
	commitA = release.Commit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	commitB = release.Commit("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

// A clock that each test moves by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func start() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func entry(environment, run string, commit release.Commit, step string) release.Entry {
	return release.Entry{
		Subject: release.Subject{App: "shop", Environment: environment, Run: run, Commit: commit},
		Step:    step, State: release.Done,
	}
}

func open(t *testing.T, url string, c *clock) *catalog.Catalog {
	t.Helper()
	opened, err := catalog.Open(t.Context(), url, c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened
}

func put(t *testing.T, c *catalog.Catalog, entries ...release.Entry) []release.Entry {
	t.Helper()
	var stored []release.Entry
	for _, e := range entries {
		e, err := c.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, e)
	}
	return stored
}

func steps(r release.Record) string {
	var names []string
	for _, e := range r.Entries {
		names = append(names, e.Step)
	}
	return r.Environment + ": " + strings.Join(names, " ")
}

func TestARunIsFoundWhereverItsEntriesLie(t *testing.T) {
	t.Parallel()
	c := open(t, "mem://", start())
	put(t, c,
		entry("none", "1", commitA, "gate"),
		entry("production", "1", commitA, "snapshot"),
		entry("production", "1", commitA, "rotate-prepare"),
		entry("none", "1", commitA, "deploy-start"),
		entry("none", "2", commitB, "gate"),
		entry("none", "3", commitA, "gate"),
		entry("staging", "3", commitA, "snapshot"),
		entry("production", "3", commitA, "snapshot"),
	)
	for _, test := range []struct{ environment, run, want string }{
		{"", "1", "production: gate snapshot rotate-prepare deploy-start"},
		{"production", "1", "production: gate snapshot rotate-prepare deploy-start"},
		{"", "2", "none: gate"},
		{"production", "2", "none: gate"},
		{"staging", "3", "staging: gate snapshot"},
		{"production", "3", "production: gate snapshot"},
	} {
		record, err := c.Record(t.Context(), "shop", test.environment, test.run)
		if err != nil {
			t.Errorf("Record(%q, %q): %v", test.environment, test.run, err)
			continue
		}
		if got := steps(record); got != test.want {
			t.Errorf("Record(%q, %q) = %q, want %q", test.environment, test.run, got, test.want)
		}
	}
	if _, err := c.Record(t.Context(), "shop", "", "3"); fault.StatusOf(err) != fault.Usage ||
		!cmp.Equal(fault.Hints(err), []string{"give one of them by --environment: production, staging"}) {
		t.Errorf("a run in two environments: %v, %q", err, fault.Hints(err))
	}
	if _, err := c.Record(t.Context(), "shop", "", "4"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("no such run: %v", err)
	}
}

func TestRecordsComeNewestFirst(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), start())
	put(t, c,
		entry("production", "1", commitA, "gate"),
		entry("production", "2", commitB, "gate"),
		entry("staging", "3", commitB, "gate"),
		entry("production", "1", commitA, "snapshot"),
		entry("production", "2", commitB, "backup-verify"), // of an old copy, which makes its run no newer
		entry("staging", "3", commitB, "prune"),
		release.Entry{Subject: release.Subject{App: "other", Environment: "x", Run: "9", Commit: commitA}, Step: "gate"},
	)
	for _, test := range []struct {
		name  string
		query catalog.Query
		want  []string
	}{
		{"all of an application", catalog.Query{App: "shop"}, []string{"1", "3", "2"}},
		{"one environment", catalog.Query{App: "shop", Environment: "production"}, []string{"1", "2"}},
		{"a limit", catalog.Query{App: "shop", Limit: 2}, []string{"1", "3"}},
		{"beginning of a commit", catalog.Query{App: "shop", Commit: "bbbb"}, []string{"3", "2"}},
		{"every application", catalog.Query{}, []string{"9", "1", "3", "2"}},
		{"beginning of a name is not the name", catalog.Query{App: "sho"}, nil},
	} {
		records, err := c.Records(t.Context(), test.query)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		var got []string
		for _, r := range records {
			got = append(got, r.Run)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestAppendReturnsWhatIsStored(t *testing.T) {
	t.Parallel()
	folder, at := t.TempDir(), start()
	c := open(t, folder, at)
	want := entry("production", "42-1", commitB, "gate")
	want.Began, want.Decision = at.at, &release.Decision{Outcome: release.Pass, Reasons: []string{"nothing found"}}
	stored := put(t, c, want, want)
	record, err := c.Record(t.Context(), "shop", "", "42-1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, record.Entries); diff != "" {
		t.Errorf("read is not what was stored (-stored +read):\n%s", diff)
	}
	for i, e := range stored {
		if e.Format != 1 || e.ID == "" || (e.Previous == "") != (i == 0) {
			t.Errorf("entry %d: format %d, id %q, previous %q", i, e.Format, e.ID, e.Previous)
		}
		if _, err := os.Stat(c.Place(e)); err != nil || filepath.Ext(c.Place(e)) != ".json" {
			t.Errorf("the entry does not lie at %s: %v", c.Place(e), err)
		}
	}
	if err := c.Verify(t.Context(), "shop", "", "42-1"); err != nil {
		t.Error(err)
	}
}
