// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/fault"
)

// mostLacking is how many names of entries that a backup lacks are told.
const mostLacking = 20

// keep writes an entry into the manifest and into kopia's tree.
func (s *saver) keep(j *job) error {
	e := j.entry
	if e.Kind == File && e.Link != 0 {
		if first := s.first[e.Link]; first != nil {
			e.Size, e.SHA256, e.Object, e.Sparse, e.Extents = first.Size, first.SHA256, first.Object, first.Sparse, first.Extents
			e.Unread, e.Torn = first.Unread, first.Torn
		} else {
			s.first[e.Link] = e
		}
	}
	if e.Unread != "" {
		s.made.Unread++
		s.lacking(e.Path, e.Unread)
	}
	if e.Torn {
		s.made.Torn++
		s.lacking(e.Path, "changed while it was read")
	}
	if e.Unread != "" && e.Kind == File {
		e.Size, e.SHA256, e.Object, e.Sparse, e.Extents = 0, "", "", false, nil
	}
	if err := s.line(j); err != nil {
		return fmt.Errorf("%q: %w", e.Path, err)
	}
	if err := s.tree.add(e); err != nil {
		return err
	}
	s.tally.entries.Add(1)
	return s.due()
}

// due keeps what was uploaded so far where that has not been done for a while.
func (s *saver) due() error {
	now := s.repository.options.Now()
	if now.Sub(s.told) < cmp.Or(s.request.Checkpoint, DefaultCheckpoint) {
		return nil
	}
	s.told = now
	return s.checkpoint()
}

// line writes an entry into the manifest; one that is as it was is not put into words again.
func (s *saver) line(j *job) error {
	if j.found != nil {
		s.used.have(j.found.packs)
		return s.lines.again(j.entry, j.found.line)
	}
	if err := s.used.add(s.kopia, s.writer, j.entry.Object); err != nil {
		return err
	}
	return s.lines.add(j.entry)
}

func (s *saver) lacking(path Name, why string) {
	text := fmt.Sprintf("%q: %s", path, why)
	s.repository.options.Log.Warn("not saved as it is", "path", string(path), "why", why)
	if len(s.made.Lacking) < mostLacking {
		s.made.Lacking = append(s.made.Lacking, text)
	} else if len(s.made.Lacking) == mostLacking {
		s.made.Lacking = append(s.made.Lacking, "and more")
	}
}

// finish writes what makes of all that was uploaded a backup. The last thing written is the
// index that names it, so that it is there whole or not at all.
func (s *saver) finish() error {
	s.made.Files, s.made.Bytes, s.made.Entries = s.lines.counted.Files, s.lines.counted.Bytes, s.lines.counted.Entries
	data, err := s.tree.finish()
	if err != nil {
		return err
	}
	volume, size, err := s.lines.finish()
	if err != nil {
		return err
	}
	root, err := s.tree.root(data, &snapshot.DirEntry{
		Name: manifestName, Type: snapshot.EntryTypeFile, Permissions: 0o600, FileSize: size, ObjectID: volume,
		ModTime: fs.UTCTimestampFromTime(s.began),
	})
	if err != nil {
		return err
	}
	if err := errors.Join(
		s.used.add(s.kopia, s.writer, volume.String()),
		s.used.add(s.kopia, s.writer, root.ObjectID.String()),
	); err != nil {
		return err
	}
	if err := s.writer.Flush(s.kopia); err != nil {
		return err
	}
	if err := errors.Join(s.held.held(), s.repository.unchanged(s.kopia), s.used.there(s.kopia, s.writer.BlobReader())); err != nil {
		return err
	}
	tags, err := s.lockedTags()
	if err != nil {
		return err
	}
	now := s.repository.options.Now()
	if !s.ended.IsZero() {
		now = s.ended
	}
	id, err := snapshot.SaveSnapshot(s.kopia, s.writer, &snapshot.Manifest{
		Source:      source(s.request.Label),
		Description: "knowngood backup of " + s.request.Label.Volume,
		StartTime:   fs.UTCTimestampFromTime(s.began), EndTime: fs.UTCTimestampFromTime(now),
		RootEntry: root, Tags: tags,
	})
	if err == nil && s.hold != nil {
		_, err = s.writer.PutManifest(s.kopia, noteLabels(holdType, string(id)), s.hold)
	}
	if err != nil {
		return err
	}
	if err := s.dropCheckpoints(""); err != nil {
		return err
	}
	if err := s.writer.Flush(s.kopia); err != nil {
		return err
	}
	if err := errors.Join(s.repository.keepSpare(s.kopia), s.repository.acknowledge(s.kopia, string(id))); err != nil {
		return err
	}
	s.made.ID, s.made.Stored = string(id), s.tally.uploaded.Load()
	return nil
}

// manifestName and dataName are the two entries of what kopia sees as the saved folder.
const (
	manifestName = "volume.jsonl"
	dataName     = "data"
)

// source is by which kopia tells the volumes of a repository apart.
func source(l Label) snapshot.SourceInfo {
	return snapshot.SourceInfo{UserName: l.App, Host: l.Environment, Path: l.Volume}
}

// Tags of a backup in kopia's own list.
const (
	tagCommit  = "tag:commit"
	tagRun     = "tag:run"
	tagEntries = "tag:entries"
	tagFiles   = "tag:files"
	tagBytes   = "tag:bytes"
	tagUnread  = "tag:unread"
	tagTorn    = "tag:torn"
	tagDevice  = "tag:device"
)

func (s *saver) tags() map[string]string {
	tags := map[string]string{
		tagEntries: strconv.FormatInt(s.made.Entries, 10),
		tagFiles:   strconv.FormatInt(s.made.Files, 10),
		tagBytes:   strconv.FormatInt(s.made.Bytes, 10),
		tagUnread:  strconv.FormatInt(s.made.Unread, 10),
		tagTorn:    strconv.FormatInt(s.made.Torn, 10),
	}
	if s.copied != "" {
		tags[tagCopied] = s.copied
	}
	if s.request.Label.Device {
		tags[tagDevice] = "raw"
	}
	if s.made.Commit != "" {
		tags[tagCommit] = string(s.made.Commit)
	}
	if s.made.Run != "" {
		tags[tagRun] = s.made.Run
	}
	return tags
}

// unchanged makes sure that the repository is still the one that was opened. Had another set
// up a second one over it, nobody could read what was written here.
func (r *Repository) unchanged(ctx context.Context) error {
	var now exact
	now.Buffer = &bytes.Buffer{}
	if err := r.packs.GetBlob(ctx, format.KopiaRepositoryBlobID, 0, -1, now); err != nil {
		return err
	}
	parsed, err := format.ParseKopiaRepositoryJSON(now.Bytes())
	if err != nil {
		return err
	}
	if !bytes.Equal(parsed.UniqueID, r.kopia.UniqueID()) {
		return fault.Hint(fmt.Errorf("%s has become another repository meanwhile", r.Place()), "save again")
	}
	return nil
}

// checkpointType is the type of the notes that a save leaves for the next one.
const checkpointType = "knowngood-checkpoint"

// A checkpoint says how far a save has come: the pieces of its manifest.
type checkpoint struct {
	Began  time.Time `json:"began"`
	Pieces []string  `json:"pieces"`
}

func checkpointLabels(l Label) map[string]string {
	return map[string]string{
		manifest.TypeLabelKey: checkpointType, "app": l.App, "environment": l.Environment, "volume": l.Volume,
	}
}

// checkpoint keeps what was uploaded so far. A later one replaces it.
func (s *saver) checkpoint() error {
	pieces, err := s.lines.cut()
	if err != nil {
		return err
	}
	id, err := s.writer.PutManifest(s.kopia, checkpointLabels(s.request.Label), checkpoint{Began: s.began, Pieces: pieces})
	if err != nil {
		return err
	}
	if err := s.dropCheckpoints(id); err != nil {
		return err
	}
	return s.writer.Flush(s.kopia)
}

// dropCheckpoints takes away the notes of earlier saves of the volume, all but one.
func (s *saver) dropCheckpoints(but manifest.ID) error {
	old, err := s.writer.FindManifests(s.kopia, checkpointLabels(s.request.Label))
	if err != nil {
		return err
	}
	for _, one := range old {
		if one.ID != but {
			if err := s.writer.DeleteManifest(s.kopia, one.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
