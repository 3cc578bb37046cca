// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// s3 starts an S3 server in this process, behind a handler that may refuse, and returns the
// address of a bucket in it.
func s3(t *testing.T, refuse func(*http.Request) bool) string {
	t.Helper()
	store := s3mem.New()
	if err := store.CreateBucket("records"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse != nil && refuse(r) {
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(`<Error><Code>AccessDenied</Code></Error>`))
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return "s3://records/team?region=us-east-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(server.URL)
}

// change rewrites a stored entry as somebody with write access to the folder could.
func change(t *testing.T, path string, with func(map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	with(object)
	if data, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cutTo makes an entry as long as size.
func cutTo(size int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
}

func overwriteWith(text string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func changed(with func(map[string]any)) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		change(t, path, with)
	}
}

func threeSteps(t *testing.T, place string) (*catalog.Catalog, []release.Entry) {
	t.Helper()
	c := open(t, place, start())
	return c, put(t, c,
		entry("none", "1", commitA, "gate"),
		entry("production", "1", commitA, "snapshot"),
		entry("production", "1", commitA, "deploy-start"),
	)
}

func TestDamagedEntriesAreNamedAndTheOthersRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, path string)
		want   error
		why    string
	}{
		{"empty, as after a power cut", cutTo(0), catalog.ErrDamaged, "unexpected end of JSON input"},
		{"cut off", cutTo(40), catalog.ErrDamaged, "unexpected end of JSON input"},
		{"not an entry", overwriteWith(`[]`), catalog.ErrDamaged, "cannot unmarshal array"},
		{"no format", overwriteWith(`{}`), catalog.ErrDamaged, "does not say what its name says"},
		{"a wrong type", changed(func(o map[string]any) { o["began"] = 7 }), catalog.ErrDamaged, "Time.UnmarshalJSON"},
		{"another commit inside", changed(func(o map[string]any) { o["commit"] = commitB }), catalog.ErrDamaged, "does not say what its name says"},
		{"a newer format", changed(func(o map[string]any) { o["format"] = 2; o["began"] = "in another form" }), catalog.ErrNewer, "has format 2, this program reads up to 1"},
		{"too large", cutTo(65 << 20), catalog.ErrDamaged, "object is too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, stored := threeSteps(t, t.TempDir())
			path := c.Place(stored[1])
			test.damage(t, path)
			record, err := c.Record(t.Context(), "shop", "", "1")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.why) || len(fault.Hints(err)) == 0 {
				t.Errorf("error %v, hints %q, want one of %s: %s", err, fault.Hints(err), path, test.why)
			}
			if got := steps(record); got != "production: gate deploy-start" {
				t.Errorf("record %q", got)
			}
			if records, err := c.Records(t.Context(), catalog.Query{App: "shop"}); len(records) != 1 || !errors.Is(err, test.want) {
				t.Errorf("Records = %v, %v", records, err)
			}
			if err := c.Verify(t.Context(), "shop", "", "1"); !errors.Is(err, test.want) {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

func TestAnEntryOfALaterMinorVersionIsRead(t *testing.T) {
	t.Parallel()
	c, stored := threeSteps(t, t.TempDir())
	change(t, c.Place(stored[2]), func(o map[string]any) { o["something_new"] = map[string]any{"a": 1} })
	record, err := c.Record(t.Context(), "shop", "", "1")
	if err != nil || steps(record) != "production: gate snapshot deploy-start" {
		t.Errorf("record %q, %v", steps(record), err)
	}
}

func TestNamesAmongTheEntries(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c, stored := threeSteps(t, folder)
	beside := filepath.Dir(c.Place(stored[1]))
	for _, name := range []string{"/x.json.18eacfe41c2b0803.tmp", "/x.tmp", "/.DS_Store", "/README"} {
		if err := os.WriteFile(beside+name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Record(t.Context(), "shop", "", "1"); err != nil {
		t.Errorf("other people's files are in the way: %v", err)
	}
	if err := os.Rename(c.Place(stored[1]), beside+"/renamed.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Record(t.Context(), "shop", "", "1"); !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), beside+"/renamed.json") {
		t.Errorf("an entry under another name: %v", err)
	}
	if _, err := c.Append(t.Context(), entry("production", "2", commitA, "gate")); err != nil {
		t.Errorf("a stray name stops the next run: %v", err)
	}
}

func TestOnS3(t *testing.T) {
	t.Parallel()
	c, stored := threeSteps(t, s3(t, nil))
	if !strings.HasPrefix(c.Place(stored[0]), "s3://records/team/v1/shop/none/") {
		t.Errorf("place %s", c.Place(stored[0]))
	}
	same(t, c, stored)
}

// provider names an environment variable with the address of a bucket of a provider, or of a
// server that speaks as one. Credentials are taken as in the program.
const provider = "KNOWNGOOD_TEST_BUCKET"

func TestOnAProvider(t *testing.T) {
	place := os.Getenv(provider)
	if place == "" {
		t.Skipf("set %s to a bucket's URL to run this test on it", provider)
	}
	separator := "?"
	if strings.Contains(place, "?") {
		separator = "&"
	}
	c, stored := threeSteps(t, place+separator+"prefix="+catalog.NewRun(time.Now()))
	same(t, c, stored)
}

func same(t *testing.T, c *catalog.Catalog, stored []release.Entry) {
	t.Helper()
	record, err := c.Record(t.Context(), "shop", "production", "1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, record.Entries); diff != "" {
		t.Errorf("read is not what was stored (-stored +read):\n%s", diff)
	}
	if err := c.Verify(t.Context(), "shop", "", "1"); err != nil {
		t.Error(err)
	}
	if err := c.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// An entry is worth more than its chain.
func TestAnEntryIsStoredAlsoWhereTheOneBeforeCannotBeRead(t *testing.T) {
	t.Parallel()
	var refusing atomic.Bool
	c, _ := threeSteps(t, s3(t, func(r *http.Request) bool {
		return refusing.Load() && r.Method == http.MethodGet && !strings.Contains(r.URL.RawQuery, "list-type")
	}))
	refusing.Store(true)
	e, err := c.Append(t.Context(), entry("production", "1", commitA, "report"))
	if !bucket.IsForbidden(err) || e.ID == "" || e.Previous != "" || !strings.Contains(err.Error(), "is stored without the digest") {
		t.Errorf("Append = %+v, %v", e, err)
	}
	refusing.Store(false)
	record, err := c.Record(t.Context(), "shop", "", "1")
	if err != nil || steps(record) != "production: gate snapshot deploy-start report" {
		t.Errorf("record %q, %v", steps(record), err)
	}
}

func TestAnEntryThatCannotBeStoredIsReturned(t *testing.T) {
	t.Parallel()
	c := open(t, s3(t, func(r *http.Request) bool { return r.Method == http.MethodPut }), start())
	e, err := c.Append(t.Context(), entry("production", "1", commitA, "gate"))
	if !bucket.IsForbidden(err) || e.ID == "" || e.Format != 1 {
		t.Errorf("Append = %+v, %v", e, err)
	}
	if err := c.Probe(t.Context()); !bucket.IsForbidden(err) || !strings.HasPrefix(err.Error(), "the catalog cannot be written to: ") {
		t.Errorf("Probe: %v", err)
	}
	huge := entry("production", "1", commitA, "gate")
	huge.Error = strings.Repeat("x", 64<<20)
	if _, err := c.Append(t.Context(), huge); !errors.Is(err, bucket.ErrTooLarge) {
		t.Errorf("a huge entry: %v", err)
	}
	wrong := entry("production", "\x00", "main", "Gate")
	if _, err := c.Append(t.Context(), wrong); fault.StatusOf(err) != fault.Usage {
		t.Errorf("a subject that cannot be stored: %v", err)
	}
}
