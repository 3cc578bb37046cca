// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/format"
)

// setsUpOnce lets several set one repository up at once: one does, the others use it, and the
// key opens what is there.
func setsUpOnce(t *testing.T, st *storage, place string) {
	const writers = 2
	var said lockedBuffer
	o := Options{
		Place: place, Password: "a key that only the tests know", App: "shop", Environment: "none",
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&said, nil)), Setup: true,
	}
	var all sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		all.Go(func() { errs[i] = setUp(t.Context(), st, o) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	made, used := strings.Count(said.String(), `"repository set up"`), strings.Count(said.String(), "another process has set the repository up")
	if made != 1 || used != writers-1 {
		t.Errorf("%d set it up, %d used it:\n%s", made, used, said.String())
	}
	r := &Repository{options: o, bucket: st.bucket, handle: "contest" + t.Name()}
	if err := r.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.kopia.Close(t.Context())
	if err := r.unchanged(t.Context()); err != nil {
		t.Error(err)
	}
	// A second one is never set up over it.
	if err := st.bucket.PutNew(t.Context(), format.KopiaRepositoryBlobID, []byte("another"), contentType); err == nil {
		t.Error("the repository is overwritten")
	}
	if err := r.unchanged(t.Context()); err != nil {
		t.Error(err)
	}
}

// tellsSkew sets this machine's clock back and forth: the difference is told with its number.
func tellsSkew(t *testing.T, st *storage) {
	for _, ahead := range []time.Duration{-7 * time.Minute, 0, 7 * time.Minute} {
		var said lockedBuffer
		r := &Repository{bucket: st.bucket, options: Options{
			Now: func() time.Time { return time.Now().Add(-ahead) }, Log: slog.New(slog.NewTextHandler(&said, nil)),
		}}
		began := time.Now()
		found, err := r.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		skew := time.Duration(found.Ahead * float64(time.Second))
		if within := 2*time.Second + time.Since(began); (skew - ahead).Abs() > within {
			t.Errorf("ahead by %v, want %v within %v", skew, ahead, within)
		}
		warned := strings.Contains(said.String(), "level=WARN") && strings.Contains(said.String(), "this machine's: set the one that is wrong")
		if warned != (ahead != 0) || !strings.Contains(said.String(), "bucket_ahead=") || !found.Deletes {
			t.Errorf("ahead by %v, %+v: %s", ahead, found, said.String())
		}
		if again, err := r.Probe(t.Context()); err != nil || again.Ahead != found.Ahead {
			t.Errorf("a second probe: %+v, %v", again, err)
		}
		for left, err := range st.bucket.Objects(t.Context(), ownPrefix+"probe-") {
			t.Errorf("a probe leaves %s behind, %v", left.Key, err)
		}
	}
}

// A lockedBuffer takes what several say at once.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// String returns all of it.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
