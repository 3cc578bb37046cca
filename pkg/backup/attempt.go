// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/kopia/kopia/repo/blob"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// unsaved tells why there is no backup.
func (r *Repository) unsaved(ctx context.Context, q Request, err error) error {
	if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.DeadlineExceeded) && cause != nil {
		err = fault.Hint(fault.Exit(fault.Failed, cause), "what was uploaded is used by the next save of the volume; give it more time with --timeout")
	}
	return fmt.Errorf("save %s to %s: %w", q.from(), r.Place(), r.full(err))
}

// full says in one sentence that a disk with a repository is full, of which the engine tells at
// length and more than once. Another disk that is full, e.g. the cache's, is told as it is.
func (r *Repository) full(err error) error {
	for _, room := range []error{unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, room) && errors.Is(err, blob.ErrInvalidCredentials) {
			r.options.Log.Debug("the repository is full", "error", err.Error())
			return fault.Hint(fmt.Errorf("the repository's disk is full: %w", room),
				"make room on it, or give another --repository; what was uploaded stays, and the next save of the volume uses it")
		}
	}
	return err
}

// attempt saves, and once more when the bucket turned out to have lost what the save counted on.
func (r *Repository) attempt(ctx context.Context, q Request, made *release.Backup, held *lease) error {
	fresh := *made
	err := r.once(ctx, q, made, held)
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, blob.ErrBlobNotFound) || ctx.Err() != nil {
		return err
	}
	n, healing := r.renounce(ctx)
	if healing != nil || n == 0 {
		return errors.Join(healing, err)
	}
	*made = fresh
	return r.once(ctx, q, made, held)
}

func (r *Repository) once(ctx context.Context, q Request, made *release.Backup, held *lease) error {
	alive, stop := outliving(ctx)
	defer stop()
	s := &saver{repository: r, request: q, made: made, kopia: alive, began: made.Taken, held: held}
	return s.save(ctx)
}
