// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

// indexPrefixes are those of the objects that make up kopia's index: of one save each, of an epoch,
// and of several epochs.
func indexPrefixes() []string { return []string{"xn", "xs", "xr"} }

func isIndex(id blob.ID) bool {
	for _, prefix := range indexPrefixes() {
		if strings.HasPrefix(string(id), prefix) {
			return true
		}
	}
	return false
}

// A view changes what kopia sees of the bucket while it is repaired, or asked what ails it.
type view struct {
	// hidden objects are listed to nobody.
	hidden func(blob.ID) bool
	// format is read in place of kopia.repository; nil reads that.
	format []byte
}

// see sets what is seen from here on.
func (p *packs) see(v view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view = v
}

func (p *packs) seen() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

// ail returns which objects of the index cannot be read, while the view hides the index or nothing.
// An object that the bucket does not hand out is an error: nothing is known about it.
func (r *Repository) ail(ctx context.Context) (bad []string, err error) {
	stop := errors.New("nothing is written")
	err = repo.DirectWriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "repair"}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		for _, prefix := range indexPrefixes() {
			objects, err := r.objects(ctx, prefix)
			if err != nil {
				return err
			}
			for _, object := range objects {
				hurt, err := r.hurts(ctx, w.ContentManager(), object.Key)
				if err != nil {
					return err
				}
				if hurt {
					bad = append(bad, object.Key)
				}
			}
		}
		return stop
	})
	if errors.Is(err, stop) {
		err = nil
	}
	return bad, err
}

// hurts tells whether an object of the index is not what was written. It is read twice before that
// is said, and what the bucket does not hand out says nothing.
func (r *Repository) hurts(ctx context.Context, m *content.WriteManager, key string) (bool, error) {
	for range 2 {
		if _, err := loaded(ctx, blob.ID(key), m.LoadIndexBlob); err == nil {
			return false, nil
		}
		if err := r.bucket.GetRange(ctx, key, 0, -1, io.Discard); bucket.IsNotFound(err) {
			return false, nil // maintenance took it away meanwhile
		} else if err != nil {
			return false, fmt.Errorf("read %s: %w", key, err)
		}
	}
	return true, nil
}

// loaded calls what wants a buffer of a type that kopia keeps to itself.
func loaded[B any](ctx context.Context, id blob.ID, load func(context.Context, blob.ID, *B) ([]content.Info, error)) ([]content.Info, error) {
	var buffer B
	return load(ctx, id, &buffer)
}

// diagnosed says which objects keep a repository from being opened, where that is known. Else the
// error stays what it was.
func (r *Repository) diagnosed(ctx context.Context, failed error) error {
	spare, err := spareFor(ctx, r.bucket)
	if err != nil {
		return errors.Join(failed, err)
	}
	hidden := view{hidden: isIndex, format: spare}
	r.packs.see(hidden)
	defer r.packs.see(view{})
	if err := r.openKopia(ctx); err != nil {
		return failed
	}
	bad, err := r.ail(ctx)
	err = errors.Join(err, r.kopia.Close(ctx))
	r.kopia = nil
	if err != nil {
		return errors.Join(failed, err)
	}
	if spare != nil {
		bad = append([]string{"kopia.repository"}, bad...)
	}
	if len(bad) == 0 {
		return failed
	}
	return fault.Hint(fmt.Errorf("%w: these objects are not what was written: %s", errObjects, strings.Join(bad, ", ")), repairHint)
}

// errObjects is the error of a repository of which objects are damaged that all backups need.
var errObjects = fmt.Errorf("%w: the repository cannot be opened", ErrDamaged)
