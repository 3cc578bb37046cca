// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/content/index"
	"github.com/kopia/kopia/repo/manifest"
	"golang.org/x/sync/errgroup"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// errShown ends a session in which a plan was made, so that nothing of it is written.
var errShown = errors.New("nothing is written")

// recover takes into the index what the packs hold and no index names, and out of the list what
// cannot be read of it. Unless the plan is carried out, it only counts.
func (m *mending) recover(ctx context.Context, acknowledged []string) error {
	r := m.repository
	before, err := listed(ctx, r.kopia)
	if err != nil { // a piece of the list is damaged; which one is found out below
		before = nil
	}
	hurt := len(m.did.Damaged) > 0 || slices.ContainsFunc(acknowledged, func(id string) bool { return !before[id] })
	err = repo.DirectWriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "repair"}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		packs, err := m.unnamed(ctx, w, hurt)
		if err != nil {
			return err
		}
		for _, pack := range packs {
			if _, err := w.ContentManager().RecoverIndexFromPackBlob(ctx, pack.BlobID, pack.Length, true); err != nil {
				return fmt.Errorf("read what %s holds: %w", pack.BlobID, err)
			}
		}
		if err := m.readable(ctx, w); err != nil {
			return err
		}
		if err := changed(ctx, w); err != nil {
			return err
		}
		after, err := listed(ctx, w)
		if err != nil {
			return err
		}
		m.compared(before, after, acknowledged)
		if !m.wants.Apply {
			return errShown
		}
		return m.held.held()
	})
	if errors.Is(err, errShown) {
		return nil
	}
	return err
}

// changed makes kopia read the list anew. What is taken in from packs is no change to it, and before
// the first one, as with an index of which nothing is left, it takes the list for read and empty.
func changed(ctx context.Context, w repo.DirectRepositoryWriter) error {
	none, err := content.ParseID(string(manifest.ContentPrefix) + strings.Repeat("0", 32))
	if err != nil {
		return err
	}
	// To ask for the deletion of what is not there changes nothing else.
	if err := w.ContentManager().DeleteContent(ctx, none); !errors.Is(err, content.ErrContentNotFound) {
		return err
	}
	return nil
}

// unnamed returns the packs that hold something which no index names.
//
// Maintenance drops what no backup needs out of the index, some time before the pack goes. Of data
// that does not matter: it is dropped again. A list of backups from before a prune would bring back
// what was given up, so one that is older than what was dropped counts only where something is hurt.
func (m *mending) unnamed(ctx context.Context, w repo.DirectRepositoryWriter, hurt bool) ([]blob.Metadata, error) {
	r := m.repository
	dropped, err := r.droppedBefore(ctx)
	if err != nil {
		return nil, err
	}
	var found []blob.Metadata
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lockers)
	for _, prefix := range []string{"p", "q"} {
		objects, err := r.objects(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for i, object := range objects {
			if i%1000 == 999 {
				r.options.Log.Info("reading what the packs hold", "kind", prefix, "packs", i+1, "of", len(objects))
			}
			group.Go(func() error {
				pack := blob.Metadata{BlobID: blob.ID(object.Key), Length: object.Size}
				n, err := m.count(ctx, w, pack, func(i content.Info) bool {
					return hurt || i.ContentID.Prefix() != manifest.ContentPrefix || i.Timestamp().After(dropped)
				})
				m.mu.Lock()
				defer m.mu.Unlock()
				if n > 0 {
					m.did.Packs++
					m.did.Pieces += n
					found = append(found, pack)
				}
				return err
			})
		}
	}
	return found, group.Wait()
}

// count returns how many pieces of a pack no index names.
func (m *mending) count(ctx context.Context, w repo.DirectRepositoryWriter, pack blob.Metadata, counts func(content.Info) bool) (int, error) {
	holds, err := w.ContentManager().RecoverIndexFromPackBlob(ctx, pack.BlobID, pack.Length, false)
	if err != nil {
		return 0, m.unread(ctx, pack, err)
	}
	n := 0
	for _, one := range holds {
		if one.Deleted || !counts(one) {
			continue
		}
		if _, err := m.repository.kopia.ContentInfo(ctx, one.ContentID); errors.Is(err, content.ErrContentNotFound) {
			n++
		} else if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// unread notes a pack whose own index is damaged; what it holds may be named by the index for all.
func (m *mending) unread(ctx context.Context, pack blob.Metadata, failed error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := m.repository.bucket.Look(ctx, string(pack.BlobID)); bucket.IsNotFound(err) {
		return nil
	} else if err != nil {
		return errors.Join(failed, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.did.Unread = append(m.did.Unread, string(pack.BlobID))
	return nil
}

// readable marks the pieces of the list as deleted that cannot be read: one of them would hide all
// others. The backups that it named are missing then, by their receipts.
func (m *mending) readable(ctx context.Context, w repo.DirectRepositoryWriter) error {
	var ids []content.ID
	err := w.ContentManager().IterateContents(ctx, content.IterateOptions{Range: index.PrefixRange(manifest.ContentPrefix)}, func(i content.Info) error {
		ids = append(ids, i.ContentID)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, err := w.ContentManager().GetContent(ctx, id)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		info, finding := w.ContentManager().ContentInfo(ctx, id)
		if finding != nil {
			continue // compacted away meanwhile
		}
		// What the bucket does not hand out is not damaged.
		if _, err := m.repository.bucket.Look(ctx, string(info.PackBlobID)); err != nil && !bucket.IsNotFound(err) {
			return err
		}
		m.did.Lists = append(m.did.Lists, string(info.PackBlobID))
		if err := w.ContentManager().DeleteContent(ctx, id); err != nil {
			return err
		}
	}
	slices.Sort(m.did.Lists)
	m.did.Lists = slices.Compact(m.did.Lists)
	return nil
}

// droppedBefore returns up to when what was marked as deleted is out of the index.
func (r *Repository) droppedBefore(ctx context.Context) (time.Time, error) {
	const prefix = "xw"
	objects, err := r.objects(ctx, prefix)
	var last time.Time
	for _, object := range objects {
		if at, err := strconv.ParseInt(strings.TrimPrefix(object.Key, prefix), 10, 64); err == nil && time.Unix(at, 0).After(last) {
			last = time.Unix(at, 0)
		}
	}
	return last, err
}
