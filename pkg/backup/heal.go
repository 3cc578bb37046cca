// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Content that was lost or damaged stands in the index as if it were there, and a save would
// count on it. What is marked as deleted is stored anew by the next save that has it, and heals
// all backups that hold the same content. The mark takes nothing away: marked content that can
// be read still is, and maintenance takes back the marks of what backups need.

// renounce marks what lay in packs that the bucket has lost, and returns how much it marked.
func (r *Repository) renounce(ctx context.Context) (int, error) {
	if err := r.kopia.Refresh(ctx); err != nil {
		return 0, err
	}
	lost, err := r.lost(ctx)
	if err != nil || len(lost) == 0 {
		return 0, err
	}
	var ids []content.ID
	for id, pack := range lost {
		if id.Prefix() == manifest.ContentPrefix {
			return 0, fault.Hint(fmt.Errorf("%w: the bucket has lost %s, in which a part of the list of backups lay", ErrDamaged, pack),
				"bring the object back from the bucket's own versions; else set a new repository up elsewhere, and save to it")
		}
		ids = append(ids, id)
	}
	r.options.Log.Warn("the bucket has lost objects; what lay in them is stored anew where it is still there",
		"objects", len(distinct(lost)), "pieces", len(ids))
	return len(ids), r.mark(ctx, ids)
}

// lost returns the contents whose packs are not in the bucket, with the pack of each.
func (r *Repository) lost(ctx context.Context) (map[content.ID]blob.ID, error) {
	there := map[blob.ID]bool{}
	for _, prefix := range []blob.ID{content.PackBlobIDPrefixRegular, content.PackBlobIDPrefixSpecial} {
		if err := r.packs.ListBlobs(ctx, prefix, func(m blob.Metadata) error { there[m.BlobID] = true; return nil }); err != nil {
			return nil, err
		}
	}
	lost := map[content.ID]blob.ID{}
	if err := r.kopia.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(i content.Info) error {
		if !there[i.PackBlobID] {
			lost[i.ContentID] = i.PackBlobID
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for pack := range distinct(lost) {
		// A listing may be behind; asking for the object itself is not.
		if _, err := r.packs.GetMetadata(ctx, pack); err == nil {
			maps.DeleteFunc(lost, func(_ content.ID, in blob.ID) bool { return in == pack })
		} else if !errors.Is(err, blob.ErrBlobNotFound) {
			return nil, err
		}
	}
	return lost, nil
}

func distinct(lost map[content.ID]blob.ID) map[blob.ID]bool {
	packs := map[blob.ID]bool{}
	for _, pack := range lost {
		packs[pack] = true
	}
	return packs
}

// mark marks contents as deleted.
func (r *Repository) mark(ctx context.Context, ids []content.ID) error {
	return repo.DirectWriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "heal"}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		for _, id := range ids {
			if err := w.ContentManager().DeleteContent(ctx, id); err != nil && !errors.Is(err, content.ErrContentNotFound) {
				return err
			}
		}
		return nil
	})
}

// suspect reads all that a damaged backup holds and marks what cannot be read, so that the next
// save of the same data stores it anew.
func (r *Repository) suspect(ctx context.Context, id string) error {
	defer r.packs.keepPages()()
	bad := map[content.ID]bool{}
	objects := map[string]bool{}
	if m, err := snapshot.LoadSnapshot(ctx, r.kopia, manifest.ID(id)); err == nil && m.RootEntry != nil {
		r.folders(ctx, m.RootEntry.ObjectID, objects)
	}
	if lines, in, err := r.manifestOf(ctx, id); err == nil {
		for {
			e, err := lines.next()
			if err != nil {
				break // what cannot be read of it is among the contents of the manifest
			}
			if e.Object != "" {
				objects[e.Object] = true
			}
		}
		if err := in.Close(); err != nil {
			return err
		}
	}
	for name := range objects {
		if err := r.sift(ctx, name, bad); err != nil {
			return err
		}
	}
	if len(bad) == 0 {
		return ctx.Err()
	}
	if err := r.neighbours(ctx, bad); err != nil {
		return err
	}
	r.options.Log.Warn("content of the backup cannot be read; the next save of the same data stores it anew", "backup", id, "pieces", len(bad))
	return r.mark(ctx, slices.Collect(maps.Keys(bad)))
}

// folders adds the objects of a folder as kopia sees it, of those in it, and of the manifest. Of
// one that cannot be read nothing more is known.
func (r *Repository) folders(ctx context.Context, id object.ID, found map[string]bool) {
	if found[id.String()] || ctx.Err() != nil {
		return
	}
	found[id.String()] = true
	in, err := r.kopia.OpenObject(ctx, id)
	if err != nil {
		return
	}
	defer in.Close()
	var folder snapshot.DirManifest
	if err := json.NewDecoder(in).Decode(&folder); err != nil {
		return
	}
	for _, entry := range folder.Entries {
		switch {
		case entry.Type == snapshot.EntryTypeDirectory:
			r.folders(ctx, entry.ObjectID, found)
		case entry.Name == manifestName:
			found[entry.ObjectID.String()] = true
		}
	}
}

// neighbours reads what lies in the same packs: what a manifest that cannot be read would name
// was most often written beside it.
func (r *Repository) neighbours(ctx context.Context, bad map[content.ID]bool) error {
	packs := map[blob.ID]bool{}
	for id := range bad {
		info, err := r.kopia.ContentInfo(ctx, id)
		if err != nil {
			return err
		}
		packs[info.PackBlobID] = true
	}
	var beside []content.ID
	if err := r.kopia.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(i content.Info) error {
		if packs[i.PackBlobID] && i.ContentID.Prefix() != manifest.ContentPrefix {
			beside = append(beside, i.ContentID)
		}
		return nil
	}); err != nil {
		return err
	}
	return r.read(ctx, beside, bad)
}

// sift reads the contents of one object and notes those that cannot be read.
func (r *Repository) sift(ctx context.Context, name string, bad map[content.ID]bool) error {
	id, err := object.ParseID(name)
	if err != nil {
		return nil //nolint:nilerr // a name that is none has no content
	}
	first := id
	for {
		inner, ok := first.IndexObjectID()
		if !ok {
			break
		}
		first = inner
	}
	ids, err := r.kopia.VerifyObject(ctx, id)
	if err != nil { // the list of its pieces cannot be read
		ids = nil
	}
	if own, _, ok := first.ContentID(); ok {
		ids = append(ids, own)
	}
	return r.read(ctx, ids, bad)
}

// read reads contents and notes those that cannot be read.
func (r *Repository) read(ctx context.Context, ids []content.ID, bad map[content.ID]bool) error {
	for _, one := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := r.kopia.ContentInfo(ctx, one)
		if err != nil || info.Deleted {
			continue // not there, or marked already: it is stored anew in any case
		}
		if _, err := r.kopia.ContentReader().GetContent(ctx, one); err != nil && ctx.Err() == nil {
			bad[one] = true
		}
	}
	return ctx.Err()
}
