// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Request says what is saved.
type Request struct {
	// Folder is the folder whose content is saved, or Device the raw block device, or an image of
	// one; Label says of what it is the content.
	Folder, Device string
	Label          Label
	// Checkpoint is how often what was uploaded so far is kept for the next run, should this
	// one be killed. Zero means DefaultCheckpoint.
	Checkpoint time.Duration
	// Limit is how long the save may take. Zero means DefaultLimit.
	Limit time.Duration
}

// DefaultLimit is how long a save may take.
const DefaultLimit = 24 * time.Hour

// DefaultCheckpoint is how often a save keeps what it has uploaded so far.
const DefaultCheckpoint = 5 * time.Minute

// endTime is how long a save that was cancelled may take to keep what it has uploaded.
const endTime = 30 * time.Second

// from is where the content is read.
func (q Request) from() string { return cmp.Or(q.Device, q.Folder) }

// Save backs a folder or a device up. It returns the backup together with an error of status Partial when
// the backup is made and lacks the content of some files, or holds files that changed while
// they were read: they are named in it. After any other error there is no backup, and what was
// uploaded until then is used by the next Save of the same volume.
func (r *Repository) Save(ctx context.Context, q Request) (release.Backup, error) {
	made := release.Backup{
		App: q.Label.App, Environment: q.Label.Environment, Commit: q.Label.Commit, Run: q.Label.Run,
		Volume: q.Label.Volume, Device: q.Device != "", Taken: r.options.Now(),
	}
	q.Label.Device = made.Device
	limit := cmp.Or(q.Limit, DefaultLimit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it is not done after %s", limit))
	defer cancel()
	if err := r.ready(ctx, q); err != nil {
		return made, err
	}
	ctx, held, err := r.begin(ctx, useSave, "")
	if err != nil {
		return made, err
	}
	err = held.finish(ctx, r.attempt(ctx, q, &made, held))
	made.Seconds = r.options.Now().Sub(made.Taken).Seconds()
	if err = errors.Join(err, r.failed()); err != nil {
		return made, r.unsaved(ctx, q, err)
	}
	return made, incomplete(made)
}

// outliving returns a context for kopia's calls, which outlive a cancelled ctx for a while: cut
// short they would lose what was uploaded.
func outliving(ctx context.Context) (alive context.Context, stop func()) {
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(endTime, cancel) })
	return alive, func() { forget(); cancel() }
}

// incomplete returns an error of status Partial for a backup that lacks something.
func incomplete(b release.Backup) error {
	var lacks []string
	if b.Unread > 0 {
		lacks = append(lacks, fmt.Sprintf("%d could not be read", b.Unread))
	}
	if b.Torn > 0 {
		lacks = append(lacks, fmt.Sprintf("%d changed while they were read", b.Torn))
	}
	if len(lacks) == 0 {
		return nil
	}
	err := fault.Exit(fault.Partial, fmt.Errorf("backup %s of %s is made, and of its entries %s: %s",
		b.ID, b.Volume, strings.Join(lacks, " and "), strings.Join(b.Lacking, ", ")))
	return fault.Hint(err, "save as a user who may read all of it, from a snapshot or while nothing writes to it")
}

// A saver is one Save at work.
type saver struct {
	repository *Repository
	request    Request
	made       *release.Backup
	kopia      context.Context // for kopia's calls alone
	held       *lease
	began      time.Time
	// copied is of which backup of another repository this is a copy, hold what keeps that one,
	// and ended when it ended.
	copied string
	hold   *release.Hold
	ended  time.Time

	writer repo.DirectRepositoryWriter
	past   *past
	lines  *linesWriter
	tree   *tree
	tally  tally
	used   usedPacks
	// first holds the content of files with several names.
	first map[uint64]*Entry
	seen  map[uint64]bool
	// found is what is known of the file that is walked over.
	found *known
	told  time.Time
	// buffers are what files are read into.
	buffers sync.Pool
}

// ahead is how many entries may wait for their turn in the manifest; some hold a file open.
const ahead = 64

// start opens what a save writes to, and what earlier saves of the volume left.
func (s *saver) start() (end func(), err error) {
	_, writer, err := s.repository.kopia.NewDirectWriter(s.kopia, repo.WriteSessionOptions{
		Purpose: "save", OnUpload: func(n int64) { s.tally.uploaded.Add(n) },
	})
	if err != nil {
		return nil, err
	}
	s.writer = writer
	release := s.repository.packs.keepPages()
	end = func() {
		release()
		if s.lines != nil {
			s.lines.close()
		}
		writer.Close(s.kopia)
	}
	s.first, s.seen = map[uint64]*Entry{}, map[uint64]bool{}
	s.used = usedPacks{}
	s.tree = &tree{ctx: s.kopia, writer: writer, wrote: func(id object.ID) error { return s.used.add(s.kopia, writer, id.String()) }}
	s.told = s.repository.options.Now()
	if s.past, err = s.repository.recall(s.kopia, s.request.Label); err == nil {
		s.lines, err = newLines(s.kopia, writer, header{manifestFormat, s.began, s.request.Label})
	}
	if err != nil {
		end()
	}
	return end, err
}

func (s *saver) save(ctx context.Context) error {
	end, err := s.start()
	if err != nil {
		return err
	}
	defer end()
	bring, estimate := s.all, func() { s.tally.estimate(ctx, s.request.Folder) }
	if s.request.Device != "" {
		bring, estimate = s.device, nil
	} else if s.past.entries > 0 { // most folders are about as large as they were
		s.tally.whole.Store(s.past.bytes)
		s.tally.of.Store(s.past.entries)
		estimate = nil
	}
	stop := s.tally.tell(ctx, s.repository.options, "saving", estimate)
	err = bring(ctx)
	stop()
	if err != nil {
		return errors.Join(err, s.checkpoint())
	}
	return s.finish()
}
