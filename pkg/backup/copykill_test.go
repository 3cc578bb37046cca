// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
)

// Whenever a copy is killed, what shows of it is whole, and a second run finishes it: each backup
// has one copy, proved and on hold as it is itself, and the first repository is as it was.
func TestACopyThatIsKilledIsFinished(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	from := open(t, options(t, place))
	var made []release.Backup
	for range 3 {
		some(t, source, 40, 8<<20)
		made = append(made, proved(t, from, source))
	}
	_, err := from.Hold(t.Context(), made[1].ID, "an audit")
	check(err)
	random := dice(t, 11)
	kills, halves, there := times(t, 2, 100), 0, 0
	target := ""
	for i := range kills {
		if i%3 == 0 { // else on top of what the kills before left
			target = filepath.Join(t.TempDir(), "copied")
		}
		if len(killed(t, time.Duration(random.IntN(int(700*time.Millisecond))), "copy", place, target)) == 0 {
			halves++
		}
		// Its lease would hold the next one up for five minutes.
		check(os.RemoveAll(filepath.Join(target, "knowngood", "use")))
		to := other(t, target)
		found := ids(t, to)
		if there += len(found); len(found) > 0 && len(found) < len(made) {
			t.Logf("killed with %d of %d copies there", len(found), len(made))
		}
		for _, id := range found {
			if _, err := to.Verify(t.Context(), backup.Proof{ID: id, Scratch: t.TempDir()}); err != nil {
				t.Errorf("half a copy shows: %v", err)
			}
		}
		if i%3 != 2 && i != kills-1 {
			continue
		}
		did, err := from.CopyTo(t.Context(), to)
		if err != nil || did.Backups != len(made) || did.Resent != 0 || did.Proved != len(made) || did.Held != 1 {
			t.Fatalf("%+v, %v", did, err)
		}
		all, err := other(t, target).List(t.Context(), backup.Query{})
		if err != nil || len(all) != len(made) {
			t.Fatalf("%d copies of %d backups, %v", len(all), len(made), err)
		}
		for _, one := range all {
			if held := one.CopyOf == made[1].ID; one.Verified == nil || !one.Verified.Proved || held != (one.Hold != nil) || held && !strings.Contains(one.Hold.Reason, "audit") {
				t.Errorf("%+v", one)
			}
		}
		whole(t, other(t, target), all)
	}
	t.Logf("%d kills, %d in the middle of a copy; %d copies were there after one", kills, halves, there)
	whole(t, open(t, options(t, place)), made)
}
