// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

// Links are what one backup is restored with by who has the key and no credentials of the bucket:
// a signed address of each object that it needs. Whoever has them reads these objects, which are
// encrypted, until they expire.
type Links struct {
	Format     int                    `json:"format"`
	Repository string                 `json:"repository"`
	Backup     string                 `json:"backup"`
	Expires    time.Time              `json:"expires"`
	Objects    map[string]bucket.Link `json:"objects"`
}

// linksFormat is the form of Links that this program writes; it reads no other.
const linksFormat = 1

// mostLinks is how many bytes a file of links may have.
const mostLinks = 256 << 20

// ReadLinks reads links that Link made, and anybody may have changed.
func ReadLinks(in io.Reader) (Links, error) {
	var l Links
	data, err := io.ReadAll(io.LimitReader(in, mostLinks+1))
	switch {
	case err != nil:
		return l, err
	case len(data) > mostLinks:
		return l, fault.Usagef("it has more than %d bytes", mostLinks)
	}
	if err := json.Unmarshal(data, &l); err != nil || l.Format != linksFormat || l.Backup == "" || len(l.Objects) == 0 {
		return l, fault.Hint(fault.Usagef("it holds no links to a backup"), "give a file that backup link wrote")
	}
	return l, nil
}

// Link signs a link to each object that a restore of a backup reads, and to no other. What it
// signs cannot be taken back before it expires, but by changing the credentials that signed.
func (r *Repository) Link(ctx context.Context, id string, expiry time.Duration) (Links, error) {
	l := Links{Format: linksFormat, Repository: r.Place(), Backup: id, Expires: r.options.Now().Add(expiry).UTC().Truncate(time.Second)}
	if expiry < time.Minute || expiry > bucket.LongestLink {
		return l, fault.Usagef("links last from a minute to %s, not %s", bucket.LongestLink, expiry)
	}
	ctx, held, err := r.begin(ctx, useRestore, id)
	if err != nil {
		return l, err
	}
	l.Objects, err = r.link(ctx, id, expiry)
	if err = held.finish(ctx, err); err != nil {
		return l, fmt.Errorf("link backup %s: %w", id, err)
	}
	return l, nil
}

func (r *Repository) link(ctx context.Context, id string, expiry time.Duration) (map[string]bucket.Link, error) {
	used, err := r.needed(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := r.objects(ctx, "")
	if err != nil {
		return nil, err
	}
	var objects []bucket.Object
	for _, object := range all {
		isIndex := object.Key[0] == 'x' || object.Key[0] == 'n'
		if used[blob.ID(object.Key)] || isIndex || object.Key == format.KopiaRepositoryBlobID {
			objects = append(objects, object)
			delete(used, blob.ID(object.Key))
		}
	}
	if len(used) > 0 {
		return nil, fmt.Errorf("%w: the bucket has lost %d objects that it needs", ErrDamaged, len(used))
	}
	return r.bucket.Sign(ctx, objects, expiry)
}

// needed are the objects in which the content of a backup lies, and the list of all backups.
func (r *Repository) needed(ctx context.Context, id string) (usedPacks, error) {
	used := usedPacks{}
	m, err := snapshot.LoadSnapshot(ctx, r.kopia, manifest.ID(id))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	volume, err := r.volumeOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open the manifest: %w: %w", ErrDamaged, err)
	}
	if err := errors.Join(used.add(ctx, r.kopia, m.RootEntry.ObjectID.String()), used.add(ctx, r.kopia, volume)); err != nil {
		return nil, err
	}
	lines, in, err := r.manifestOf(ctx, id)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for {
		e, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if err := used.add(ctx, r.kopia, e.Object); err != nil {
			return nil, fmt.Errorf("%q: %w", e.Path, err)
		}
	}
	err = r.kopia.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(i content.Info) error {
		if i.ContentID.Prefix() == manifest.ContentPrefix {
			used[i.PackBlobID] = true
		}
		return nil
	})
	return used, err
}
