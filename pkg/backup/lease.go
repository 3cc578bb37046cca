// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

// A lease is ours while the work lasts.
type lease struct {
	repository *Repository
	use        Use
	stop       context.CancelCauseFunc
	done       chan struct{}
	ended      sync.WaitGroup

	writing sync.Mutex // of its object: an older state never lands on a newer one
	mu      sync.Mutex
	renewed time.Time // by the wall clock, which goes on while a machine sleeps
}

// begin takes a lease, and returns a context that ends when it is lost. Reading goes on without
// one where the bucket lets nobody write: only a prune is then not told of it.
func (r *Repository) begin(ctx context.Context, work, id string) (context.Context, *lease, error) {
	l := &lease{repository: r, done: make(chan struct{})}
	l.use = Use{Work: work, Backup: id, Owner: r.owner(), Since: r.options.Now().UTC(), Lasts: r.lasts().Seconds(), key: usePrefix + rand.Text()}
	err := l.put(ctx)
	if bucket.IsForbidden(err) && (work == useRestore || work == useVerify) {
		r.options.Log.Warn("the bucket may not be written to: a prune does not see who reads", "work", work, "error", err)
		return ctx, nil, nil
	} else if err != nil {
		return ctx, nil, fmt.Errorf("take a lease in %s: %w", r.Place(), err)
	}
	ctx, l.stop = context.WithCancelCause(ctx)
	l.ended.Go(func() { l.renew(ctx) })
	// What is read from now on was there after the lease.
	if err := r.kopia.Refresh(ctx); err != nil {
		return ctx, nil, errors.Join(fmt.Errorf("read the index of %s: %w", r.Place(), err), l.end(ctx))
	}
	return ctx, l, nil
}

func (r *Repository) lasts() time.Duration {
	if r.options.Lease > 0 {
		return r.options.Lease
	}
	return DefaultLease
}

// owner names this process to people.
func (r *Repository) owner() string {
	if r.options.Owner != "" {
		return r.options.Owner
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

func (l *lease) put(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	data, err := json.Marshal(l.use)
	if err != nil {
		return err
	}
	at := l.repository.options.Now().Round(0)
	if err := l.repository.bucket.Put(ctx, l.use.key, data, "application/json"); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = at
	return nil
}

// givesUp tells others whether a prune is about to give up what its plan says.
func (l *lease) givesUp(ctx context.Context, now bool) error {
	l.writing.Lock()
	l.use.GivesUp = now
	l.writing.Unlock()
	return l.put(ctx)
}

// past waits until no prune is giving up what it has looked at for the last time. What was written
// before is seen by each that begins to.
func (l *lease) past(ctx context.Context) error {
	began := l.repository.options.Now()
	for {
		found, err := l.others(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(found, func(u Use) bool { return u.Work == usePrune && u.GivesUp })
		if at < 0 {
			return nil
		}
		if l.repository.options.Now().Sub(began) > longestUse {
			return l.busy(found[at])
		}
		l.repository.options.Log.Info("waiting for a prune to give up what it gives up", "owner", found[at].Owner)
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// held returns ErrLease once the lease may have run out.
func (l *lease) held() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := l.repository.options.Now().Round(0).Sub(l.renewed); since > l.repository.lasts() {
		return fmt.Errorf("%w: it could not be renewed for %s", ErrLease, since.Round(time.Second))
	}
	return nil
}

// renew writes the lease anew until the work ends.
func (l *lease) renew(ctx context.Context) {
	ticker := time.NewTicker(l.repository.lasts() / 5)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := l.held(); err != nil {
			l.stop(err)
			return
		}
		limited, cancel := context.WithTimeout(ctx, l.repository.lasts()/5)
		err := l.put(limited)
		cancel()
		if err != nil && ctx.Err() == nil {
			l.repository.options.Log.Warn("the lease on the repository could not be renewed; trying again", "error", err)
		}
	}
}

// end gives the lease back.
func (l *lease) end(ctx context.Context) error {
	if l == nil {
		return nil
	}
	close(l.done)
	l.ended.Wait()
	l.stop(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return l.repository.bucket.Remove(ctx, l.use.key)
}

// finish ends the lease after work that ended with err, and says so when the work was ended
// because the lease ran out.
func (l *lease) finish(ctx context.Context, err error) error {
	if l == nil {
		return err
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrLease) {
		err = errors.Join(cause, err)
	}
	if ending := l.end(ctx); ending != nil {
		l.repository.options.Log.Warn("the lease on the repository stays until it runs out", "error", ending)
	}
	return err
}

// others returns the leases of others that have not run out, by the bucket's clock: that of
// our own lease, which was written just now. Those that ran out long ago are taken away.
func (l *lease) others(ctx context.Context) ([]Use, error) {
	if err := l.put(ctx); err != nil {
		return nil, err
	}
	own, err := l.repository.bucket.Look(ctx, l.use.key)
	if err != nil {
		return nil, fmt.Errorf("look at the lease in %s: %w", l.repository.Place(), err)
	}
	return l.repository.usesAt(ctx, l.use.key, own.Written)
}

// alone waits until no other does the same work, at most for the time given, and returns all
// others that are at work.
func (l *lease) alone(ctx context.Context, wait time.Duration) ([]Use, error) {
	began := l.repository.options.Now()
	for {
		found, err := l.others(ctx)
		if err != nil {
			return nil, err
		}
		rival := rivalOf(found, l.use.Work)
		if rival == nil {
			return found, nil
		}
		// Withdrawn, so that of two that came at once one can go on.
		if err := l.repository.bucket.Remove(ctx, l.use.key); err != nil {
			return nil, err
		}
		if left := wait - l.repository.options.Now().Sub(began); left <= 0 {
			return nil, l.busy(*rival)
		}
		l.repository.options.Log.Info("waiting for another at work in the repository", "work", rival.Work, "owner", rival.Owner, "lease_left", rival.Left.Round(time.Second))
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// pause waits between two looks: a bucket tells nobody when something changes. Two that
// withdrew from each other do not come back at the same moment.
func pause(ctx context.Context) error {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never fails
	timer := time.NewTimer(500*time.Millisecond + time.Duration(b[0])*8*time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (l *lease) busy(u Use) error {
	return fault.Hint(fmt.Errorf("%s is busy: %s, whose lease lasts %s unless it is renewed", l.repository.Place(), u, u.Left.Round(time.Second)),
		"run it again when that has ended; one that was killed holds nobody up once its lease has run out")
}
