// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// A job is an entry on its way into the manifest.
type job struct {
	entry *Entry
	file  *os.File      // nil where nothing has to be read
	found *known        // of a file with one name that is as it was
	done  chan struct{} // nil where nothing has to be waited for
}

// all brings the folder into the repository: one goroutine walks, some read files, one writes
// the manifest in the order of the walk.
func (s *saver) all(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	reads, queue := make(chan *job, ahead), make(chan *job, ahead)
	group.Go(func() error {
		defer close(reads)
		defer close(queue)
		w := &walker{gone: s.gone, spares: s.recognise, visit: func(in *os.File, e *Entry) error { return s.send(ctx, in, e, reads, queue) }}
		return w.walk(ctx, s.request.Folder)
	})
	for range min(max(runtime.GOMAXPROCS(0), 2), 8) {
		group.Go(func() error {
			for j := range reads {
				err := s.read(ctx, j)
				if j.file.Close(); err != nil {
					return err
				}
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error { return s.collect(ctx, queue) })
	err := group.Wait()
	for j := range reads { // those that nobody read after an error
		j.file.Close()
	}
	return err
}

func (s *saver) collect(ctx context.Context, queue <-chan *job) error {
	for j := range queue {
		if j.done != nil {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := s.keep(j); err != nil {
			return err
		}
		if err := s.repository.failed(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// send decides whether an entry's content has to be read, and queues it.
func (s *saver) send(ctx context.Context, in *os.File, e *Entry, reads, queue chan<- *job) error {
	j := &job{entry: e}
	if err := s.prepare(in, j); err != nil {
		return err
	}
	if j.file != nil {
		j.done = make(chan struct{})
		select {
		case reads <- j:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), j.file.Close())
		}
	}
	select {
	case queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *saver) prepare(in *os.File, j *job) error {
	e := j.entry
	if e.Kind != File || e.Unread != "" {
		return nil
	}
	if e.Link != 0 {
		if s.seen[e.Link] {
			return nil // the first of its names brings the content
		}
		s.seen[e.Link] = true
	}
	found := s.found
	if e.Link != 0 {
		var err error
		if found, err = s.past.find(s.kopia, s.repository, e); err != nil {
			return err
		}
	} else {
		j.found = found
	}
	if found != nil {
		e.SHA256, e.Object, e.Extents = found.entry.SHA256, found.entry.Object, found.entry.Extents
		s.tally.reused.Add(1)
		s.tally.passed.Add(e.Size)
		return nil
	}
	var err error
	if j.file, err = openFile(in, e); err != nil {
		e.Unread = reason(err)
		e.Xattrs, _ = xattrs(throughParent(in, e.base())) // that the file cannot be read is told already
		return nil
	}
	if e.Xattrs, err = opened(int(j.file.Fd())).all(""); err != nil {
		e.Unread = reason(err)
		_ = j.file.Close()
		j.file = nil
	}
	return nil
}

// recognise finds what is known of a file with one name. That has its attributes too: a change of
// them changes a file's ctime. Those of other files are read when they are open.
func (s *saver) recognise(e *Entry) (bool, error) {
	s.found = nil
	if e.Link != 0 {
		return false, nil // another name may have another number in the manifest
	}
	var err error
	s.found, err = s.past.find(s.kopia, s.repository, e)
	if s.found != nil {
		e.Xattrs = s.found.entry.Xattrs
	}
	return true, err
}

// gone tells an entry that went away while the folder was read: as if it had gone before.
func (s *saver) gone(path Name) {
	s.repository.options.Log.Debug("went away while the folder was read", "path", string(path))
}
