// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
)

func TestOnePruneIsAtWork(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{
		"in a folder": t.TempDir(),
		"on S3":       s3(t, func(http.ResponseWriter, *http.Request, http.Handler) bool { return false }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := options(t, place)
			first.Owner = "the first"
			r, other := open(t, first), open(t, options(t, place))
			source := t.TempDir()
			some(t, source, 2, 2000)
			proved(t, r, source)
			q := pruning(1)
			q.Before = func(ctx context.Context, _ backup.Plan) error {
				_, err := other.Prune(ctx, pruning(1))
				if err == nil || !strings.Contains(err.Error(), "the first") || len(fault.Hints(err)) == 0 {
					t.Errorf("beside another: %v", err)
				}
				return nil
			}
			prune(t, r, q)
			prune(t, other, pruning(1))
		})
	}
}

// A prune that was killed holds the next one up for no longer than its lease lasts.
func TestALeaseRunsOut(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	source := t.TempDir()
	some(t, source, 2, 2000)
	r := open(t, options(t, place))
	proved(t, r, source)
	dead := filepath.Join(place, "knowngood/use/DEAD")
	write(t, dead, `{"work":"prune","owner":"a job that was killed","since":"2026-01-01T00:00:00Z","lasts_seconds":2}`)
	write(t, filepath.Join(place, "knowngood/use/BROKEN"), `{"work":`)
	check(os.Chtimes(filepath.Join(place, "knowngood/use/BROKEN"), time.Unix(1, 0), time.Unix(1, 0)))
	if _, err := r.Prune(t.Context(), pruning(1)); err == nil || !strings.Contains(err.Error(), "a job that was killed") {
		t.Error(err)
	}
	q := pruning(1)
	q.Wait = time.Minute
	if did := prune(t, r, q); !did.Done {
		t.Errorf("%+v", did)
	}
	if _, err := os.Stat(filepath.Join(place, "knowngood/use/BROKEN")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lease that ran out long ago is left: %v", err)
	}
}

// A prune that can no longer renew its lease stops, and takes nothing away.
func TestAPruneThatLosesItsLeaseStops(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	place := s3(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if cut.Load() && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "knowngood/use/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	o := options(t, place)
	o.Lease = 2 * time.Second
	r := open(t, o)
	source := t.TempDir()
	some(t, source, 2, 2000)
	proved(t, r, source)
	proved(t, r, source)
	q := pruning(1)
	q.Before = func(ctx context.Context, _ backup.Plan) error {
		cut.Store(true)
		<-ctx.Done()
		return ctx.Err()
	}
	if _, err := r.Prune(t.Context(), q); !errors.Is(err, backup.ErrLease) {
		t.Error(err)
	}
	cut.Store(false)
	if got := ids(t, r); len(got) != 2 {
		t.Errorf("left: %q", got)
	}
}

// A folder that may only be read is restored from all the same.
func TestARestoreFromWhatMayOnlyBeRead(t *testing.T) {
	t.Parallel()
	var locked atomic.Bool
	place := s3(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if locked.Load() && r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	r := open(t, options(t, place))
	source, target := t.TempDir(), t.TempDir()
	some(t, source, 2, 2000)
	made := save(t, r, source)
	locked.Store(true)
	restore(t, r, made.ID, target)
	same(t, source, target)
}
