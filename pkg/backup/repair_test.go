// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// repaired repairs a damaged repository and holds it to its promise: it opens, and each backup is
// proved or named. It returns what the repair did, and the ids of those that are proved.
func repaired(t *testing.T, o backup.Options, what string, ids []string) (backup.Repaired, []string) {
	t.Helper()
	plan, planned := backup.Repair(t.Context(), o, backup.Repairing{})
	did, failed := backup.Repair(t.Context(), o, backup.Repairing{Apply: true})
	if failed != nil && !errors.Is(failed, backup.ErrDamaged) {
		t.Errorf("%s: %v", what, failed)
		return did, nil
	}
	if (planned == nil) != (failed == nil) || !cmp.Equal(plan.Back, did.Back) || !cmp.Equal(plan.Missing, did.Missing) || !cmp.Equal(plan.Damaged, did.Damaged) {
		t.Errorf("%s: the plan was %+v, %v, and what was done %+v, %v", what, plan, planned, did, failed)
	}
	r, err := backup.Open(t.Context(), o)
	if err != nil {
		t.Errorf("%s: it does not open after a repair: %v", what, err)
		return did, nil
	}
	defer r.Close(t.Context())
	listed, listing := r.List(t.Context(), backup.Query{})
	there := map[string]bool{}
	for _, b := range listed {
		there[b.ID] = true
	}
	var proved []string
	for _, id := range ids {
		if !there[id] {
			for _, err := range []error{failed, listing} {
				if err == nil || !strings.Contains(err.Error(), id) {
					t.Errorf("%s: backup %s is gone, and the error does not name it: %v", what, id, err)
				}
			}
			continue
		}
		if _, err := r.Verify(t.Context(), backup.Proof{ID: id, Scratch: t.TempDir()}); err == nil {
			proved = append(proved, id)
		} else if !strings.Contains(err.Error(), id) {
			t.Errorf("%s: the error does not name the backup: %v", what, err)
		}
	}
	return did, proved
}

// twice is a repository with two backups.
func twice(t *testing.T) (place, source string, ids []string) {
	t.Helper()
	place, source = t.TempDir(), t.TempDir()
	r := open(t, options(t, place))
	write(t, filepath.Join(source, "a"), "one")
	ids = []string{save(t, r, source).ID}
	write(t, filepath.Join(source, "a"), "another")
	return place, source, append(ids, save(t, r, source).ID)
}

// Whatever happens to one object of the index, or to kopia.repository, is told, and repaired whole.
func TestWhatAllBackupsNeedIsRepaired(t *testing.T) {
	t.Parallel()
	place, _, ids := twice(t)
	for _, one := range harms(t, place, 4, "x", "kopia.repository") {
		o := options(t, one.place)
		told(t, o, one, ids)
		did, proved := repaired(t, o, one.what(), ids)
		if !slices.Equal(proved, ids) || !did.Needed() {
			t.Errorf("%s: proved are %v of %v after %+v", one.what(), proved, ids, did)
		}
		if again, err := backup.Repair(t.Context(), o, backup.Repairing{}); err != nil || again.Needed() {
			t.Errorf("%s: a second repair finds %+v, %v", one.what(), again, err)
		}
	}
}

// A harm is a copy of a repository in which one object was damaged.
type harm struct{ place, object, damage string }

func (h harm) what() string { return h.object + " " + h.damage }

// harms damages each object whose name begins with one of the prefixes, in each way; or, unless it
// is a soak, a sample of that.
func harms(t *testing.T, place string, sample int, prefixes ...string) []harm {
	t.Helper()
	entries, err := os.ReadDir(place)
	check(err)
	var all []harm
	for _, entry := range entries {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(entry.Name(), p) }) {
			continue
		}
		for _, damage := range slices.Sorted(maps.Keys(damages)) {
			all = append(all, harm{object: entry.Name(), damage: damage})
		}
	}
	random := dice(t, 4)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(times(t, sample, len(all)), len(all))]
	for i := range all {
		all[i].place = filepath.Join(t.TempDir(), "copy")
		check(os.CopyFS(all[i].place, os.DirFS(place)))
		damages[all[i].damage](t, filepath.Join(all[i].place, all[i].object))
	}
	return all
}

// told makes sure that damage is told with its cure before it is repaired.
func told(t *testing.T, o backup.Options, one harm, ids []string) {
	t.Helper()
	r, err := backup.Open(t.Context(), o)
	if err == nil {
		defer r.Close(t.Context())
		_, err = r.List(t.Context(), backup.Query{})
		for _, id := range ids {
			if err == nil {
				_, err = r.Verify(t.Context(), backup.Proof{ID: id, Scratch: t.TempDir()})
			}
		}
	}
	if err == nil || !errors.Is(err, backup.ErrDamaged) || !strings.Contains(strings.Join(fault.Hints(err), " "), "backup repair") {
		t.Errorf("%s: told is only %v, %q", one.what(), err, fault.Hints(err))
	} else if one.damage != "forgotten" && !strings.Contains(err.Error(), one.object) {
		t.Errorf("%s: the error does not name the object: %v", one.what(), err)
	}
}

// A list of backups of which a piece is damaged hides all others until it is repaired.
func TestADamagedListHidesOnlyWhatItNamed(t *testing.T) {
	t.Parallel()
	place, source, ids := twice(t)
	for _, one := range harms(t, place, 3, "q") {
		o := options(t, one.place)
		did, proved := repaired(t, o, one.what(), ids)
		if len(proved) == 0 {
			t.Errorf("%s: nothing is proved after %+v", one.what(), did)
		}
		if len(did.Missing) == 0 {
			continue
		}
		if _, err := backup.Repair(t.Context(), o, backup.Repairing{Apply: true, Forget: true}); err != nil {
			t.Errorf("%s: %v", one.what(), err)
		}
		r := open(t, o)
		made := save(t, r, source)
		if all, err := r.List(t.Context(), backup.Query{}); err != nil || !slices.ContainsFunc(all, func(b release.Backup) bool { return b.ID == made.ID }) {
			t.Errorf("%s: after it was forgotten: %v, %v", one.what(), all, err)
		}
	}
}

// What needs no repair is left alone, and what was pruned does not come back.
func TestARepairOfWhatIsWholeDoesNothing(t *testing.T) {
	t.Parallel()
	place, _, ids := twice(t)
	did, proved := repaired(t, options(t, place), "whole", ids)
	if did.Needed() || !slices.Equal(proved, ids) {
		t.Errorf("a repair of what is whole did %+v", did)
	}
	o := options(t, place)
	o.Password = "another key than the one of the place"
	if _, err := backup.Repair(t.Context(), o, backup.Repairing{}); !errors.Is(err, backup.ErrPassword) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := backup.Repair(t.Context(), options(t, filepath.Join(place, "none")), backup.Repairing{}); !errors.Is(err, backup.ErrEmpty) {
		t.Errorf("where nothing is: %v", err)
	}
}

// After the key was changed, no copy of kopia.repository opens with the old one.
func TestTheCopyOfTheFormatFollowsTheKey(t *testing.T) {
	t.Parallel()
	place, _, ids := twice(t)
	r := open(t, options(t, place))
	fresh := backup.NewKey()
	if err := r.ChangeKey(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	check(os.Remove(filepath.Join(place, "kopia.repository")))
	o := options(t, place)
	if _, err := backup.Repair(t.Context(), o, backup.Repairing{Apply: true}); !errors.Is(err, backup.ErrPassword) {
		t.Errorf("with the old key: %v", err)
	}
	o.Password = fresh
	if _, proved := repaired(t, o, "after a change of the key", ids); !slices.Equal(proved, ids) {
		t.Errorf("proved are %v of %v", proved, ids)
	}
}

// Of two repairs at once one waits, and both find all whole in the end.
func TestTwoRepairsAtOnce(t *testing.T) {
	t.Parallel()
	place, _, ids := twice(t)
	entries, err := filepath.Glob(filepath.Join(place, "xn*"))
	check(err)
	damages["with one bit flipped"](t, entries[0])
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := backup.Repair(t.Context(), options(t, place), backup.Repairing{Apply: true, Wait: time.Minute})
			ended <- err
		}()
	}
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Error(err)
	}
	if _, proved := repaired(t, options(t, place), "after two", ids); !slices.Equal(proved, ids) {
		t.Errorf("proved are %v of %v", proved, ids)
	}
}
