// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// BackupVerify proves a backup by restoring it.
type BackupVerify struct {
	choice  choice
	catalog string
	scratch string
	check   []string
	limit   limit
}

// Declare implements Step.
func (v *BackupVerify) Declare(set *step.Set) {
	set.Name, set.Summary = "backup verify", "Prove a backup: restore it to a scratch folder, compare it, and run the application's own check."
	set.Long = "The check is the command after \"--\", or under inputs: in .knowngood.yaml. It runs\n" +
		"in the restored folder, which KNOWNGOOD_RESTORED names; any status but 0 means\n" +
		"that the data is not good. The result becomes part of the record of the run that\n" +
		"took the backup."
	set.Example = "knowngood backup verify --latest --app shop --repository s3://backups/shop -- pg_controldata ."
	set.Faces = []step.Face{step.CLI}
	v.choice.declare(set)
	v.choice.wanted.declareReach(set)
	set.Text(&v.catalog, "catalog", "",
		"Where the records lie: a folder, or s3://, gs:// or azblob:// with bucket and prefix; empty uses a folder of the user's own.", step.Fact())
	set.Text(&v.scratch, "scratch", "", "Folder with room for the whole backup, which is restored in it and removed again; empty uses the machine's own for temporary files.")
	v.limit.declare(set)
	set.Command(&v.check, "check", "The application's own check of the restored data.")
	set.Output("run", "Name of the run whose backup was verified.")
	set.Output("record", "Where the entry of this step lies.")
	set.Output("record-digest", "Digest of that entry's bytes: sha256: and hexadecimal digits.")
}

// Run implements Step.
func (v *BackupVerify) Run(ctx context.Context, run *Run) error {
	if err := v.choice.check(); err != nil {
		return err
	}
	repository, err := v.choice.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	chosen, err := v.choice.find(ctx, repository)
	if err != nil {
		return err
	}
	// The entry belongs to the run that took the backup, whoever proves it later.
	s := subject{
		place: place{app: chosen.App, catalog: v.catalog}, environment: chosen.Environment,
		commit: string(chosen.Commit), run: chosen.Run,
	}
	return s.record(ctx, run, "backup-verify", func(ctx context.Context, e *release.Entry) error {
		proof := backup.Proof{ID: chosen.ID, CheckName: strings.Join(v.check, " ")}
		if proof.Scratch = os.TempDir(); v.scratch != "" {
			proof.Scratch = absolute(run, v.scratch)
		}
		if len(v.check) > 0 {
			proof.Check = func(ctx context.Context, folder string) error { return v.run(ctx, run, folder) }
		}
		var found release.Verification
		err := v.limit.within(ctx, chosen.Bytes, func(ctx context.Context) error {
			var err error
			found, err = repository.Verify(ctx, proof)
			return err
		})
		if !errors.Is(err, backup.ErrUntried) {
			chosen.Verified = &found
		}
		e.Copies = placed(run, repository, chosen)
		run.Tell(report.Copies(*e.Copies))
		return err
	})
}

// run runs the application's own check.
func (v *BackupVerify) run(ctx context.Context, run *Run, folder string) error {
	command := v.check
	if len(command) == 1 { // from the configuration: a line for a shell
		command = []string{"/bin/sh", "-ec", command[0]}
	}
	cmd := userCommand(ctx, run, command)
	cmd.Dir = folder
	cmd.Env = append(cmd.Env, "KNOWNGOOD_RESTORED="+folder)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return fmt.Errorf("%q ended with exit status %d", strings.Join(v.check, " "), exit.ExitCode())
	case err != nil:
		return fault.Hint(fmt.Errorf("%w: run %q: %w", backup.ErrNoCheck, strings.Join(v.check, " "), err), "the words after \"--\" are run as they are; for shell syntax write -- sh -c '...'")
	}
	return nil
}
