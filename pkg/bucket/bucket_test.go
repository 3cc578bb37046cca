// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// s3 starts an S3 server in this process and returns the address of a bucket in it.
func s3(t *testing.T, prefix string) string {
	t.Helper()
	store := s3mem.New()
	if err := store.CreateBucket("records"); err != nil {
		t.Fatal(err)
	}
	return s3At(serve(t, gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()), "records", prefix)
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func s3At(endpoint, name, prefix string) string {
	return "s3://" + name + prefix + "?region=us-east-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(endpoint)
}

func open(t *testing.T, place string) *bucket.Bucket {
	t.Helper()
	opened, err := bucket.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened
}

func keys(t *testing.T, b *bucket.Bucket, prefix string) []string {
	t.Helper()
	var found []string
	for key, err := range b.Keys(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, key)
	}
	return found
}

// The suite is what catalogs rely on, on every kind of bucket that runs here.
func TestSuite(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{
		"folder":                t.TempDir() + "/new/folder with space?",
		"folder URL and prefix": "file://" + t.TempDir() + "?prefix=a/b",
		"memory":                "mem://",
		"s3":                    s3(t, ""),
		"s3 with prefix":        s3(t, "/team/shop"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite(t, open(t, place))
		})
	}
}

// provider names an environment variable with the address of an empty bucket of a provider,
// or of a server that speaks as one. Credentials are taken as in the program.
const provider = "KNOWNGOOD_TEST_BUCKET"

func TestSuiteOnAProvider(t *testing.T) {
	place := os.Getenv(provider)
	if place == "" {
		t.Skipf("set %s to a bucket's URL to run this test on it", provider)
	}
	b := open(t, place+prefixFor(place))
	if left := keys(t, b, ""); left != nil {
		t.Fatalf("%s is not empty: %q", b.Place(""), left)
	}
	suite(t, b)
	for _, key := range keys(t, b, "") {
		if err := b.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
}

// prefixFor keeps test runs apart.
func prefixFor(place string) string {
	separator := "?"
	if strings.Contains(place, "?") {
		separator = "&"
	}
	return separator + "prefix=" + rand.Text()
}

func suite(t *testing.T, b *bucket.Bucket) {
	t.Helper()
	ctx := t.Context()
	if err := b.Probe(ctx, "v1/.probe/"); err != nil {
		t.Fatalf("Probe: %v", err)
	}
	if left := keys(t, b, ""); left != nil {
		t.Errorf("Probe left %q", left)
	}
	if _, err := b.Get(ctx, "v1/a/1.json", 10); !bucket.IsNotFound(err) || bucket.IsForbidden(err) {
		t.Errorf("Get of nothing: %v", err)
	}
	if err := b.Remove(ctx, "v1/a/1.json"); err != nil {
		t.Errorf("Remove of nothing: %v", err)
	}
	for _, key := range []string{"v1/b/2.json", "v1/a/1.json", "v1/a!2f/3.json", "v1/a/__0x2f__.json", "v1/__0x2f__/x!2e-_.y"} {
		if err := b.Put(ctx, key, []byte(key), "application/json"); err != nil {
			t.Fatalf("Put(%q): %v", key, err)
		}
		if data, err := b.Get(ctx, key, int64(len(key))); err != nil || string(data) != key {
			t.Errorf("Get(%q) = %q, %v", key, data, err)
		}
	}
	if diff := cmp.Diff([]string{"v1/a/1.json", "v1/a/__0x2f__.json"}, keys(t, b, "v1/a/")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"v1/__0x2f__/x!2e-_.y"}, keys(t, b, "v1/__0x2f__/")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	want := []string{"v1/__0x2f__/x!2e-_.y", "v1/a!2f/3.json", "v1/a/1.json", "v1/a/__0x2f__.json", "v1/b/2.json"}
	if diff := cmp.Diff(want, keys(t, b, "")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if _, err := b.Get(ctx, "v1/a/1.json", 10); !errors.Is(err, bucket.ErrTooLarge) {
		t.Errorf("Get above the limit: %v", err)
	}
	if err := b.Put(ctx, "v1/a/1.json", nil, "application/json"); err != nil {
		t.Errorf("Put of nothing over something: %v", err)
	}
	if data, err := b.Get(ctx, "v1/a/1.json", 0); err != nil || len(data) != 0 {
		t.Errorf("Get = %q, %v", data, err)
	}
	if err := b.Remove(ctx, "v1/a/1.json"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"v1/a/__0x2f__.json"}, keys(t, b, "v1/a/")); diff != "" {
		t.Errorf("keys after Remove (-want +got):\n%s", diff)
	}
}

func TestListingsGoOnAfterAPage(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{"folder": t.TempDir(), "s3": s3(t, "/p")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, place)
			var want []string
			for i := range 1203 {
				want = append(want, fmt.Sprintf("v1/%04d.json", i))
				// Not Put, which brings each file to the disk.
				if err := b.WriteAll(t.Context(), want[i], []byte("{}"), nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := keys(t, b, "v1/"); !slices.Equal(got, want) {
				t.Errorf("listed %d keys, want %d", len(got), len(want))
			}
		})
	}
}

func TestALargeObjectIsWhole(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB: several parts on S3
	for _, place := range []string{t.TempDir(), s3(t, "")} {
		b := open(t, place)
		if err := b.Put(t.Context(), "large", data, "application/json"); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Get(t.Context(), "large", int64(len(data))); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
}

func TestLinksInAFolder(t *testing.T) {
	t.Parallel()
	folder, link := t.TempDir(), t.TempDir()+"/link"
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	b := open(t, link)
	if err := b.Put(t.Context(), "v1/a.json", []byte("{}"), "application/json"); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, b, "v1/"); !slices.Equal(got, []string{"v1/a.json"}) {
		t.Errorf("the folder is a link: listed %q", got)
	}
	if err := os.Symlink(t.TempDir(), folder+"/v1/shop"); err != nil {
		t.Fatal(err)
	}
	for _, err := range b.Keys(t.Context(), "v1/") {
		if err == nil || !strings.Contains(err.Error(), "v1/shop is a link") {
			t.Errorf("a link within: %v", err)
		}
	}
}

func TestOpenExistingMakesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir() + "/absent"
	if _, err := bucket.OpenExisting(t.Context(), folder); !bucket.IsNotFound(err) || !strings.Contains(err.Error(), folder) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the folder was made")
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for place, want := range map[string]string{
		"/x/y": "/x/y/v1/a.json", "file:///x?prefix=p": "/x/p/v1/a.json", "mem://": "mem:///v1/a.json",
		s3At("http://host", "b", "/p"): "s3://b/p/v1/a.json",
	} {
		if strings.HasPrefix(place, "/x") || strings.HasPrefix(place, "file") {
			place = strings.Replace(place, "/x", t.TempDir()+"/x", 1)
			b := open(t, place)
			if got := b.Place("v1/a.json"); !strings.HasSuffix(got, want) {
				t.Errorf("Place of %s = %q, want …%q", place, got, want)
			}
			continue
		}
		if got := open(t, place).Place("v1/a.json"); got != want {
			t.Errorf("Place of %s = %q, want %q", place, got, want)
		}
	}
}
