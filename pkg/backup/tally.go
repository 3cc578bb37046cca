// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// A tally counts what a save or a restore has done so far.
type tally struct {
	entries  atomic.Int64
	reused   atomic.Int64
	bytes    atomic.Int64 // read, or written to the disk
	uploaded atomic.Int64
	// passed is how many bytes need not be read, because they are known.
	passed atomic.Int64
	// of is how many entries there are, and whole how many bytes; 0 while it is not known.
	of, whole atomic.Int64
}

// perEntry is how many bytes are as much work as an entry is beside them.
const perEntry = 16 << 10

// work returns how much is done, and of how much; 0 of 0 while that is not known.
func (t *tally) work() (done, of int64) {
	if t.of.Load() == 0 {
		return 0, 0
	}
	of = t.of.Load()*perEntry + t.whole.Load()
	return min(t.entries.Load()*perEntry+t.bytes.Load()+t.passed.Load(), of), of
}

// heartbeat is how often progress is told, and patience after how many heartbeats it is worth
// another walk to know how much is left.
const (
	heartbeat = time.Second
	patience  = 5
)

// tell tells how the work goes on until stop is called. estimate, which may be nil, runs
// beside it unless the work is done soon.
func (t *tally) tell(ctx context.Context, o Options, verb string, estimate func()) (stop func()) {
	began := o.Now()
	done := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for beats := 1; ; beats++ {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-ticker.C:
				if beats == patience && estimate != nil {
					both.Go(estimate)
				}
				o.Log.Info(verb, t.attributes(o.Now().Sub(began))...) //nolint:sloglint // one of a few constant words
			}
		}
	})
	return func() { close(done) }
}

// attributes are in the order of what a person asks first: a narrow terminal cuts the last ones.
func (t *tally) attributes(spent time.Duration) []any {
	entries, bytes := t.entries.Load(), t.bytes.Load()
	done, of := t.work()
	var attributes []any
	if of > 0 {
		attributes = append(attributes, "percent", int64(100*float64(done)/float64(of)))
	}
	if of > done && done > 0 {
		left := time.Duration(float64(spent) * float64(of-done) / float64(done))
		attributes = append(attributes, "left", left.Round(time.Second))
	}
	rate := int64(float64(bytes) / max(spent.Seconds(), 0.001))
	attributes = append(attributes, "read", mega(bytes), "rate", mega(rate)+"/s", "entries", entries)
	if n := t.uploaded.Load(); n > 0 {
		attributes = append(attributes, "uploaded", mega(n))
	}
	return attributes
}

// mega tells of small amounts the tenths, which of large ones nobody reads.
func mega(bytes int64) string {
	if bytes >= 100e6 {
		return fmt.Sprintf("%.0fMB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1fMB", float64(bytes)/1e6)
}

// estimate counts the entries of a folder and their bytes. What it cannot read the save will tell.
func (t *tally) estimate(ctx context.Context, folder string) {
	var n, bytes int64
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil {
			n++
		}
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return ctx.Err()
	})
	t.whole.Store(bytes)
	t.of.Store(n)
}
