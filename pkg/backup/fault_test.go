// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// s3 starts an S3 server in this process behind a handler that may answer instead, and returns
// the address of a bucket in it.
func s3(t *testing.T, instead func(http.ResponseWriter, *http.Request, http.Handler) bool) string {
	t.Helper()
	store := s3mem.New()
	if err := store.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r, inner) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return "s3://backups/team?region=us-east-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(server.URL)
}

// isPack tells requests for packs of data.
func isPack(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/backups/team/p") }

// What a save that was cut short has uploaded is not uploaded again.
func TestASaveThatIsCutShortIsResumed(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	some(t, source, 300, 60<<20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var packs atomic.Int32
	place := s3(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut && isPack(r) && packs.Add(1) == 2 {
			cancel()
		}
		return false
	})
	r := open(t, options(t, place))
	if _, err := r.Save(ctx, request(source)); err == nil || ctx.Err() == nil {
		t.Fatalf("the save was not cut short: %v", err)
	}
	if listed, err := r.List(t.Context(), backup.Query{}); err != nil || len(listed) != 0 {
		t.Errorf("%v: %+v", err, listed)
	}
	again := open(t, options(t, place))
	made := save(t, again, source)
	t.Logf("the second save stored %d of %d bytes", made.Stored, made.Bytes)
	if made.Stored > made.Bytes*2/3 {
		t.Errorf("the second save stored %d of %d bytes", made.Stored, made.Bytes)
	}
	target := t.TempDir()
	restore(t, again, made.ID, target)
	same(t, source, target)
}

// A bucket that fails one call in twenty, breaks bodies off and is slow to say so loses nothing.
func TestABucketThatFails(t *testing.T) {
	seldom(t)
	t.Parallel()
	var mu sync.Mutex
	random := dice(t, 4)
	var failed, cut atomic.Int32
	var failing atomic.Bool
	place := s3(t, func(w http.ResponseWriter, r *http.Request, inner http.Handler) bool {
		mu.Lock()
		roll := random.IntN(100)
		mu.Unlock()
		switch {
		case !failing.Load() || roll >= 9:
			return false
		case roll >= 6 && r.Method == http.MethodGet:
			whole := httptest.NewRecorder()
			inner.ServeHTTP(whole, r)
			for name, values := range whole.Header() {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
			w.WriteHeader(whole.Code)
			_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			cut.Add(1)
		case roll >= 6:
			return false
		case roll >= 5:
			<-time.After(300 * time.Millisecond) // slow
			return false
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
			failed.Add(1)
		}
		return true
	})
	source := t.TempDir()
	some(t, source, 200, 24<<20)
	failing.Store(true)
	r := open(t, options(t, place))
	for range times(t, 1, 20) {
		some(t, source, 50, 20<<20)
		made := save(t, r, source)
		target := t.TempDir()
		restore(t, r, made.ID, target)
		same(t, source, target)
		if _, err := r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d calls failed, %d bodies were cut", failed.Load(), cut.Load())
}

// A save that takes too long says so, and what it uploaded is not lost.
func TestASaveHasALimit(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	some(t, source, 300, 40<<20)
	r := open(t, options(t, s3(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if isPack(r) && r.Method == http.MethodPut {
			<-time.After(500 * time.Millisecond)
		}
		return false
	})))
	q := request(source)
	q.Limit = 300 * time.Millisecond
	made, err := r.Save(t.Context(), q)
	if err == nil || made.ID != "" || !strings.Contains(err.Error(), "not done after 300ms") || fault.StatusOf(err) != fault.Failed || len(fault.Hints(err)) == 0 {
		t.Errorf("%v, %+v", err, made)
	}
	if got := ids(t, r); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// A bucket that is full ends a save and nothing else, and once there is room the save goes on.
func TestABucketThatRunsFull(t *testing.T) {
	if os.Getenv(soak) == "" {
		t.Skipf("a minute of tries; set %s to run it", soak)
	}
	t.Parallel()
	source := t.TempDir()
	some(t, source, 30, 8<<20)
	var full atomic.Bool
	place := s3(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if full.Load() && r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "knowngood/") {
			w.WriteHeader(http.StatusInsufficientStorage)
			return true
		}
		return false
	})
	r := open(t, options(t, place))
	first := save(t, r, source)
	some(t, filepath.Join(source, "more"), 30, 40<<20)
	full.Store(true)
	if made, err := r.Save(t.Context(), request(source)); err == nil || made.ID != "" {
		t.Fatalf("a save to a bucket that is full: %v, %+v", err, made)
	}
	full.Store(false)
	again := open(t, options(t, place))
	if got := ids(t, again); len(got) != 1 || got[0] != first.ID {
		t.Errorf("there: %q", got)
	}
	made := save(t, again, source)
	whole(t, open(t, options(t, place)), []release.Backup{first, made})
}

// A restore that is cancelled while it reads says nothing of damage.
func TestACancelledRestoreIsNoDamage(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	some(t, source, 20, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var cut atomic.Bool
	place := s3(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if cut.Load() && r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/backups/team/q") {
			cancel()
		}
		return false
	})
	made := save(t, open(t, options(t, place)), source)
	r := open(t, options(t, place))
	cut.Store(true)
	_, err := r.Restore(ctx, backup.Target{ID: made.ID, Folder: t.TempDir()})
	if !errors.Is(err, context.Canceled) || errors.Is(err, backup.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

// A restore reads each pack about once, whatever number of files lies in it.
func TestARestoreReadsPacksWhole(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	some(t, source, 2000, 8<<20)
	var reads atomic.Int32
	place := s3(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "" {
			reads.Add(1)
		}
		return false
	})
	r := open(t, options(t, place))
	made := save(t, r, source)
	reads.Store(0)
	restore(t, r, made.ID, t.TempDir())
	if n := reads.Load(); n > 40 {
		t.Errorf("%d reads for %d files", n, made.Files)
	} else {
		t.Logf("%d reads for %d files", n, made.Files)
	}
}
