// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/kopia/kopia/repo/manifest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// A Target says what is restored, and where to.
type Target struct {
	ID string
	// Folder is where files are put, and the image of a device; Device a raw block device, or an
	// image of one, onto which a backup of a device is written.
	Folder, Device string
	// Overwrite lets a folder that is not empty be replaced, and a device. What a folder held is
	// deleted once the backup lies there whole, what a device held as soon as it is written to.
	Overwrite bool
}

// to is where the target lies.
func (t Target) to() string { return cmp.Or(t.Device, t.Folder) }

// A Restored is what a restore did.
type Restored struct {
	Entries int64   `json:"entries"`
	Files   int64   `json:"files"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	// Differs counts what could not be put back as it was, e.g. the owner where the user of
	// this process may not give files away; Differences names some of it.
	Differs     int64    `json:"differs"`
	Differences []string `json:"differences,omitempty"`
	// denied is true when some of it takes root to put back.
	denied bool
}

const (
	// cacheBytes is how much of the packs a restore keeps in memory.
	cacheBytes = 64 << 20
	// heapBytes is from where on the collector works harder while a restore runs: small files
	// leave more garbage than data.
	heapBytes = 180 << 20
)

// Restore puts a backup into a folder, which it makes where there is none. The folder shows
// the backup whole or not at all: all of it is first put into a folder of its own inside, and
// moved from there when it is complete. A restore that was killed before is begun anew; one
// that was killed while it moved is finished.
//
// An error of status Partial comes with a restore that is in place and is not in all as it
// was. A file whose content is not what it was is ErrDamaged, and nothing is put in place.
func (r *Repository) Restore(ctx context.Context, t Target) (Restored, error) {
	ctx, held, err := r.begin(ctx, useRestore, t.ID)
	if err != nil {
		return Restored{}, err
	}
	result, err := r.bring(ctx, t)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = fault.Hint(err, "give a folder with room for the whole backup")
	}
	return result, held.finish(ctx, err)
}

// bring is Restore under a lease.
func (r *Repository) bring(ctx context.Context, t Target) (Restored, error) {
	began := r.options.Now()
	restore := r.restore
	if t.Device != "" {
		restore = r.restoreDevice
	}
	result, err := restore(ctx, t)
	result.Seconds = r.options.Now().Sub(began).Seconds()
	if ctx.Err() != nil && errors.Is(err, ErrDamaged) {
		err = ctx.Err() // what was not read any more is not damaged
	}
	if err = errors.Join(err, r.failed()); err != nil {
		return result, fmt.Errorf("restore backup %s to %s: %w", t.ID, t.to(), err)
	}
	if result.Differs > 0 {
		err = fault.Exit(fault.Partial, fmt.Errorf("backup %s is in %s, and %d things are not as they were: %s",
			t.ID, t.to(), result.Differs, strings.Join(result.Differences, "; ")))
		if result.denied {
			err = fault.Hint(err, "restore as root to give files back to their owners")
		}
	}
	return result, err
}

func (r *Repository) restore(ctx context.Context, t Target) (Restored, error) {
	place, err := claim(t)
	if err != nil {
		return Restored{}, err
	}
	defer place.close()
	w := &restorer{ctx: ctx, repository: r, first: map[uint64]Name{}}
	if !place.moving {
		if err := w.fill(place); err != nil {
			return w.result, errors.Join(err, place.discard())
		}
	}
	top, err := r.topOf(ctx, t.ID)
	if err != nil {
		return w.result, err
	}
	if err := place.move(); err != nil {
		return w.result, err
	}
	// Taking the staging folder away needs a mode that allows it, and changes the times.
	within := *top
	within.Mode |= 0o700
	(&restorer{}).finish(place.folder, &within)
	if err := place.discard(); err != nil {
		return w.result, err
	}
	w.finish(place.folder, top)
	return w.result, nil
}

// A restorer is one Restore at work.
type restorer struct {
	ctx        context.Context
	repository *Repository
	tally      tally
	root       *os.File // of the folder that is filled
	open       []openFolder
	// first holds the first name of files with several.
	first map[uint64]Name

	mu      sync.Mutex
	result  Restored
	damaged []error
	// buffers are what files are copied through.
	buffers sync.Pool
}

// An openFolder is a folder that is being filled. Its times and its mode come last: both
// change, or hinder, while it is filled.
type openFolder struct {
	entry *Entry
	file  *os.File
}

// fill puts all entries into the staging folder.
func (w *restorer) fill(p *placement) error {
	defer w.repository.frugal()()
	lines, in, err := w.repository.manifestOf(w.ctx, p.target.ID)
	if err != nil {
		return err
	}
	defer in.Close()
	w.root = p.tree
	known, err := w.repository.load(w.ctx, manifest.ID(p.target.ID))
	if err != nil {
		return err
	}
	w.tally.whole.Store(known.Bytes)
	w.tally.of.Store(known.Entries)
	defer w.tally.tell(w.ctx, w.repository.options, "restoring", nil)()
	group, ctx := errgroup.WithContext(w.ctx)
	contents := make(chan pending, ahead)
	group.Go(func() error {
		defer close(contents)
		return w.entries(ctx, lines, contents)
	})
	for range min(max(runtime.GOMAXPROCS(0), 2), 8) {
		group.Go(func() error {
			for c := range contents {
				if err := w.write(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	for c := range contents {
		c.file.Close()
	}
	for _, f := range w.open {
		f.file.Close()
	}
	if err == nil {
		err = w.verdict()
	}
	return err
}

// mostDamaged is how many damaged files an error names.
const mostDamaged = 20

// verdict is the error of all files that are damaged.
func (w *restorer) verdict() error {
	if len(w.damaged) == 0 {
		return nil
	}
	named := w.damaged
	if len(named) > mostDamaged {
		named = append(named[:mostDamaged:mostDamaged], fmt.Errorf("and %d more", len(w.damaged)-mostDamaged))
	}
	return fault.Hint(fmt.Errorf("%w: %w", ErrDamaged, errors.Join(named...)), "restore an older backup: knowngood backup list shows them")
}

// A pending is a file that waits for its bytes.
type pending struct {
	entry *Entry
	file  *os.File
}

// entries makes all entries in the order of the manifest, and hands files on.
func (w *restorer) entries(ctx context.Context, lines *lines, contents chan<- pending) error {
	for {
		e, err := lines.next()
		if errors.Is(err, io.EOF) {
			return w.leave(0)
		} else if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		w.tally.entries.Add(1)
		w.mu.Lock()
		w.result.Entries++
		w.mu.Unlock()
		file, err := w.make(e)
		if err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
		if file == nil {
			continue
		}
		select {
		case contents <- pending{e, file}:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), file.Close())
		}
	}
}

// differs notes that something could not be put back as it was.
func (w *restorer) differs(e *Entry, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Differs++
	w.result.denied = w.result.denied || errors.Is(err, unix.EPERM) && os.Geteuid() != 0
	if len(w.result.Differences) < mostLacking {
		w.result.Differences = append(w.result.Differences, fmt.Sprintf("%q: %v", e.Path, err))
	}
}
