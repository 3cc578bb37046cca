// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// ErrNotFound is the error of a backup that the repository does not hold.
var ErrNotFound = errors.New("no such backup")

// A Query selects backups; an empty field selects all.
type Query struct {
	App, Environment, Volume string
	// Commit and ID select by their first digits.
	Commit, ID string
}

func (q Query) selects(b release.Backup) bool {
	return (q.App == "" || q.App == b.App) && (q.Environment == "" || q.Environment == b.Environment) &&
		(q.Volume == "" || q.Volume == b.Volume) && strings.HasPrefix(string(b.Commit), q.Commit) && strings.HasPrefix(b.ID, q.ID)
}

// selectsCopy tells whether the query selects a copy by the id of the backup that it is one of.
func (q Query) selectsCopy(b release.Backup) bool {
	id := q.ID
	q.ID = ""
	return id != "" && strings.HasPrefix(b.CopyOf, id) && q.selects(b)
}

// List returns the backups that the query selects, newest first. Other snapshots of kopia in
// the repository are none of ours. A backup whose note cannot be read is an error that names
// it, which comes with the others.
func (r *Repository) List(ctx context.Context, q Query) ([]release.Backup, error) {
	gone, err := r.missing(ctx)
	if err != nil {
		return nil, r.unlisted(ctx, err)
	}
	gone = slices.DeleteFunc(gone, func(id string) bool { return !strings.HasPrefix(id, q.ID) })
	notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType})
	if err != nil {
		return nil, fmt.Errorf("list the backups in %s: %w", r.Place(), err)
	}
	verified, err := r.verifications(ctx, map[string]string{manifest.TypeLabelKey: verificationType})
	if err != nil {
		return nil, fmt.Errorf("list the backups in %s: %w", r.Place(), err)
	}
	held, err := r.holds(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the backups in %s: %w", r.Place(), err)
	}
	var found []release.Backup
	var errs []error
	for _, note := range notes {
		if note.Labels[tagEntries] == "" {
			continue
		}
		b, err := r.load(ctx, note.ID)
		if err != nil {
			errs = append(errs, fmt.Errorf("read backup %s: %w: %w", note.ID, ErrDamaged, err))
			continue
		}
		b.CopyOf = note.Labels[tagCopied]
		if b.Verified, b.Hold = verified[b.ID], held[b.ID]; q.selects(b) || q.selectsCopy(b) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b release.Backup) int {
		if c := b.Taken.Compare(a.Taken); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return found, errors.Join(append(errs, absent(gone))...)
}

// unlisted tells why there is no list. A piece of it that cannot be read hides all others.
func (r *Repository) unlisted(ctx context.Context, err error) error {
	err = fmt.Errorf("list the backups in %s: %w", r.Place(), err)
	if ctx.Err() != nil || bucket.IsForbidden(err) {
		return err
	}
	return fault.Hint(err, "where the bucket answers, a part of the list is damaged; %s", repairHint)
}

// Find returns the one backup that the query selects: by ID that with the id, else the newest.
func (r *Repository) Find(ctx context.Context, q Query) (release.Backup, error) {
	all, err := r.List(ctx, q)
	if err != nil {
		return release.Backup{}, err
	}
	switch {
	case len(all) == 0:
		return release.Backup{}, fault.Hint(fmt.Errorf("%w in %s: %s", ErrNotFound, r.Place(), q),
			"see knowngood backup list")
	case q.ID != "" && len(all) > 1:
		return release.Backup{}, fault.Hint(fault.Usagef("%d backups begin with %q", len(all), q.ID), "give more of the id, as backup list shows it")
	}
	return all[0], nil
}

// String tells the query as a person would.
func (q Query) String() string {
	var words []string
	for _, one := range [][2]string{{"id", q.ID}, {"application", q.App}, {"environment", q.Environment}, {"volume", q.Volume}, {"commit", q.Commit}} {
		if one[1] != "" {
			words = append(words, fmt.Sprintf("%s %.80q", one[0], one[1]))
		}
	}
	if len(words) == 0 {
		return "any"
	}
	return strings.Join(words, ", ")
}

// load reads kopia's note of a backup.
func (r *Repository) load(ctx context.Context, id manifest.ID) (release.Backup, error) {
	m, err := snapshot.LoadSnapshot(ctx, r.kopia, id)
	if err != nil {
		return release.Backup{}, err
	}
	b := release.Backup{
		ID: string(id), App: m.Source.UserName, Environment: m.Source.Host, Volume: m.Source.Path,
		Commit: release.Commit(m.Tags[tagCommit]), Run: m.Tags[tagRun], Device: m.Tags[tagDevice] != "",
		Taken: m.StartTime.ToTime().UTC(), Seconds: m.EndTime.Sub(m.StartTime).Seconds(),
	}
	for tag, into := range map[string]*int64{
		tagEntries: &b.Entries, tagFiles: &b.Files, tagBytes: &b.Bytes, tagUnread: &b.Unread, tagTorn: &b.Torn,
	} {
		if *into, err = strconv.ParseInt(m.Tags[tag], 10, 64); err != nil {
			return b, fmt.Errorf("%s: %w", tag, err)
		}
	}
	return b, nil
}

// volumeOf returns the object in which the manifest of a backup lies.
func (r *Repository) volumeOf(ctx context.Context, id string) (string, error) {
	m, err := snapshot.LoadSnapshot(ctx, r.kopia, manifest.ID(id))
	if err != nil {
		return "", err
	}
	if m.RootEntry == nil {
		return "", errors.New("it has no root")
	}
	in, err := r.kopia.OpenObject(ctx, m.RootEntry.ObjectID)
	if err != nil {
		return "", err
	}
	defer in.Close()
	var root snapshot.DirManifest
	if err := json.NewDecoder(in).Decode(&root); err != nil {
		return "", err
	}
	for _, entry := range root.Entries {
		if entry.Name == manifestName {
			return entry.ObjectID.String(), nil
		}
	}
	return "", errors.New("it has no manifest of its volume")
}

// newest returns the newest backup of a volume that can be read, and the object of its manifest,
// "" where there is none.
func (r *Repository) newest(ctx context.Context, l Label) (release.Backup, string, error) {
	notes, err := r.kopia.FindManifests(ctx, map[string]string{
		manifest.TypeLabelKey:  snapshot.ManifestType,
		snapshot.UsernameLabel: l.App, snapshot.HostnameLabel: l.Environment, snapshot.PathLabel: l.Volume,
	})
	if err != nil {
		return release.Backup{}, "", err
	}
	slices.SortFunc(notes, func(a, b *manifest.EntryMetadata) int { return b.ModTime.Compare(a.ModTime) })
	for _, note := range notes {
		volume, err := r.volumeOf(ctx, string(note.ID))
		if err != nil {
			continue
		}
		if b, err := r.load(ctx, note.ID); err == nil {
			return b, volume, nil
		}
	}
	return release.Backup{}, "", ctx.Err()
}
