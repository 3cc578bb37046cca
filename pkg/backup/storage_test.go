// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/bucket"
)

func TestStorageInMemory(t *testing.T) {
	t.Parallel()
	conform(t, "mem://")
}

func TestStorageInAFolder(t *testing.T) {
	t.Parallel()
	conform(t, t.TempDir())
}

func TestStorageOnS3(t *testing.T) {
	t.Parallel()
	store := s3mem.New()
	if err := store.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	conform(t, "s3://backups/team?region=us-east-1&use_path_style=true&anonymous=true&endpoint="+url.QueryEscape(server.URL))
}

func TestStorageOnGoogle(t *testing.T) {
	// The server tells requests for objects by its own name, which it gets with its listener.
	var google *fakestorage.Server
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { google.HTTPHandler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	var err error
	if google, err = fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: host}); err != nil {
		t.Fatal(err)
	}
	google.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "backups"})
	t.Setenv("STORAGE_EMULATOR_HOST", host)
	conform(t, "gs://backups/team?anonymous=true")
}

// provider names an environment variable with the address of a bucket of a provider, or of a
// server that speaks as one. Credentials are taken as in the program.
const provider = "KNOWNGOOD_TEST_BUCKET"

func TestStorageOnAProvider(t *testing.T) {
	place := os.Getenv(provider)
	if place == "" {
		t.Skipf("set %s to a bucket's URL to run this test on it", provider)
	}
	separator := "?"
	if strings.Contains(place, "?") {
		separator = "&"
	}
	conform(t, place+separator+"prefix=test-"+rand.Text())
}

// conform holds a storage to what kopia relies upon.
func conform(t *testing.T, place string) {
	t.Helper()
	opened, err := bucket.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	st := &storage{bucket: opened}
	t.Cleanup(func() {
		emptied(t, st)
		opened.Close()
	})
	for name, test := range map[string]func(*testing.T, *storage){
		"reads what was written":        readsWritten,
		"tells what is absent":          tellsAbsent,
		"reads ranges":                  readsRanges,
		"lists by prefix":               listsPrefix,
		"replaces whole objects":        replaces,
		"lets one writer of many win":   oneWins,
		"tells when it was written":     tellsTimes,
		"refuses what it cannot do":     refuses,
		"leaves nothing of a cut write": cutWrite,
		"tells how its clock goes":      tellsSkew,
	} {
		t.Run(name, func(t *testing.T) { test(t, st) })
	}
	t.Run("is set up once by many", func(t *testing.T) {
		emptied(t, st)
		setsUpOnce(t, st, place)
	})
}

// emptied takes away all that a storage holds.
func emptied(t *testing.T, st *storage) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for object, err := range st.bucket.Objects(ctx, "") {
		if err == nil {
			err = st.bucket.Remove(ctx, object.Key)
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func put(t *testing.T, st *storage, id blob.ID, data string) {
	t.Helper()
	if err := st.PutBlob(t.Context(), id, slice(data), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, st *storage, id blob.ID, offset, length int64) (string, error) {
	t.Helper()
	read := exact{&bytes.Buffer{}}
	read.WriteString("left over")
	err := st.GetBlob(t.Context(), id, offset, length, read)
	return read.String(), err
}

// slice is blob.Bytes of a text.
type slice string

func (s slice) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(s))
	return int64(n), err
}
func (s slice) Length() int               { return len(s) }
func (s slice) Reader() io.ReadSeekCloser { return nopCloser{strings.NewReader(string(s))} }

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func readsWritten(t *testing.T, st *storage) {
	large := strings.Repeat("0123456789abcdef", 21<<16)
	for id, data := range map[blob.ID]string{"rempty": "", "rsmall": "\x00\xff", "rlarge": large, "r_with-a.dot": "x"} {
		put(t, st, id, data)
		if got, err := get(t, st, id, 0, -1); err != nil || got != data {
			t.Errorf("%s: %d bytes, %v, want %d", id, len(got), err, len(data))
		}
		if m, err := st.GetMetadata(t.Context(), id); err != nil || m.Length != int64(len(data)) || m.BlobID != id {
			t.Errorf("%s: %+v, %v", id, m, err)
		}
	}
}

func tellsAbsent(t *testing.T, st *storage) {
	for _, length := range []int64{-1, 0, 1} {
		if _, err := get(t, st, "absent", 0, length); !errors.Is(err, blob.ErrBlobNotFound) {
			t.Errorf("get %d: %v", length, err)
		}
	}
	if _, err := st.GetMetadata(t.Context(), "absent"); !errors.Is(err, blob.ErrBlobNotFound) {
		t.Error(err)
	}
	if err := st.DeleteBlob(t.Context(), "absent"); err != nil {
		t.Error(err)
	}
	put(t, st, "deleted", "x")
	if err := st.DeleteBlob(t.Context(), "deleted"); err != nil {
		t.Error(err)
	}
	if _, err := get(t, st, "deleted", 0, -1); !errors.Is(err, blob.ErrBlobNotFound) {
		t.Error(err)
	}
}

func readsRanges(t *testing.T, st *storage) {
	put(t, st, "range", "0123456789")
	for _, test := range []struct {
		offset, length int64
		want           string
		err            error
	}{
		{0, 10, "0123456789", nil},
		{3, 4, "3456", nil},
		{9, 1, "9", nil},
		{0, 0, "", nil},
		{9, 2, "", blob.ErrInvalidRange},
		{10, 1, "", blob.ErrInvalidRange},
		{20, 5, "", blob.ErrInvalidRange},
		{-1, 3, "", blob.ErrInvalidRange},
		{0, 11, "", blob.ErrInvalidRange},
	} {
		got, err := get(t, st, "range", test.offset, test.length)
		if !errors.Is(err, test.err) || err == nil && got != test.want {
			t.Errorf("%d+%d: %q, %v, want %q, %v", test.offset, test.length, got, err, test.want, test.err)
		}
	}
}

func listsPrefix(t *testing.T, st *storage) {
	var want []blob.ID
	for i := range 30 {
		id := blob.ID("list" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		put(t, st, id, "x")
		want = append(want, id)
	}
	put(t, st, "lisu", "x")
	slices.Sort(want)
	var got []blob.ID
	if err := st.ListBlobs(t.Context(), "list", func(m blob.Metadata) error {
		if m.Length != 1 || m.Timestamp.IsZero() {
			t.Errorf("%+v", m)
		}
		got = append(got, m.BlobID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	stop := errors.New("stop")
	if err := st.ListBlobs(t.Context(), "list", func(blob.Metadata) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the callback's error is lost: %v", err)
	}
	if err := st.ListBlobs(t.Context(), "none", func(blob.Metadata) error { return stop }); err != nil {
		t.Error(err)
	}
}

func replaces(t *testing.T, st *storage) {
	put(t, st, "replaced", "a longer text")
	put(t, st, "replaced", "short")
	if got, err := get(t, st, "replaced", 0, -1); err != nil || got != "short" {
		t.Errorf("%q, %v", got, err)
	}
}

func oneWins(t *testing.T, st *storage) {
	const writers = 16
	var all sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		all.Go(func() {
			errs[i] = st.PutBlob(t.Context(), "contested", slice(strings.Repeat(string(rune('a'+i)), 1000)), blob.PutOptions{DoNotRecreate: true})
		})
	}
	all.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Errorf("writers %d and %d both succeed", winner, i)
		case !errors.Is(err, blob.ErrBlobAlreadyExists):
			t.Error(err)
		}
	}
	if got, err := get(t, st, "contested", 0, -1); err != nil || winner < 0 || got != strings.Repeat(string(rune('a'+winner)), 1000) {
		t.Errorf("winner %d, got %.10q, %v", winner, got, err)
	}
}

func tellsTimes(t *testing.T, st *storage) {
	var at time.Time
	before := time.Now().Add(-time.Minute)
	if err := st.PutBlob(t.Context(), "timed", slice("x"), blob.PutOptions{GetModTime: &at}); err != nil {
		t.Fatal(err)
	}
	if at.Before(before) || at.After(time.Now().Add(time.Minute)) {
		t.Errorf("written at %v", at)
	}
	if m, err := st.GetMetadata(t.Context(), "timed"); err != nil || !m.Timestamp.Equal(at) {
		t.Errorf("%v, %v, want %v", m.Timestamp, err, at)
	}
}

func refuses(t *testing.T, st *storage) {
	if err := st.PutBlob(t.Context(), "x", slice("x"), blob.PutOptions{SetModTime: time.Now()}); !errors.Is(err, blob.ErrSetTimeUnsupported) {
		t.Error(err)
	}
	retention := blob.PutOptions{RetentionMode: blob.Governance, RetentionPeriod: 24 * time.Hour}
	if err := st.PutBlob(t.Context(), "x", slice("x"), retention); !errors.Is(err, blob.ErrUnsupportedPutBlobOption) {
		t.Error(err)
	}
	if err := st.PutBlob(t.Context(), format.KopiaBlobCfgBlobID, slice("x"), blob.PutOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := get(t, st, format.KopiaBlobCfgBlobID, 0, -1); !errors.Is(err, blob.ErrBlobNotFound) {
		t.Errorf("kopia.blobcfg is written: %v", err)
	}
}

// cutWrite is a write whose source ends in an error: nothing may be seen of it, and the
// process must live.
func cutWrite(t *testing.T, st *storage) {
	err := st.PutBlob(t.Context(), "cut", broken{slice(strings.Repeat("x", 1<<20))}, blob.PutOptions{})
	if err == nil {
		t.Error("a cut write succeeds")
	}
	if _, err := get(t, st, "cut", 0, -1); !errors.Is(err, blob.ErrBlobNotFound) {
		t.Errorf("something of a cut write is there: %v", err)
	}
}

type broken struct{ slice }

func (b broken) Reader() io.ReadSeekCloser { return brokenReader{b.slice.Reader()} }

type brokenReader struct{ io.ReadSeekCloser }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p[:min(len(p), 1000)])
	if at, _ := b.Seek(0, io.SeekCurrent); err == nil && at > 100_000 {
		err = errors.New("the source broke")
	}
	return n, err
}
