// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"fmt"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// KeyInit makes a key.
type KeyInit struct {
	cluster cluster
	made    newKey
}

// Declare implements Step.
func (k *KeyInit) Declare(set *step.Set) {
	set.Name, set.Summary = "key init", "Make a random key for a repository, in a file or a Kubernetes Secret."
	set.Long = "One application in one environment has one repository and one key. Keep a copy of\n" +
		"the key where neither this machine nor the cluster can lose it: nobody reads the\n" +
		"backups without it, so that destroying every copy of the key destroys them. The\n" +
		"Secret holds it under password, and cannot be changed, only deleted."
	set.Example = "knowngood key init --key-file shop.key\nexport KNOWNGOOD_REPOSITORY_PASSWORD_FILE=shop.key"
	set.Faces = []step.Face{step.CLI}
	k.made.declare(set, &k.cluster)
	k.cluster.declareReach(set)
}

// Run implements Step.
func (k *KeyInit) Run(ctx context.Context, run *Run) error {
	if err := k.made.check(); err != nil {
		return err
	}
	key := backup.NewKey()
	run.Host.Mask(key.Reveal())
	if err := k.made.keep(ctx, run, key); err != nil {
		return err
	}
	return k.made.tell(run, "Keep a copy of the key elsewhere: without it nobody can read the backups.")
}

// KeyShow tells what is known of a repository's key.
type KeyShow struct {
	wanted wanted
	who    bool
}

// Declare implements Step.
func (k *KeyShow) Declare(set *step.Set) {
	set.Name, set.Summary = "key show", "Show what a key opens, never the key."
	set.Example = "knowngood key show --who --app shop --repository s3://backups/shop"
	set.Faces = []step.Face{step.CLI}
	k.wanted.declare(set)
	k.wanted.declareReach(set)
	set.Bool(&k.who, "who", false, "Also show whose backups the key opens.")
}

// shownKey is what the step prints as JSON.
type shownKey struct {
	backup.Seal
	Who []release.Backup `json:"who,omitempty"`
}

// Run implements Step.
func (k *KeyShow) Run(ctx context.Context, run *Run) error {
	repository, err := k.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	seal, err := repository.Seal(ctx)
	if err != nil {
		return err
	}
	shown := shownKey{Seal: seal}
	run.Show(report.Note(fmt.Sprintf("the key opens repository %s in %s: content under %s, key made or changed %s. "+
		"Whoever has the key reads all of it; there is no other key.",
		seal.ID, seal.Repository, seal.Encryption, seal.Changed.Format("2006-01-02 15:04:05 UTC"))))
	if k.who {
		if shown.Who, err = repository.List(ctx, backup.Query{}); err != nil {
			return err
		}
		run.Show(report.Backups(shown.Who))
	}
	run.Result(shown)
	return nil
}
