// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// BackupRepair brings back what all backups of a repository need.
type BackupRepair struct {
	wanted  wanted
	dryRun  bool
	forget  bool
	timeout time.Duration
}

// Declare implements Step.
func (r *BackupRepair) Declare(set *step.Set) {
	set.Name, set.Summary = "backup repair", "Bring back what all backups of a repository need, where objects of it are damaged or lost."
	set.Long = "Without --dry-run=false it shows what it found and changes nothing.\n\n" +
		"The index is brought back from the packs, each of which says at its end what it\n" +
		"holds, and kopia.repository from a copy beside it. A damaged object is moved to\n" +
		"knowngood/damaged/ in the bucket once what it held is stored anew. Of a list of\n" +
		"backups, a piece that cannot be read hides all others; it is left out, and the\n" +
		"backups that it named are told. After damage, backups that earlier prunes gave\n" +
		"up may come back. Run backup verify afterwards: a repair reads no data."
	set.Example = "knowngood backup repair --app shop --repository s3://backups/shop\n" +
		"knowngood backup repair --app shop --repository s3://backups/shop --dry-run=false"
	set.Faces = []step.Face{step.CLI}
	r.wanted.declareWhose(set)
	r.wanted.declareConfig(set)
	r.wanted.declareReach(set)
	set.Bool(&r.dryRun, "dry-run", true, "Show what was found and change nothing.")
	set.Bool(&r.forget, "forget", false, "Let it be no error any more that backups are lost which cannot be brought back.")
	set.Duration(&r.timeout, "timeout", 10*time.Minute, "How long to wait for another repair, or a prune, to end.")
}

// Run implements Step.
func (r *BackupRepair) Run(ctx context.Context, run *Run) error {
	if r.forget && r.dryRun {
		return fault.Hint(fault.Usagef("forget changes something, and dry-run changes nothing"), "give --dry-run=false too, after a look at what is lost")
	}
	query, err := r.wanted.query()
	if err != nil {
		return err
	}
	if r.wanted.repository == "" { // the default place is one for each application
		if err := named(query.App); err != nil {
			return err
		}
	}
	options, err := r.wanted.options(ctx, run, cmp.Or(query.App, "knowngood"), cmp.Or(r.wanted.environment, catalog.NoEnvironment))
	if err != nil {
		return err
	}
	did, err := backup.Repair(ctx, options, backup.Repairing{Apply: !r.dryRun, Forget: r.forget, Wait: r.timeout})
	if err != nil && !errors.Is(err, backup.ErrDamaged) {
		return err
	}
	run.Result(did)
	run.Show(report.Repair(report.Repairing{
		Needed: did.Needed(), Done: did.Done, Damaged: did.Damaged, Aside: did.Aside, Packs: did.Packs, Pieces: did.Pieces,
		Unread: did.Unread, Lists: did.Lists, Back: did.Back, Missing: did.Missing, Forgot: did.Done && r.forget,
	}))
	return err
}
