// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// KeyRotate changes the key of a repository.
type KeyRotate struct {
	wanted  wanted
	made    newKey
	copyTo  string
	catalog string
	locking locking
}

// Declare implements Step.
func (k *KeyRotate) Declare(set *step.Set) {
	set.Name, set.Summary = "key rotate", "Make a new key for a repository; the old one then opens it no longer."
	set.Long = "The new key is kept first, so that no moment loses both; the same command\n" +
		"finishes a change that was cut short. The master key under which the content is\n" +
		"encrypted stays: whoever had the old key and kept a copy of kopia.repository\n" +
		"from then can still read.\n\n" +
		"After a leak give --copy-to: every backup is then copied into a new repository\n" +
		"with a master key of its own, read back from it, and held to the old manifest\n" +
		"line by line. Holds and locks go along, and so do proofs, which then say that\n" +
		"they were carried over. Backups are known by their old ids in the new repository\n" +
		"too, and the records of their runs name the new place. The same command finishes\n" +
		"a copy that was cut short, and sends again what was damaged since.\n\n" +
		"The old repository stays as it is until you remove it. Who has the leaked key\n" +
		"reads it as long as its objects exist anywhere: destroying your own copies of the\n" +
		"key helps against nobody who has one."
	set.Example = "knowngood key rotate --app shop --repository s3://backups/shop --key-file shop-2.key"
	set.Faces = []step.Face{step.CLI}
	k.wanted.declare(set)
	k.wanted.declareReach(set)
	k.made.declare(set, k.wanted.from)
	k.locking.declare(set)
	set.Text(&k.catalog, "catalog", "",
		"Where the records lie: a folder, or s3://, gs:// or azblob:// with bucket and prefix; empty uses a folder of the user's own.", step.Fact())
	set.Text(&k.copyTo, "copy-to", "", "Copy all backups under a new master key into this repository, which is empty or was begun by the same command: a folder, or s3://, gs:// or azblob:// with bucket and prefix.")
}

// Run implements Step.
func (k *KeyRotate) Run(ctx context.Context, run *Run) error {
	if err := k.made.check(); err != nil {
		return err
	}
	old, err := k.wanted.key(ctx, run)
	if err != nil {
		return err
	}
	key, err := k.made.find(ctx, run)
	switch {
	case err != nil:
		return err
	case key == old:
		return fault.Hint(fault.Usagef("the place for the new key holds the old one"), "give another one for the new key")
	case k.copyTo != "":
		return k.copy(ctx, run, key)
	case key != "":
		k.wanted.known = key // of a change that was cut short, perhaps after it was done
		if done, err := k.opens(ctx, run); err != nil {
			return err
		} else if done {
			return k.tell(run)
		}
		k.wanted.known = old
	}
	repository, err := k.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	if key == "" {
		key = backup.NewKey()
	}
	run.Host.Mask(key.Reveal())
	if err := k.made.keep(ctx, run, key); err != nil {
		return err
	}
	if err := repository.ChangeKey(ctx, key); err != nil {
		return err
	}
	return k.tell(run)
}

// copy copies the repository into one under a new master key.
func (k *KeyRotate) copy(ctx context.Context, run *Run, key step.Hidden) error {
	from, err := k.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, from)
	if key == "" {
		key = backup.NewKey()
	}
	run.Host.Mask(key.Reveal())
	if err := k.made.keep(ctx, run, key); err != nil {
		return err
	}
	lock, err := k.locking.lock()
	if err != nil {
		return err
	}
	into := vault{repository: k.copyTo, allowHTTP: k.wanted.allowHTTP, known: key, lock: lock}
	query, err := k.wanted.query()
	if err != nil {
		return err
	}
	to, err := into.open(ctx, run, cmp.Or(query.App, "knowngood"), cmp.Or(k.wanted.environment, catalog.NoEnvironment), true)
	if err != nil {
		return err
	}
	defer leave(ctx, run, to)
	did, err := from.CopyTo(ctx, to)
	run.Result(did)
	// Also of a copy that is not done: what is there, is.
	linked, linking := k.link(ctx, run, placed(run, to, did.Copies...))
	if err != nil {
		err = fault.Hint(err, "the old repository is as it was; the same command goes on where this one ended")
	}
	if err := errors.Join(err, linking); err != nil {
		return err
	}
	return k.made.tell(run, copiedWords(did, from.Place(), to.Place())+" "+linked)
}

// copiedWords tell what was copied, and what is left to do.
func copiedWords(did backup.Copied, from, to string) string {
	words := fmt.Sprintf("%d backups are in %s, under a new master key, and were read back from there: %d had come before, %d were sent again because their copies were damaged, "+
		"%d are proved by a test restore of their originals, %d are on hold.", did.Backups, to, did.Before, did.Resent, did.Proved, did.Held)
	if did.Unlocked > 0 {
		words += fmt.Sprintf(" %d are locked in the old repository alone, because the new bucket keeps no locks.", did.Unlocked)
	}
	return words + fmt.Sprintf(" The old repository %s is as it was, and whoever has its key reads it: give the new place to every step that saves, save once, and then delete it and every copy of it. ", from)
}

// opens tells whether the key opens the repository.
func (k *KeyRotate) opens(ctx context.Context, run *Run) (bool, error) {
	repository, err := k.wanted.open(ctx, run)
	if errors.Is(err, backup.ErrPassword) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	leave(ctx, run, repository)
	return true, nil
}

func (k *KeyRotate) tell(run *Run) error {
	return k.made.tell(run, "The new key opens the repository, and the old one does no longer. The master key stays: whoever "+
		"had the old key and a copy of kopia.repository can still read. After a leak, copy the repository: key rotate --copy-to.")
}
