// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
)

// A repository is copied under a new key: all backups come back from it as they were, by their
// old ids too, and the old key opens nothing of it.
func TestACopyHoldsAllUnderANewKey(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	torture(t, source)
	from := open(t, options(t, t.TempDir()))
	first := save(t, from, source)
	write(t, filepath.Join(source, "a/new"), "a second state")
	second := save(t, from, source)
	o := options(t, t.TempDir())
	o.Password = backup.NewKey()
	to := open(t, o)
	did, err := from.CopyTo(t.Context(), to)
	if err != nil || did.Backups != 2 || did.Before != 0 {
		t.Fatalf("%+v, %v", did, err)
	}
	was, err := from.List(t.Context(), backup.Query{})
	if err != nil {
		t.Fatal(err)
	}
	now, err := to.List(t.Context(), backup.Query{})
	if diff := cmp.Diff(was, now, cmpopts.IgnoreFields(release.Backup{}, "ID"), cmpopts.EquateApprox(0, 0.001)); err != nil || diff != "" {
		t.Errorf("listed otherwise (-was +now): %s, %v", diff, err)
	}
	for _, old := range []release.Backup{first, second} {
		found, err := to.Find(t.Context(), backup.Query{ID: old.ID[:12]})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := to.Verify(t.Context(), backup.Proof{ID: found.ID, Scratch: t.TempDir()}); err != nil || !v.Proved {
			t.Errorf("copy of %s: %+v, %v", old.ID, v, err)
		}
	}
	restored := t.TempDir()
	if _, err := to.Restore(t.Context(), backup.Target{ID: now[0].ID, Folder: restored}); err != nil && os.Geteuid() == 0 {
		t.Error(err)
	}
	same(t, source, restored)
	o.Password = options(t, "").Password
	if _, err := backup.Open(t.Context(), o); !errors.Is(err, backup.ErrPassword) {
		t.Errorf("the old key: %v", err)
	}
	// Once more brings nothing, and the next save shares with what was copied.
	if did, err := from.CopyTo(t.Context(), to); err != nil || did.Backups != 2 || did.Before != 2 || did.Stored != 0 {
		t.Errorf("%+v, %v", did, err)
	}
	if again := save(t, to, source); again.Stored > 1<<20 {
		t.Errorf("a save to the copy stored %d bytes again", again.Stored)
	}
	if _, err := from.CopyTo(t.Context(), from); err == nil {
		t.Error("a repository is copied to itself")
	}
}

// A copy that was cut short is finished by the next, which does not send again what arrived.
func TestACopyThatIsCutShortIsFinished(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	some(t, source, 300, 60<<20)
	from := open(t, options(t, t.TempDir()))
	made := save(t, from, source)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var packs atomic.Int32
	o := options(t, s3(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut && isPack(r) && packs.Add(1) == 2 {
			cancel()
		}
		return false
	}))
	o.Password = backup.NewKey()
	if _, err := from.CopyTo(ctx, open(t, o)); err == nil || ctx.Err() == nil {
		t.Fatalf("the copy was not cut short: %v", err)
	}
	to := open(t, o)
	if found, err := to.List(t.Context(), backup.Query{}); err != nil || len(found) != 0 {
		t.Errorf("half a copy shows: %v, %v", found, err)
	}
	did, err := from.CopyTo(t.Context(), to)
	t.Logf("the second copy stored %d of %d bytes", did.Stored, did.Bytes)
	if err != nil || did.Backups != 1 || did.Before != 0 || did.Stored > did.Bytes*2/3 {
		t.Fatalf("%+v, %v", did, err)
	}
	found, err := to.Find(t.Context(), backup.Query{ID: made.ID})
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	restore(t, to, found.ID, target)
	same(t, source, target)
}

// A damaged backup is named, and the others are copied all the same.
func TestACopyNamesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	place, one, other := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(one, "a"), random(1<<20))
	write(t, filepath.Join(other, "b"), random(1<<20))
	from := open(t, options(t, place))
	save(t, from, one)
	packs, err := filepath.Glob(filepath.Join(place, "p*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	save(t, from, other)
	data, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	write(t, packs[0], string(data))
	o := options(t, t.TempDir())
	o.Password = backup.NewKey()
	to := open(t, o)
	did, err := open(t, options(t, place)).CopyTo(t.Context(), to)
	if !errors.Is(err, backup.ErrDamaged) || did.Backups != 1 || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("%+v, %v", did, err)
	}
}

func random(size int) string {
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	return string(data)
}
