// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kopia/kopia/repo"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// ErrNoCheck is the error of a check that could not be begun, and so did not judge.
var ErrNoCheck = errors.New("the check could not be begun")

// A Proof says what is verified, and where there is room for it.
type Proof struct {
	ID string
	// Scratch is a folder in which the backup is restored, in a folder of its own that is
	// removed afterwards.
	Scratch string
	// Check, where there is one, runs the application's own check of the restored folder;
	// CheckName says of it what people read.
	Check     func(ctx context.Context, folder string) error
	CheckName string
}

// ErrUntried is the error of a verification that found nothing out about the backup, be it good or
// bad: it was cancelled, or something was in its way.
var ErrUntried = errors.New("nothing was found out about the backup")

// Verify restores a backup to a scratch folder, compares all that came back with the
// manifest, and runs the application's own check on it. A backup that is not proved is an
// error of status Failed, and the verification that comes with it says why. What was found is
// kept in the repository, for List. Where that is nothing, the error is ErrUntried and the
// verification says nothing.
func (r *Repository) Verify(ctx context.Context, p Proof) (release.Verification, error) {
	ctx, held, err := r.begin(ctx, useVerify, p.ID)
	if err != nil {
		return release.Verification{}, fmt.Errorf("verify backup %s: %w: %w", p.ID, ErrUntried, err)
	}
	v, err := r.prove(ctx, p)
	return v, held.finish(ctx, err)
}

// prove is Verify under a lease.
func (r *Repository) prove(ctx context.Context, p Proof) (release.Verification, error) {
	v := release.Verification{At: r.options.Now(), Check: p.CheckName}
	own, err := newScratch(p.Scratch, r.options.Log)
	if err != nil {
		return v, fmt.Errorf("verify backup %s: %w: %w", p.ID, ErrUntried, err)
	}
	defer own.remove(r.options.Log)
	of, err := r.verify(ctx, p, Target{ID: p.ID, Folder: filepath.Join(own.path, "data")}, &v)
	v.Seconds = r.options.Now().Sub(v.At).Seconds()
	if of {
		err = errors.Join(r.suspected(ctx, p.ID, err), r.note(ctx, p.ID, v))
	} else {
		err = fmt.Errorf("%w: %w", ErrUntried, err)
	}
	if err != nil {
		return v, fmt.Errorf("verify backup %s: %w", p.ID, err)
	}
	return v, nil
}

// suspected returns the error, after the contents were noted that a damaged backup may lack.
func (r *Repository) suspected(ctx context.Context, id string, err error) error {
	if errors.Is(err, ErrDamaged) {
		err = fault.Hint(err, "what the index lost can be brought back: knowngood backup repair; what the bucket lost is stored anew by the next save that still has it")
		return errors.Join(err, r.suspect(ctx, id))
	}
	return err
}

// verify finds out whether a backup is proved; of is false where nothing is found out about it: the
// work was cancelled, the scratch folder is full, the bucket does not answer, only root could give
// files back to their owners, or the check could not be begun.
func (r *Repository) verify(ctx context.Context, p Proof, t Target, v *release.Verification) (of bool, err error) {
	of, err = r.tried(ctx, p, t, v)
	if ctx.Err() == nil {
		return of, err
	}
	if v.Proved = false; err == nil {
		err = ctx.Err()
	}
	return false, err
}

func (r *Repository) tried(ctx context.Context, p Proof, t Target, v *release.Verification) (of bool, err error) {
	restored, err := r.bring(ctx, t)
	partly := fault.StatusOf(err) == fault.Partial
	if err != nil && !partly {
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrDamaged):
			v.Differences = append(v.Differences, err.Error())
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			err = fault.Hint(err, "give a folder with room for the whole backup as --scratch")
		}
		return errors.Is(err, ErrDamaged), err
	}
	v.Files, v.Bytes = restored.Files, restored.Bytes
	compare := r.compare
	if t.Device != "" {
		compare = r.compareDevice
	}
	if v.Differences, err = compare(ctx, t.ID, t.to()); err != nil {
		return errors.Is(err, ErrDamaged), err
	}
	if len(v.Differences) > 0 {
		err = fmt.Errorf("%d things came back otherwise than they were saved, the first: %s", len(v.Differences), v.Differences[0])
		v.Differences = v.Differences[:min(len(v.Differences), mostLacking)]
		if restored.denied {
			return !partly, fault.Hint(err, "verify as root, who can give files back to their owners")
		}
		return true, err
	}
	if p.Check != nil {
		if err := p.Check(ctx, t.to()); err != nil {
			v.CheckError = err.Error()
			return !errors.Is(err, ErrNoCheck), err
		}
	}
	v.Proved = true
	return true, nil
}

// Prove is Verify for a check that runs elsewhere, e.g. in an image of the application's own: the
// backup stays where it is restored to, Proved stays false, and nothing is kept in the repository until
// Conclude.
func (r *Repository) Prove(ctx context.Context, t Target) (release.Verification, error) {
	v := release.Verification{At: r.options.Now()}
	ctx, held, err := r.begin(ctx, useVerify, t.ID)
	if err != nil {
		return v, fmt.Errorf("verify backup %s: %w: %w", t.ID, ErrUntried, err)
	}
	of, err := r.verify(ctx, Proof{ID: t.ID}, t, &v)
	if err = r.suspected(ctx, t.ID, err); !of {
		err = fmt.Errorf("%w: %w", ErrUntried, err)
	}
	v.Proved = false
	v.Seconds = r.options.Now().Sub(v.At).Seconds()
	if err = held.finish(ctx, err); err != nil {
		return v, fmt.Errorf("verify backup %s: %w", t.ID, err)
	}
	return v, nil
}

// Conclude keeps in the repository that a backup is proved, which Prove restored and a check that
// ran elsewhere found good; check says of it what people read, "" where there was none.
func (r *Repository) Conclude(ctx context.Context, id, check string, v release.Verification) (release.Verification, error) {
	v.Proved, v.Check = true, check
	v.Seconds = r.options.Now().Sub(v.At).Seconds()
	return v, r.note(ctx, id, v)
}

// removeAll removes a folder that may hold folders in which nobody may write.
func removeAll(folder string) error {
	err := os.RemoveAll(folder)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(folder, func(path string, entry os.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a folder of our own, which is to be emptied
		}
		return nil
	})
	return os.RemoveAll(folder)
}

// verificationType is the type of the notes that verifications leave.
const verificationType = "knowngood-verification"

// note keeps what a verification found beside the backup.
func (r *Repository) note(ctx context.Context, id string, v release.Verification) error {
	labels := noteLabels(verificationType, id)
	err := repo.WriteSession(ctx, r.kopia, repo.WriteSessionOptions{Purpose: "verify"}, func(ctx context.Context, w repo.RepositoryWriter) error {
		_, err := w.PutManifest(ctx, labels, v)
		return err
	})
	if err != nil {
		return fmt.Errorf("note the verification: %w", err)
	}
	return nil
}

// verifications returns the newest verification of each backup whose notes have the labels.
func (r *Repository) verifications(ctx context.Context, labels map[string]string) (map[string]*release.Verification, error) {
	notes, err := r.kopia.FindManifests(ctx, labels)
	if err != nil {
		return nil, err
	}
	newest, at := map[string]*release.Verification{}, map[string]time.Time{}
	for _, note := range notes {
		id := note.Labels["backup"]
		if newest[id] != nil && !note.ModTime.After(at[id]) {
			continue
		}
		var v release.Verification
		if _, err := r.kopia.GetManifest(ctx, note.ID, &v); err != nil {
			return nil, fmt.Errorf("read the verification of backup %s: %w", id, err)
		}
		newest[id], at[id] = &v, note.ModTime
	}
	return newest, nil
}
