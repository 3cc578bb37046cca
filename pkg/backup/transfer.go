// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/knowngood/knowngood/pkg/release"
)

// original is an error of the backup that is copied, not of its copy.
type original struct{ error }

// Unwrap returns what it is about.
func (o original) Unwrap() error { return o.error }

// copyOne copies one backup and returns the id of its copy.
func (w *copying) copyOne(ctx context.Context, b release.Backup) (string, error) {
	lines, in, err := w.from.manifestOf(ctx, b.ID)
	if err != nil {
		return "", original{err}
	}
	defer in.Close()
	w.from.packs.keep(cacheBytes)
	defer w.from.packs.keep(0)
	made := release.Backup{Commit: b.Commit, Run: b.Run}
	alive, over := outliving(ctx)
	defer over()
	s := &saver{
		repository: w.to, request: Request{Label: lines.Header.Label}, made: &made, kopia: alive, began: lines.Header.Began,
		held: w.held, copied: b.ID, hold: b.Hold, ended: b.Taken.Add(time.Duration(b.Seconds * float64(time.Second))),
	}
	end, err := s.start()
	if err != nil {
		return "", err
	}
	defer end()
	s.tally.whole.Store(b.Bytes)
	s.tally.of.Store(b.Entries)
	stop := s.tally.tell(ctx, w.to.options, "copying", nil)
	err = s.copyAll(ctx, w.from, lines)
	stop()
	if err != nil {
		return "", errors.Join(err, s.checkpoint())
	}
	if err := s.finish(); err != nil {
		return "", err
	}
	w.did.Bytes += made.Bytes
	w.did.Stored += made.Stored
	return made.ID, w.to.kopia.Refresh(ctx)
}

// copyAll brings the entries of a manifest over: one goroutine reads it, some copy contents, one
// writes the new manifest in the same order.
func (s *saver) copyAll(ctx context.Context, from *Repository, lines *lines) error {
	group, ctx := errgroup.WithContext(ctx)
	work, queue := make(chan *job, ahead), make(chan *job, ahead)
	group.Go(func() error {
		defer close(work)
		defer close(queue)
		return s.each(ctx, lines, work, queue)
	})
	for range min(max(runtime.GOMAXPROCS(0), 2), 8) {
		group.Go(func() error {
			for j := range work {
				if err := s.transfer(ctx, from, j.entry); err != nil {
					return fmt.Errorf("%q: %w", j.entry.Path, err)
				}
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error { return s.collect(ctx, queue) })
	return group.Wait()
}

// each queues the entries of a manifest, and for work those whose content has to be copied.
func (s *saver) each(ctx context.Context, lines *lines, work, queue chan<- *job) error {
	for {
		e, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return original{err}
		}
		j := &job{entry: e, done: make(chan struct{})}
		to := []chan<- *job{queue}
		if known, err := s.arrived(e); err != nil {
			return err
		} else if known {
			close(j.done)
		} else {
			to = []chan<- *job{work, queue}
		}
		for _, channel := range to {
			select {
			case channel <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// arrived tells whether an entry needs no content, or one that is there already: of another
// name of the file, of the copy before, or of a copy that was cut short.
func (s *saver) arrived(e *Entry) (bool, error) {
	if e.Kind != File || e.Object == "" {
		return true, nil
	}
	if e.Link != 0 {
		if s.seen[e.Link] {
			return true, nil
		}
		s.seen[e.Link] = true
	}
	for _, t := range s.past.tracks {
		old := t.at(e.Path)
		if old == nil || old.Object == "" || old.SHA256 != e.SHA256 || old.Size != e.Size {
			continue
		}
		if contents, err := contentsOf(s.kopia, s.repository.kopia, old.Object); err == nil && !slices.ContainsFunc(contents, isMarked) {
			e.Object = old.Object
			s.tally.reused.Add(1)
			s.tally.passed.Add(e.Size)
			return true, nil
		}
	}
	return false, s.kopia.Err()
}

// transfer copies the content of a file, which has to be what the manifest says.
func (s *saver) transfer(ctx context.Context, from *Repository, e *Entry) error {
	writer := s.writer.NewObjectWriter(s.kopia, packing(e, s.request.Label.Device))
	defer writer.Close()
	if err := readWhole(ctx, from.kopia, e, io.MultiWriter(writer, counter{&s.tally})); err != nil {
		return original{err}
	}
	id, err := writer.Result()
	if err == nil {
		e.Object = id.String()
	}
	return err
}
