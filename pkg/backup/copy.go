// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sync/errgroup"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Copied says what CopyTo did.
type Copied struct {
	// Backups is how many backups the other repository holds of this one, Before how many of
	// them an earlier copy had brought already.
	Backups int   `json:"backups"`
	Before  int   `json:"before"`
	Bytes   int64 `json:"bytes"`
	Stored  int64 `json:"stored_bytes"`
}

// CopyTo brings every backup into another repository, where it is encrypted under that one's
// own master key, and proves it by reading all of it back. This repository stays as it is. A
// copy that was cut short is finished by another: what has arrived is not sent again. Nothing
// but backups is copied: neither verifications, which proved the other copy, nor holds.
//
// The id of a copy is a new one; Find knows it by the old one too. A backup that is damaged is
// not copied, and is an error of ErrDamaged that names it and comes after all others are.
func (r *Repository) CopyTo(ctx context.Context, to *Repository) (Copied, error) {
	var w copying
	if string(r.kopia.UniqueID()) == string(to.kopia.UniqueID()) {
		return w.did, fmt.Errorf("copy %s to %s: they are one repository", r.Place(), to.Place())
	}
	if err := to.tellClock(ctx); err != nil {
		return w.did, err
	}
	ctx, reads, err := r.begin(ctx, useRestore, "")
	if err != nil {
		return w.did, err
	}
	ctx, w.held, err = to.begin(ctx, useSave, "")
	if err == nil {
		err = w.held.finish(ctx, r.copyEach(ctx, to, &w))
	}
	return w.did, reads.finish(ctx, err)
}

// A copying is one CopyTo at work.
type copying struct {
	did Copied
	// held is the lease on the repository that is written to.
	held *lease
	// label and proved are of which volume a copy was proved last, and its id: what it shares
	// with the next needs no second proof.
	label  Label
	proved string
}

func (r *Repository) copyEach(ctx context.Context, to *Repository, w *copying) error {
	all, err := r.List(ctx, Query{})
	if err != nil && len(all) == 0 {
		return err
	}
	errs := []error{err}
	// Each after the one before it of the same volume, with which it shares most.
	slices.SortStableFunc(all, func(a, b release.Backup) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Volume, b.Volume), a.Taken.Compare(b.Taken))
	})
	for i, b := range all {
		r.options.Log.Info("copying a backup", "backup", b.ID, "taken", b.Taken, "volume", b.Volume, "number", i+1, "of", len(all))
		err := r.copyAndProve(ctx, to, b, w)
		switch {
		case err == nil:
			w.did.Backups++
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			err = fmt.Errorf("copy backup %s to %s: %w", b.ID, to.Place(), err)
			if !errors.Is(err, ErrDamaged) {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (r *Repository) copyAndProve(ctx context.Context, to *Repository, b release.Backup, w *copying) error {
	id, copied, err := to.copyOf(ctx, b.ID)
	switch {
	case err != nil:
		return err
	case copied:
		w.did.Before++
	default:
		if id, err = r.copyOne(ctx, to, b, w); err != nil {
			return err
		}
	}
	if label := (Label{App: b.App, Environment: b.Environment, Volume: b.Volume}); w.label != label {
		w.label, w.proved = label, ""
	}
	if err := to.readBack(ctx, id, w.proved); err != nil {
		return err
	}
	w.proved = id
	return nil
}

// tagCopied names the backup that one is a copy of.
const tagCopied = "tag:copied-from"

// copyOf returns the copy of a backup, where there is one.
func (r *Repository) copyOf(ctx context.Context, id string) (string, bool, error) {
	notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType, tagCopied: id})
	if err != nil || len(notes) == 0 {
		return "", false, err
	}
	return string(notes[0].ID), true, nil
}

// copyOne copies one backup and returns the id of its copy.
func (r *Repository) copyOne(ctx context.Context, to *Repository, b release.Backup, w *copying) (string, error) {
	lines, in, err := r.manifestOf(ctx, b.ID)
	if err != nil {
		return "", err
	}
	defer in.Close()
	r.packs.keep(cacheBytes)
	defer r.packs.keep(0)
	made := release.Backup{Commit: b.Commit, Run: b.Run}
	alive, over := outliving(ctx)
	defer over()
	s := &saver{
		repository: to, request: Request{Label: lines.Header.Label}, made: &made, kopia: alive, began: lines.Header.Began,
		held: w.held, copied: b.ID, ended: b.Taken.Add(time.Duration(b.Seconds * float64(time.Second))),
	}
	end, err := s.start()
	if err != nil {
		return "", err
	}
	defer end()
	s.tally.whole.Store(b.Bytes)
	s.tally.of.Store(b.Entries)
	stop := s.tally.tell(ctx, to.options, "copying", nil)
	err = s.copyAll(ctx, r, lines)
	stop()
	if err != nil {
		return "", errors.Join(err, s.checkpoint())
	}
	if err := s.finish(); err != nil {
		return "", err
	}
	w.did.Bytes += made.Bytes
	w.did.Stored += made.Stored
	return made.ID, to.kopia.Refresh(ctx)
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
			return err
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
		id, err := object.ParseID(old.Object)
		if err != nil {
			continue
		}
		if _, err := s.repository.kopia.VerifyObject(s.kopia, id); err == nil {
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
	writer := s.writer.NewObjectWriter(s.kopia, object.WriterOptions{Compressor: compressor, MetadataCompressor: compressor})
	defer writer.Close()
	if err := readWhole(ctx, from.kopia, e, io.MultiWriter(writer, counter{&s.tally})); err != nil {
		return err
	}
	id, err := writer.Result()
	if err == nil {
		e.Object = id.String()
	}
	return err
}
