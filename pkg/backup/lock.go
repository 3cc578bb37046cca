// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sync/errgroup"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// A Lock asks that what is written cannot be deleted for a time, not even by who has the
// bucket's credentials.
type Lock struct {
	For time.Duration
	// Strict locks nobody can lift before their time; others can be lifted by who may.
	Strict bool
}

// locks are those of one repository.
type locks struct {
	bucket *bucket.Bucket
	wanted Lock
	now    func() time.Time
	// least is what a copy needs that is being made, whatever is wanted otherwise; nil is none.
	least atomic.Pointer[bucket.Lock]

	mu     sync.Mutex
	spared spared
}

// spared are the objects that were not deleted because they are locked.
type spared struct {
	objects int64
	// packs and bytes are those among them that maintenance counts as deleted.
	packs, bytes int64
	// until is when the last of their locks ends.
	until time.Time
}

// forget returns what was spared since it was asked before.
func (l *locks) forget() spared {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.spared
	l.spared = spared{}
	return all
}

// lockable tells the objects that hold backups: packs and indexes. Others are written again
// and again, and a lock would only keep what they were.
func lockable(id blob.ID) bool {
	switch id[0] {
	case 'p', 'q', 'x', 'n':
		return true
	}
	return false
}

// until is to when what is written now is locked.
func (l *locks) until() bucket.Lock {
	lock := bucket.Lock{Until: l.now().Add(l.wanted.For).UTC().Truncate(time.Second), Strict: l.wanted.Strict}
	if least := l.least.Load(); least != nil {
		if lock.Strict = lock.Strict || least.Strict; least.Until.After(lock.Until) {
			lock.Until = least.Until
		}
	}
	return lock
}

// locking tells whether what is written now is to be locked.
func (l *locks) locking() bool {
	if l == nil {
		return false
	}
	least := l.least.Load()
	return l.wanted.For > 0 || least != nil && least.Until.After(l.now())
}

// wants tells whether an object is to be locked.
func (l *locks) wants(id blob.ID) bool { return lockable(id) && l.locking() }

// spare tells whether an object has to stay because it is locked. Where a bucket keeps versions
// its deletion would succeed, free nothing, and hide what the lock is to keep.
func (l *locks) spare(ctx context.Context, id blob.ID) (bool, error) {
	if l == nil || !lockable(id) {
		return false, nil
	}
	lock, err := l.bucket.Locked(ctx, string(id))
	if err != nil || !lock.Until.After(l.now()) {
		return false, err
	}
	found, err := l.bucket.Look(ctx, string(id))
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spared.objects++; id[0] == 'p' || id[0] == 'q' {
		l.spared.packs++
		l.spared.bytes += found.Size
	}
	if lock.Until.After(l.spared.until) {
		l.spared.until = lock.Until
	}
	return true, nil
}

// lockers is how many objects are looked at, or locked, at the same time.
const lockers = 16

// extend makes the locks of objects last as long as those of what is written now, unless they
// last for at least the time given. It returns how many it made last longer.
func (l *locks) extend(ctx context.Context, ids []blob.ID, least time.Duration) (int64, error) {
	var extended atomic.Int64
	until := l.until()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lockers)
	for _, id := range ids {
		group.Go(func() error {
			lock, err := l.bucket.Locked(ctx, string(id))
			if err != nil {
				return fmt.Errorf("look at the lock of %s: %w", id, err)
			}
			if lock.Until.After(l.now().Add(least)) {
				return nil
			}
			until := until
			until.Strict = until.Strict || lock.Strict // one that is strict cannot be made less so
			extended.Add(1)
			return l.bucket.Lock(ctx, string(id), until)
		})
	}
	err := group.Wait()
	return extended.Load(), err
}

// tagLocked says until when all that a backup needs is locked.
const tagLocked = "tag:locked"

// lockedTags locks all that the backup counts on for as long as what was written for it, and
// returns its tags, which say until when.
func (s *saver) lockedTags() (map[string]string, error) {
	tags, l := s.tags(), s.repository.locks
	if !l.locking() {
		return tags, nil
	}
	until := s.began.Add(l.wanted.For).UTC().Truncate(time.Second)
	if !s.ended.IsZero() { // a copy of a backup that was taken before
		until = l.until().Until
	}
	var ids []blob.ID
	for id := range s.used {
		if id != "" {
			ids = append(ids, id)
		}
	}
	if _, err := l.extend(s.kopia, ids, until.Sub(l.now())-time.Second); err != nil {
		return nil, err
	}
	tags[tagLocked] = until.Format(time.RFC3339)
	return tags, nil
}

// lockedUntil returns until when each backup is locked that is.
func (r *Repository) lockedUntil(ctx context.Context) (map[string]time.Time, error) {
	notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType})
	if err != nil {
		return nil, err
	}
	found := map[string]time.Time{}
	for _, note := range notes {
		text := note.Labels[tagLocked]
		if text == "" {
			continue
		}
		until, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("until when backup %s is locked: %w", note.ID, err)
		}
		if until.After(r.options.Now()) {
			found[string(note.ID)] = until
		}
	}
	return found, nil
}

// prolong makes the locks of all packs and indexes last, where locks are wanted and less than
// half of their time is left.
func (r *Repository) prolong(ctx context.Context) (int64, error) {
	if r.locks.wanted.For == 0 {
		return 0, nil
	}
	var ids []blob.ID
	for _, prefix := range []string{"p", "q", "x", "n"} {
		objects, err := r.objects(ctx, prefix)
		if err != nil {
			return 0, err
		}
		for _, object := range objects {
			ids = append(ids, blob.ID(object.Key))
		}
	}
	n, err := r.locks.extend(ctx, ids, r.locks.wanted.For/2)
	if err != nil {
		return n, fmt.Errorf("make the locks last: %w", err)
	}
	return n, nil
}

// ready refuses locks that the bucket does not keep.
func (l *locks) ready(ctx context.Context) error {
	if l.wanted.For == 0 {
		return nil
	}
	return l.bucket.KeepsLocks(ctx)
}
