// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"bytes"
	crand "crypto/rand"
	"io"
	"os"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
)

// A device whose save is killed is saved by the next one, and one whose restore is killed is whole,
// still empty, or says that it is neither; the same restore then finishes it.
func TestWorkOnADeviceThatIsKilled(t *testing.T) {
	seldom(t)
	t.Parallel()
	place, source := t.TempDir(), image(t, 32*mega)
	fill(t, source, 24*mega)
	random := dice(t, 9)
	kills, halves := times(t, 2, 100), 0
	moment := func() time.Duration { return time.Duration(random.IntN(int(500 * time.Millisecond))) }
	for range kills {
		scribble(t, source, random.Int64N(31*mega), random.Int64N(31*mega))
		if said := killed(t, moment(), "save a device", place, source); len(said) == 0 {
			halves++
		}
		r := open(t, options(t, place))
		made := saveDevice(t, r, source)
		if v, err := r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil || !v.Proved {
			t.Fatalf("%v: %+v", err, v)
		}
		want, onto := contents(t, source), image(t, 32*mega)
		empty := contents(t, onto)
		if said := killed(t, moment(), "restore to a device", place, onto, made.ID); len(said) == 0 {
			halves++
		}
		if now := contents(t, onto); now != want && now != empty && !marked(t, onto) {
			t.Fatal("a part of a restore lies there for all of it")
		} else if now != want {
			if _, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Device: onto}); err != nil {
				t.Fatal(err)
			}
		}
		if now := contents(t, onto); now != want {
			t.Fatalf("restored %s, want %s", now, want)
		}
	}
	t.Logf("%d times two kills, %d in the middle of the work", kills, halves)
}

// fill writes so many random bytes to the start of a device.
func fill(t *testing.T, path string, size int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.CopyN(file, crand.Reader, size); err != nil {
		t.Fatal(err)
	}
}

// marked tells whether a device says that a restore to it was not finished.
func marked(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	head := make([]byte, 100)
	if _, err := io.ReadFull(file, head); err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(head, []byte("has not been finished"))
}
