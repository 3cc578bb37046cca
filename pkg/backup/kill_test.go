// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/backup"
)

// soak makes the tests that kill and damage run long; seed draws other moments and objects.
const (
	soak   = "KNOWNGOOD_SOAK"
	faults = "KNOWNGOOD_TEST_FAULTS"
	seed   = "KNOWNGOOD_SOAK_SEED"
)

// dice are the random numbers of a test: the same for one seed.
func dice(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	number := uint64(1)
	if given := os.Getenv(seed); given != "" {
		var err error
		if number, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return rand.New(rand.NewPCG(number, stream))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// seldom leaves a test of several seconds to make test.
func seldom(t *testing.T) {
	t.Helper()
	if os.Getenv(faults) == "" && os.Getenv(soak) == "" {
		t.Skipf("kills and faults: set %s=1 to run a sample of them, as make test does", faults)
	}
}

// times is how often a test does what a soak does more often.
func times(t *testing.T, sample, long int) int {
	t.Helper()
	if os.Getenv(soak) != "" {
		return long
	}
	t.Logf("%d times; %s=1 makes it %d", sample, soak, long)
	return sample
}

// some fills a folder with files of a total size.
func some(t *testing.T, folder string, files, size int) {
	t.Helper()
	for i := range files {
		data := make([]byte, size/files)
		_, _ = crand.Read(data)
		write(t, filepath.Join(folder, fmt.Sprintf("d%d/f%d", i%7, i)), string(data))
	}
}

func TestASaveThatIsKilledLosesNothing(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	some(t, source, 200, 24<<20)
	random := dice(t, 1)
	var acknowledged []string
	first := open(t, options(t, place))
	acknowledged = append(acknowledged, save(t, first, source).ID)
	kills, halves := times(t, 3, 100), 0
	for i := range kills {
		some(t, filepath.Join(source, fmt.Sprint("more", i%3)), 40, 12<<20)
		said := killed(t, time.Duration(random.IntN(int(600*time.Millisecond))), "save", place, source)
		if acknowledged = append(acknowledged, said...); len(said) == 0 {
			halves++
		}
	}
	t.Logf("%d kills, %d in the middle of a save", kills, halves)
	r := open(t, options(t, place))
	made := save(t, r, source)
	listed, err := r.List(t.Context(), backup.Query{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, b := range listed {
		found[b.ID] = true
	}
	for _, id := range acknowledged {
		if !found[id] {
			t.Errorf("backup %s was acknowledged and is lost", id)
		}
	}
	for _, id := range []string{acknowledged[0], acknowledged[len(acknowledged)-1], made.ID} {
		if _, err := r.Verify(t.Context(), backup.Proof{ID: id, Scratch: t.TempDir()}); err != nil {
			t.Error(err)
		}
	}
}

func TestARestoreThatIsKilledIsNeverTakenForWhole(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	some(t, source, 300, 24<<20)
	r := open(t, options(t, place))
	made := save(t, r, source)
	want := fingerprint(t, source)
	random := dice(t, 2)
	kills, halves := times(t, 2, 100), 0
	for range kills {
		target := filepath.Join(t.TempDir(), "target")
		said := killed(t, time.Duration(random.IntN(int(500*time.Millisecond))), "restore", place, target, made.ID)
		_, staged := os.Lstat(filepath.Join(target, ".knowngood-restore"))
		entries, _ := os.ReadDir(target)
		switch {
		case staged == nil, len(entries) == 0:
			halves++
		case !cmp.Equal(inside(want), inside(fingerprint(t, target))):
			t.Error("a folder that looks whole is not")
		}
		if len(said) == 1 && staged == nil {
			t.Error("a restore that said it was done is not")
		}
		restoring := backup.Target{ID: made.ID, Folder: target, Overwrite: staged != nil}
		if _, err := r.Restore(t.Context(), restoring); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, fingerprint(t, target)); diff != "" {
			t.Fatal(diff)
		}
	}
	t.Logf("%d kills, %d in the middle of a restore", kills, halves)
}

// inside is a fingerprint without the folder itself, which is dressed last.
func inside(all map[string]string) map[string]string {
	inner := map[string]string{}
	for path, line := range all {
		if path != "." {
			inner[path] = line
		}
	}
	return inner
}

// damages are what can happen to an object in a bucket.
var damages = map[string]func(t *testing.T, path string){
	"forgotten": func(t *testing.T, path string) {
		t.Helper()
		check(os.Remove(path))
	},
	"cut off": func(t *testing.T, path string) {
		t.Helper()
		info, err := os.Stat(path)
		check(err)
		check(os.Truncate(path, info.Size()/2))
	},
	"with one bit flipped": func(t *testing.T, path string) {
		t.Helper()
		data, err := os.ReadFile(path)
		check(err)
		data[len(data)/3] ^= 1
		check(os.WriteFile(path, data, 0o600))
	},
}

// Whatever happens to an object, each backup is proved, or named as damaged.
func TestDamageIsNeverSilent(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	some(t, source, 60, 30<<20)
	r := open(t, options(t, place))
	ids := []string{save(t, r, source).ID}
	some(t, source, 30, 10<<20)
	ids = append(ids, save(t, r, source).ID)
	entries, err := os.ReadDir(place)
	if err != nil {
		t.Fatal(err)
	}
	type case_ struct{ object, damage string }
	var cases []case_
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			for damage := range damages {
				cases = append(cases, case_{entry.Name(), damage})
			}
		}
	}
	random := dice(t, 3)
	random.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	n, named, refused := min(times(t, 4, len(cases)), len(cases)), 0, 0
	for _, one := range cases[:n] {
		copied := filepath.Join(t.TempDir(), "copy")
		check(os.CopyFS(copied, os.DirFS(place)))
		damages[one.damage](t, filepath.Join(copied, one.object))
		o := options(t, copied)
		o.Setup = false
		again, err := backup.Open(t.Context(), o)
		if err != nil {
			named++
			repaired(t, o, one.object+" "+one.damage, ids)
			continue
		}
		if _, err := again.List(t.Context(), backup.Query{}); err != nil {
			again.Close(t.Context())
			named++
			repaired(t, o, one.object+" "+one.damage, ids)
			continue
		}
		for _, id := range ids {
			_, err := again.Verify(t.Context(), backup.Proof{ID: id, Scratch: t.TempDir()})
			if err != nil {
				if named++; !strings.Contains(err.Error(), id) {
					t.Errorf("%s %s: the error does not name the backup: %v", one.object, one.damage, err)
				}
			}
		}
		// What is saved after a verify has seen the damage is whole, or is not said to be saved.
		if made, err := again.Save(t.Context(), request(source)); err != nil {
			refused++
			t.Logf("%s %s: %v", one.object, one.damage, err)
		} else if _, err := again.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil {
			t.Errorf("%s %s: a save after it is not whole: %v", one.object, one.damage, err)
		}
		again.Close(t.Context())
	}
	t.Logf("%d damages of %d objects, %d times told; %d saves after one were refused", n, len(entries), named, refused)
}
