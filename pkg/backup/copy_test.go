// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	if err != nil || did.Backups != 2 || did.Before != 0 || len(did.Copies) != 2 || did.Copies[0].CopyOf != second.ID {
		t.Fatalf("%+v, %v", did, err)
	}
	was, err := from.List(t.Context(), backup.Query{})
	if err != nil {
		t.Fatal(err)
	}
	now, err := to.List(t.Context(), backup.Query{})
	if diff := cmp.Diff(was, now, cmpopts.IgnoreFields(release.Backup{}, "ID", "CopyOf"), cmpopts.EquateApprox(0, 0.001)); err != nil || diff != "" {
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

// What keeps a backup and what proves it go along; the proof says that it was carried over.
func TestACopyTakesHoldsAndProofsAlong(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	from, to := open(t, options(t, t.TempDir())), other(t, t.TempDir())
	write(t, filepath.Join(source, "a"), random(1<<20))
	first := proved(t, from, source)
	hold, err := from.Hold(t.Context(), first.ID, "an audit")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(source, "b"), random(1<<20))
	save(t, from, source)
	did, err := from.CopyTo(t.Context(), to)
	if err != nil || did.Proved != 1 || did.Held != 1 || len(did.Copies) != 2 {
		t.Fatalf("%+v, %v", did, err)
	}
	untried, tried := did.Copies[0], did.Copies[1]
	if untried.Verified != nil || untried.Hold != nil {
		t.Errorf("%+v", untried)
	}
	if v := tried.Verified; v == nil || !v.Proved || !v.Carried {
		t.Errorf("the proof stayed behind: %+v", v)
	}
	if diff := cmp.Diff(&hold, tried.Hold); diff != "" {
		t.Error(diff)
	}
	// A verification of the copy itself counts more than what was carried, and stays.
	if _, err := to.Verify(t.Context(), backup.Proof{ID: tried.ID, Scratch: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	// What came to the backup since comes to its copy with the next run.
	if _, err := from.Verify(t.Context(), backup.Proof{ID: untried.CopyOf, Scratch: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Hold(t.Context(), first.ID, "a claim"); err != nil {
		t.Fatal(err)
	}
	did, err = from.CopyTo(t.Context(), to)
	if err != nil || did.Before != 2 || did.Proved != 2 || did.Resent != 0 {
		t.Fatalf("%+v, %v", did, err)
	}
	if v := did.Copies[0].Verified; v == nil || !v.Carried {
		t.Errorf("a later proof stayed behind: %+v", v)
	}
	if v := did.Copies[1].Verified; v == nil || v.Carried {
		t.Errorf("the copy's own proof is lost: %+v", v)
	}
	// A hold that came later keeps the copy when the first one ends.
	left, err := to.Unhold(t.Context(), tried.ID, "an audit")
	if err != nil || left == nil || !strings.Contains(left.Reason, "a claim") {
		t.Errorf("the copy is held by %+v, %v", left, err)
	}
}

// Whatever happens to a copy after it arrived, the next run finds it and sends it again, and all
// that belongs to it stays.
func TestDamageToACopyIsNeverSilent(t *testing.T) {
	seldom(t)
	t.Parallel()
	source, place := t.TempDir(), t.TempDir()
	some(t, source, 30, 24<<20)
	from := open(t, options(t, t.TempDir()))
	made := proved(t, from, source)
	if _, err := from.CopyTo(t.Context(), other(t, place)); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(place, "[pq]*"))
	if err != nil || len(packs) < 3 {
		t.Fatal(packs, err)
	}
	random, resent := dice(t, 12), 0
	random.Shuffle(len(packs), func(i, j int) { packs[i], packs[j] = packs[j], packs[i] })
	first := slices.IndexFunc(packs, func(pack string) bool { return filepath.Base(pack)[0] == 'p' }) // what a copy cannot do without
	packs[0], packs[first] = packs[first], packs[0]
	packs = packs[:min(len(packs), times(t, 2, len(packs)))]
	for _, pack := range packs {
		for name, damage := range damages {
			spoiled := filepath.Join(t.TempDir(), "copy")
			check(os.CopyFS(spoiled, os.DirFS(place)))
			damage(t, filepath.Join(spoiled, filepath.Base(pack)))
			did, err := sentAgain(t, from, spoiled, made)
			if err != nil { // the list of copies lay in it
				t.Logf("%s %s: %v", filepath.Base(pack), name, err)
				continue
			}
			// What nothing needs may have been damaged alone.
			if resent += did.Resent; did.Resent+did.Before != 1 || len(did.Copies) != 1 || filepath.Base(pack)[0] == 'p' && did.Resent == 0 {
				t.Errorf("%s %s: %+v", filepath.Base(pack), name, did)
			}
			again := other(t, spoiled)
			found, err := again.Find(t.Context(), backup.Query{ID: made.ID})
			if err != nil || found.Verified == nil || !found.Verified.Proved || found.Hold == nil {
				t.Errorf("%s %s: %v, %+v", filepath.Base(pack), name, err, found)
			}
			whole(t, again, []release.Backup{found})
		}
	}
	t.Logf("%d damages, %d copies were sent again", len(packs)*len(damages), resent)
	if resent == 0 {
		t.Error("no copy was sent again")
	}
}

// sentAgain copies to a place whose copy is damaged, where somebody saw that before and put the
// copy on hold.
func sentAgain(t *testing.T, from *backup.Repository, place string, made release.Backup) (backup.Copied, error) {
	t.Helper()
	to, err := openOther(t, place)
	if err != nil {
		return backup.Copied{}, err
	}
	found, err := to.Find(t.Context(), backup.Query{ID: made.ID})
	if err != nil {
		return backup.Copied{}, err
	}
	_, err = to.Verify(t.Context(), backup.Proof{ID: found.ID, Scratch: t.TempDir()})
	_, holding := to.Hold(t.Context(), found.ID, "look at it")
	if holding != nil || err == nil || !errors.Is(err, backup.ErrDamaged) {
		t.Logf("verified: %v, %v", err, holding)
	}
	return from.CopyTo(t.Context(), to)
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

// other opens a repository under another key.
func other(t *testing.T, place string) *backup.Repository {
	t.Helper()
	r, err := openOther(t, place)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openOther(t *testing.T, place string) (*backup.Repository, error) {
	t.Helper()
	o := options(t, place)
	o.Password = otherKey
	r, err := backup.Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { r.Close(context.WithoutCancel(t.Context())) })
	}
	return r, err
}

func random(size int) string {
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	return string(data)
}
