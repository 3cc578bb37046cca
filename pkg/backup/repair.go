// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

// A Repairing says what a repair may do.
type Repairing struct {
	// Apply carries the plan out; else nothing is changed.
	Apply bool
	// Forget ends the error about backups that cannot be brought back.
	Forget bool
	// Wait is how long another repair, or a prune, may hold this one up.
	Wait time.Duration
}

// A Repaired is what a repair found, and did.
type Repaired struct {
	Repository string `json:"repository"`
	// Damaged are the objects that all backups need and that are not what was written.
	Damaged []string `json:"damaged,omitempty"`
	// Packs hold Pieces that no index names.
	Packs  int `json:"packs"`
	Pieces int `json:"pieces"`
	// Unread are packs that do not say what they hold.
	Unread []string `json:"unread_packs,omitempty"`
	// Lists are pieces of the list of backups that cannot be read.
	Lists []string `json:"unread_lists,omitempty"`
	// Back are the backups that come back into the list, and Missing those that do not.
	Back    []string `json:"back,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// Aside is where what is damaged was moved to.
	Aside string `json:"aside,omitempty"`
	Done  bool   `json:"done"`
}

// Needed tells whether there is something to repair.
func (d Repaired) Needed() bool {
	return len(d.Damaged)+d.Pieces+len(d.Lists)+len(d.Back)+len(d.Missing) > 0
}

// Repair finds what is damaged, or lost, of that which all backups of a repository need, and brings
// back what lies in the bucket a second time: kopia.repository by its copy, the index by the packs,
// each of which says at its end what it holds. What is damaged is moved aside after that is stored.
//
// It may be killed at any moment; the next one goes on. One is at work at a time, and no prune.
func Repair(ctx context.Context, o Options, q Repairing) (did Repaired, err error) {
	if err := strong(o.Password); err != nil {
		return did, err
	}
	opened, err := bucket.OpenExisting(ctx, o.Place)
	if bucket.IsNotFound(err) {
		return did, o.empty(err)
	} else if err != nil {
		return did, err
	}
	r := &Repository{options: o, bucket: opened, handle: rand.Text()}
	did.Repository = r.Place()
	spare, err := r.openHidden(ctx)
	if err != nil {
		return did, errors.Join(err, opened.Close())
	}
	defer func() { err = errors.Join(err, r.Close(context.WithoutCancel(ctx))) }()
	ctx, held, err := r.begin(ctx, useRepair, "")
	if err != nil {
		return did, err
	}
	m := &mending{repository: r, wants: q, held: held, spare: spare, did: &did}
	if err = held.finish(ctx, m.all(ctx)); err != nil {
		err = fmt.Errorf("repair %s: %w", r.Place(), err)
	}
	return did, err
}

// openHidden opens a repository as if it had no index, and by the copy of kopia.repository where
// that is damaged, which it then returns.
func (r *Repository) openHidden(ctx context.Context) ([]byte, error) {
	if err := r.overheard(); err != nil {
		return nil, err
	}
	if _, err := r.reach(ctx); err != nil {
		return nil, err
	}
	spare, err := spareFor(ctx, r.bucket)
	if err != nil {
		return nil, err
	}
	if spare == nil {
		if _, err := r.bucket.Look(ctx, format.KopiaRepositoryBlobID); bucket.IsNotFound(err) {
			return nil, r.options.empty(fmt.Errorf("%s holds neither kopia.repository nor a copy of it", r.Place()))
		} else if err != nil {
			return nil, err
		}
	}
	r.packs.see(view{hidden: isIndex, format: spare})
	if err := r.openKopia(ctx); errors.Is(err, repo.ErrInvalidPassword) {
		return nil, r.wrongKey()
	} else if err != nil {
		return nil, fmt.Errorf("open the repository %s: %w", r.Place(), err)
	}
	return spare, nil
}

// A mending is one Repair at work.
type mending struct {
	repository *Repository
	wants      Repairing
	held       *lease
	// spare is the copy of kopia.repository, where that is damaged.
	spare []byte
	did   *Repaired
	// mu guards what packs that are read side by side add to did.
	mu sync.Mutex
}

func (m *mending) all(ctx context.Context) error {
	r := m.repository
	if _, err := m.held.alone(ctx, m.wants.Wait); err != nil {
		return err
	}
	bad, err := r.ail(ctx)
	if err != nil {
		return err
	}
	r.packs.see(view{hidden: func(id blob.ID) bool { return slices.Contains(bad, string(id)) }, format: m.spare})
	if err := r.kopia.Refresh(ctx); err != nil {
		return err
	}
	if m.did.Damaged = bad; m.spare != nil {
		m.did.Damaged = append([]string{format.KopiaRepositoryBlobID}, bad...)
	}
	acknowledged, err := r.receipts(ctx)
	if err != nil {
		return err
	}
	if err := m.recover(ctx, acknowledged); err != nil || !m.wants.Apply {
		return errors.Join(err, m.lost())
	}
	if err := m.aside(ctx); err != nil {
		return err
	}
	if m.did.Done = true; m.wants.Forget {
		return r.disown(ctx, m.did.Missing)
	}
	return m.lost()
}

// lost is the error that names what cannot be brought back.
func (m *mending) lost() error {
	if len(m.did.Missing) == 0 {
		return nil
	}
	var errs []error
	for _, id := range m.did.Missing {
		errs = append(errs, fmt.Errorf("backup %s cannot be brought back: %w", id, ErrDamaged))
	}
	return fault.Hint(errors.Join(errs...),
		"bring the bucket's own older versions of its objects back and repair again; or --forget them, and save anew")
}

// aside puts the copy of kopia.repository in its place, and moves away what is damaged. What came
// from the packs is stored by then.
func (m *mending) aside(ctx context.Context) error {
	r := m.repository
	if len(m.did.Damaged) > 0 {
		m.did.Aside = ownPrefix + "damaged/" + r.options.Now().UTC().Format("20060102T150405Z") + "/"
	}
	for _, key := range m.did.Damaged {
		if err := m.held.held(); err != nil {
			return err
		}
		data, err := r.bucket.Get(ctx, key, largestIndex)
		if bucket.IsNotFound(err) && key == format.KopiaRepositoryBlobID {
			data, err = nil, nil
		}
		if err == nil && data != nil {
			err = r.bucket.Put(ctx, m.did.Aside+key, data, contentType)
		}
		switch {
		case err != nil:
		case key == format.KopiaRepositoryBlobID:
			err = r.bucket.Put(ctx, key, m.spare, contentType)
		default:
			err = r.bucket.Remove(ctx, key)
		}
		if err != nil {
			return fmt.Errorf("move %s aside: %w", key, err)
		}
	}
	r.packs.see(view{})
	return r.kopia.Refresh(ctx)
}

// largestIndex is how many bytes an object of the index has at most that is moved aside.
const largestIndex = 1 << 30

// compared notes which backups come back, and which do not. before is nil where the list could not
// be read as it was.
func (m *mending) compared(before, after map[string]bool, acknowledged []string) {
	if before != nil {
		for _, id := range slices.Sorted(maps.Keys(after)) {
			if !before[id] {
				m.did.Back = append(m.did.Back, id)
			}
		}
	}
	for _, id := range acknowledged {
		if !after[id] {
			m.did.Missing = append(m.did.Missing, id)
		}
	}
}
