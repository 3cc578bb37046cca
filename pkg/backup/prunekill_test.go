// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

// A day passes between two prunes, so that maintenance takes things away in all of its steps.
func TestAPruneThatIsKilledLosesNothing(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, c := timed(t)
	source := t.TempDir()
	some(t, source, 20, 4<<20)
	random := dice(t, 5)
	r := open(t, at(t, place, c))
	recorded := []release.Backup{proved(t, r, source)}
	kills, halves := times(t, 2, 100), 0
	for i := range kills {
		some(t, filepath.Join(source, fmt.Sprint("part", i%2)), 10, 2<<20)
		r := open(t, at(t, place, c))
		recorded = append(recorded, proved(t, r, source))
		limit := time.Duration(random.IntN(int(900 * time.Millisecond)))
		if said := killedAt(t, c, limit, "prune", place); len(said) == 0 {
			halves++
		}
		c.sleep(25 * time.Hour)
		whole(t, open(t, at(t, place, c)), recorded[max(0, len(recorded)-2):])
	}
	t.Logf("%d kills, %d in the middle of a prune", kills, halves)
	var freed int64
	for range 5 {
		freed += prune(t, open(t, at(t, place, c)), pruning(2)).Upkeep.FreedBytes
		c.sleep(25 * time.Hour)
	}
	last := open(t, at(t, place, c))
	if got := ids(t, last); len(got) != 2 {
		t.Errorf("left: %q", got)
	}
	whole(t, last, recorded[len(recorded)-2:])
	t.Logf("%d bytes were freed at the end", freed)
}

// whole proves all backups that are there, among which are those that must be.
func whole(t *testing.T, r *backup.Repository, must []release.Backup) {
	t.Helper()
	there := map[string]bool{}
	for _, id := range ids(t, r) {
		there[id] = true
		if v, err := r.Verify(t.Context(), backup.Proof{ID: id, Scratch: t.TempDir()}); err != nil || !v.Proved {
			t.Errorf("backup %s: %v", id, err)
		}
	}
	for _, b := range must {
		if !there[b.ID] {
			t.Errorf("backup %s is lost", b.ID)
		}
	}
}

func TestAVerifyThatIsKilledProvesNothing(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source, scratch := t.TempDir(), t.TempDir(), t.TempDir()
	some(t, source, 100, 12<<20)
	made := save(t, open(t, options(t, place)), source)
	random := dice(t, 6)
	kills, halves := times(t, 2, 100), 0
	said := 0
	for range kills {
		done := killed(t, time.Duration(random.IntN(int(600*time.Millisecond))), "verify", place, scratch, made.ID)
		if said += len(done); len(done) == 0 {
			halves++
		}
		listed, err := open(t, options(t, place)).List(t.Context(), backup.Query{})
		if err != nil || len(listed) != 1 {
			t.Fatal(err, listed)
		}
		switch v := listed[0].Verified; {
		case v != nil && !v.Proved:
			t.Fatalf("a verify that was killed refutes the backup: %+v", v)
		case v == nil && said > 0:
			t.Fatal("a proof that was told is lost")
		}
	}
	t.Logf("%d kills, %d in the middle of a verify", kills, halves)
	if _, err := open(t, options(t, place)).Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: scratch}); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	whole(t, open(t, options(t, place)), []release.Backup{made})
}

// otherKey is what a repository has that was copied, or whose key was changed.
const otherKey = step.Hidden("another key that only the tests know")

// One key opens the repository at any moment, the old or the new.
func TestAKeyRotationThatIsKilled(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	some(t, source, 5, 1<<20)
	made := save(t, open(t, options(t, place)), source)
	random := dice(t, 8)
	kills, changed := times(t, 2, 100), 0
	for range kills {
		killed(t, time.Duration(random.IntN(int(1200*time.Millisecond))), "rotate", place, string(otherKey))
		var opened []step.Hidden
		for _, one := range []step.Hidden{key, otherKey} {
			o := options(t, place)
			o.Password, o.Setup = one, false
			r, err := backup.Open(t.Context(), o)
			if errors.Is(err, backup.ErrPassword) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			opened = append(opened, one)
			if one == otherKey { // for the next child, which knows the old one
				changed++
				check(r.ChangeKey(t.Context(), key))
			}
			r.Close(t.Context())
			break
		}
		if len(opened) != 1 {
			t.Fatalf("%d keys open the repository", len(opened))
		}
	}
	t.Logf("%d kills, %d after the change", kills, changed)
	whole(t, open(t, options(t, place)), []release.Backup{made})
}

// Two write while a third prunes, on a bucket that fails one call in twenty: what was said to be
// saved is there and whole.
func TestTwoWritersAndAPruneAtOnce(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, c, faults := timedAndFailing(t, dice(t, 9))
	random := dice(t, 10)
	volumes := []string{"one", "two"}
	folders := map[string]string{}
	for _, v := range volumes {
		folders[v] = t.TempDir()
		some(t, folders[v], 10, 3<<20)
		open(t, at(t, place, c))
	}
	newest := map[string]release.Backup{}
	var mu sync.Mutex
	for round := range times(t, 1, 30) {
		faults.Store(true)
		var all sync.WaitGroup
		for _, v := range volumes {
			some(t, filepath.Join(folders[v], fmt.Sprint("part", random.IntN(3))), 5, 1<<20)
			all.Go(func() {
				r := open(t, at(t, place, c))
				q := request(folders[v])
				q.Label.Volume = v
				made, err := r.Save(t.Context(), q)
				if err == nil {
					_, err = r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()})
				}
				if err != nil {
					t.Errorf("round %d, volume %s: %v", round, v, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				newest[v] = made
			})
		}
		all.Go(func() {
			q := pruning(2)
			q.Wait = time.Minute
			if _, err := open(t, at(t, place, c)).Prune(t.Context(), q); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		})
		all.Wait()
		c.sleep(13 * time.Hour)
		if _, err := open(t, at(t, place, c)).Prune(t.Context(), pruning(2)); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		c.sleep(13 * time.Hour)
	}
	faults.Store(false)
	var must []release.Backup
	for _, b := range newest {
		must = append(must, b)
	}
	whole(t, open(t, at(t, place, c)), must)
}

// What a lost object held is stored anew by the next save, and what a verify found damaged too.
func TestASaveHealsWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place, source := t.TempDir(), t.TempDir()
			some(t, source, 30, 24<<20)
			made := save(t, open(t, options(t, place)), source)
			packs, err := filepath.Glob(filepath.Join(place, "p*"))
			if err != nil || len(packs) < 2 {
				t.Fatal(err, packs)
			}
			damage(t, packs[0])
			_, err = open(t, options(t, place)).Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()})
			if !errors.Is(err, backup.ErrDamaged) {
				t.Fatalf("a pack that is %s is not found: %v", name, err)
			}
			again := save(t, open(t, options(t, place)), source)
			t.Logf("stored %d bytes anew", again.Stored)
			last := open(t, options(t, place))
			if _, err := last.Verify(t.Context(), backup.Proof{ID: again.ID, Scratch: t.TempDir()}); err != nil {
				t.Error(err)
			}
			// The manifest of the one before may have lain in the pack: nobody else has it.
			_, err = last.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()})
			if err != nil && (!errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "open the manifest")) {
				t.Error(err)
			}
		})
	}
}

// Without a verify before, a save sees that what it counts on is not there: what it makes is
// whole, and the backup before is too, or is named as damaged.
func TestASaveSeesWhatIsLost(t *testing.T) {
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	some(t, source, 30, 24<<20)
	made := save(t, open(t, options(t, place)), source)
	packs, err := filepath.Glob(filepath.Join(place, "[pq]*"))
	if err != nil || len(packs) < 3 {
		t.Fatal(err, packs)
	}
	healed := 0
	for _, pack := range packs {
		copied := filepath.Join(t.TempDir(), "copy")
		check(os.CopyFS(copied, os.DirFS(place)))
		check(os.Remove(filepath.Join(copied, filepath.Base(pack))))
		r, err := backup.Open(t.Context(), options(t, copied))
		var again release.Backup
		if err == nil {
			again, err = r.Save(t.Context(), request(source))
			r.Close(context.WithoutCancel(t.Context()))
		}
		if err != nil {
			t.Logf("a part of the list of backups lay in %s: %v", filepath.Base(pack), err)
			if !strings.Contains(err.Error(), filepath.Base(pack)) {
				t.Errorf("the error does not name %s", filepath.Base(pack))
			}
			continue
		}
		healed++
		last := open(t, options(t, copied))
		if _, err := last.Verify(t.Context(), backup.Proof{ID: again.ID, Scratch: t.TempDir()}); err != nil {
			t.Errorf("without %s: %v", filepath.Base(pack), err)
		}
		_, err = last.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()})
		if err != nil && (!errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), made.ID)) {
			t.Errorf("without %s: %v", filepath.Base(pack), err)
		}
	}
	if healed == 0 {
		t.Errorf("none of %d lost objects was healed", len(packs))
	}
}
