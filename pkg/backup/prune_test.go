// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
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
	"github.com/knowngood/knowngood/pkg/retain"
)

// A clock is that of a bucket and of the machines that use it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(10 * time.Millisecond) // what is written later has a later time
	return c.at
}

// Since implements gofakes3.TimeSource.
func (c *clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *clock) sleep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// timed starts an S3 server whose objects bear the times of a clock.
func timed(t *testing.T) (place string, c *clock) {
	t.Helper()
	place, c, _ = timedAndFailing(t, dice(t, 0))
	return place, c
}

// timedAndFailing is timed, and fails one call in twenty while faults is set.
func timedAndFailing(t *testing.T, random *rand.Rand) (place string, c *clock, faults *atomic.Bool) {
	t.Helper()
	faults = &atomic.Bool{}
	var mu sync.Mutex
	c = &clock{at: time.Now().Add(-60 * 24 * time.Hour).Truncate(time.Second)}
	store := s3mem.New(s3mem.WithTimeSource(c))
	if err := store.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog()), gofakes3.WithTimeSource(c), gofakes3.WithTimeSkewLimit(0)).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		roll := random.IntN(20)
		mu.Unlock()
		if faults.Load() && roll == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return "s3://backups/team?region=us-east-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(server.URL), c, faults
}

func at(t *testing.T, place string, c *clock) backup.Options {
	t.Helper()
	o := options(t, place)
	o.Now, o.Owner = c.Now, "the test"
	return o
}

func proved(t *testing.T, r *backup.Repository, folder string) release.Backup {
	t.Helper()
	made := save(t, r, folder)
	if _, err := r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return made
}

func pruning(last int) backup.Pruning { return backup.Pruning{Rules: retain.Rules{Last: last}} }

func prune(t *testing.T, r *backup.Repository, q backup.Pruning) backup.Pruned {
	t.Helper()
	did, err := r.Prune(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return did
}

func ids(t *testing.T, r *backup.Repository) []string {
	t.Helper()
	listed, err := r.List(t.Context(), backup.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, b := range listed {
		found = append(found, b.ID)
	}
	return found
}

// What only a pruned backup held leaves the bucket, after kopia's delays and not before, and
// what others need stays.
func TestPrunedContentIsFreed(t *testing.T) {
	t.Parallel()
	place, c := timed(t)
	source := t.TempDir()
	some(t, source, 20, 24<<20)
	r := open(t, at(t, place, c))
	first := proved(t, r, source)
	c.sleep(24 * time.Hour)
	check(os.RemoveAll(source))
	some(t, source, 20, 24<<20)
	second := proved(t, r, source)
	c.sleep(25 * time.Hour)
	shown, err := r.Plan(t.Context(), pruning(1))
	if err != nil || len(shown.Gone()) != 1 || shown.Gone()[0].ID != first.ID {
		t.Fatalf("%v: %+v", err, shown)
	}
	if got := ids(t, r); len(got) != 2 {
		t.Errorf("a plan changed something: %q", got)
	}
	var freed int64
	day := 0
	for ; day < 6 && freed < 20<<20; day++ {
		q := pruning(1)
		if day == 0 {
			q.Plan = shown.Digest
		}
		did := prune(t, open(t, at(t, place, c)), q)
		if !did.Done || !did.Upkeep.Ran {
			t.Fatalf("day %d: %+v", day, did)
		}
		freed += did.Upkeep.FreedBytes
		t.Logf("day %d: freed %d bytes in %d objects, %d unused", day, did.Upkeep.FreedBytes, did.Upkeep.FreedObjects, did.Upkeep.UnusedBytes)
		c.sleep(25 * time.Hour)
	}
	if freed < 20<<20 || day < 3 {
		t.Errorf("freed %d bytes in %d days", freed, day)
	}
	again := open(t, at(t, place, c))
	if got := ids(t, again); len(got) != 1 || got[0] != second.ID {
		t.Errorf("left: %q", got)
	}
	target := t.TempDir()
	restore(t, again, second.ID, target)
	same(t, source, target)
}

func TestAPlanThatChangedIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	r := open(t, options(t, t.TempDir()))
	source := t.TempDir()
	some(t, source, 3, 3000)
	proved(t, r, source)
	proved(t, r, source)
	shown, err := r.Plan(t.Context(), pruning(1))
	if err != nil {
		t.Fatal(err)
	}
	proved(t, r, source)
	q := pruning(1)
	q.Plan = shown.Digest
	_, err = r.Prune(t.Context(), q)
	if !errors.Is(err, backup.ErrPlan) || fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
		t.Error(err)
	}
	if got := ids(t, r); len(got) != 3 {
		t.Errorf("%q", got)
	}
	stop := errors.New("stop")
	q = pruning(1)
	q.Before = func(context.Context, backup.Plan) error { return stop }
	if _, err := r.Prune(t.Context(), q); !errors.Is(err, stop) || len(ids(t, r)) != 3 {
		t.Errorf("%v, %q", err, ids(t, r))
	}
	if _, err := r.Prune(t.Context(), pruning(0)); fault.StatusOf(err) != fault.Usage {
		t.Errorf("rules that keep nothing: %v", err)
	}
}

// A hold that comes while the plan is noted is kept to.
func TestAHoldThatComesWithThePruneCounts(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	r, other := open(t, options(t, place)), open(t, options(t, place))
	source := t.TempDir()
	some(t, source, 2, 2000)
	old := proved(t, r, source)
	proved(t, r, source)
	q := pruning(1)
	q.Before = func(ctx context.Context, p backup.Plan) error {
		if len(p.Gone()) != 1 || p.Gone()[0].ID != old.ID {
			t.Errorf("%+v", p)
		}
		_, err := other.Hold(ctx, old.ID, "the audit")
		return err
	}
	_, err := r.Prune(t.Context(), q)
	if !errors.Is(err, backup.ErrPlan) || !strings.Contains(err.Error(), "the audit") || fault.StatusOf(err) != fault.Usage {
		t.Errorf("error %v", err)
	}
	if got := ids(t, open(t, options(t, place))); len(got) != 2 {
		t.Errorf("left: %q", got)
	}
	_, err = other.Unhold(t.Context(), old.ID, "")
	check(err)
	prune(t, open(t, options(t, place)), pruning(1))
	if _, err := other.Hold(t.Context(), old.ID, "too late"); !errors.Is(err, backup.ErrNotFound) {
		t.Errorf("held what is gone: %v", err)
	}
}

// A verify that this machine cannot end says nothing of the backup, which stays proved: a prune
// would give up what it calls refuted.
func TestAVerifyThatThisMachineCannotEndRefutesNothing(t *testing.T) {
	t.Parallel()
	for what, says := range map[string]string{"verify in a full folder": "file too large", "verify as nobody": "owner"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 && what == "verify as nobody" {
				t.Skip("only root becomes another user")
			}
			place, source, scratch := t.TempDir(), t.TempDir(), t.TempDir()
			check(errors.Join(os.Chmod(scratch, 0o777), os.Chmod(filepath.Dir(scratch), 0o755))) // for another user
			some(t, source, 1, 4<<20)
			r := open(t, options(t, place))
			made := proved(t, r, source)
			check(filepath.WalkDir(place, func(path string, _ os.DirEntry, err error) error {
				if os.Geteuid() == 0 {
					err = errors.Join(err, os.Chown(path, 65534, 65534))
				}
				return err
			}))
			if said := strings.Join(killed(t, time.Minute, what, place, scratch, made.ID), "\n"); !strings.Contains(said, says) {
				t.Fatalf("it said %q, want %q", said, says)
			}
			listed, err := open(t, options(t, place)).List(t.Context(), backup.Query{})
			if err != nil || len(listed) != 1 || !listed[0].Verified.Proved {
				t.Errorf("%v, %+v", err, listed)
			}
		})
	}
}

func TestWhatIsHeldOrInUseStays(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	r := open(t, options(t, place))
	source := t.TempDir()
	some(t, source, 3, 3000)
	held, used, old, newest := proved(t, r, source), proved(t, r, source), proved(t, r, source), proved(t, r, source)
	if _, err := r.Hold(t.Context(), held.ID, "the audit"); err != nil {
		t.Fatal(err)
	}
	checked := make(chan struct{})
	var went backup.Pruned
	_, err := r.Verify(t.Context(), backup.Proof{ID: used.ID, Scratch: t.TempDir(), Check: func(context.Context, string) error {
		defer close(checked)
		other := open(t, options(t, place))
		went = prune(t, other, pruning(1))
		return nil
	}})
	<-checked
	if err != nil {
		t.Fatal(err)
	}
	if !went.Done || went.Upkeep.Ran || !strings.Contains(went.Upkeep.Postponed, "verify") {
		t.Errorf("%+v", went.Upkeep)
	}
	why := map[string]string{}
	for _, f := range went.Plan.Fates {
		why[f.ID] = f.Why
	}
	if !strings.Contains(why[held.ID], "the audit") || !strings.Contains(why[used.ID], "in use") {
		t.Errorf("%q", why)
	}
	if got := ids(t, open(t, options(t, place))); len(got) != 3 || !strings.Contains(strings.Join(got, " "), newest.ID) || strings.Contains(strings.Join(got, " "), old.ID) {
		t.Errorf("left: %q", got)
	}
	if _, err := r.Unhold(t.Context(), held.ID, ""); err != nil {
		t.Fatal(err)
	}
	did := prune(t, open(t, options(t, place)), pruning(1))
	if got := ids(t, open(t, options(t, place))); !did.Upkeep.Ran || len(got) != 1 || got[0] != newest.ID {
		t.Errorf("left: %q, %+v", got, did.Upkeep)
	}
	if entries, err := os.ReadDir(filepath.Join(place, "knowngood/use")); err != nil || len(entries) != 0 {
		t.Errorf("leases are left behind: %v, %v", entries, err)
	}
}

// A backup that is damaged is given up once a newer one is proved, and ends no maintenance then.
func TestAPruneAfterDamage(t *testing.T) {
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	some(t, source, 20, 24<<20)
	old := proved(t, open(t, options(t, place)), source)
	packs, err := filepath.Glob(filepath.Join(place, "p*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(err)
	}
	check(os.Remove(packs[0]))
	check(os.RemoveAll(filepath.Join(source, "d1"))) // nobody has it any more
	plan, err := open(t, options(t, place)).Plan(t.Context(), pruning(1))
	if err != nil || len(plan.Gone()) != 0 || len(plan.Orphans) != 1 || plan.Orphans[0].Name != filepath.Base(packs[0]) {
		t.Errorf("%v: %+v", err, plan.Orphans)
	}
	if _, err := open(t, options(t, place)).Verify(t.Context(), backup.Proof{ID: old.ID, Scratch: t.TempDir()}); !errors.Is(err, backup.ErrDamaged) {
		t.Fatal(err)
	}
	newest := proved(t, open(t, options(t, place)), source)
	did := prune(t, open(t, options(t, place)), pruning(1))
	if gone := did.Plan.Gone(); len(gone) != 1 || gone[0].ID != old.ID || !did.Upkeep.Ran {
		t.Errorf("gave up %+v, %+v", gone, did.Upkeep)
	}
	whole(t, open(t, options(t, place)), []release.Backup{newest})
}
