// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/work"
)

// reached is the repository of an application, as a Job of ours reaches it.
type reached struct {
	vault            vault
	app, environment string
	// place is where the repository lies, unless the Job's environment tells: an address that
	// may hold secrets stands in a Secret and in no argument.
	place string
}

func (r *reached) declare(set *step.Set) {
	set.Text(&r.app, "app", "", "Name of the application.", step.Required())
	set.Text(&r.environment, "environment", "", "Name of the environment.", step.Required())
	set.Text(&r.place, "place", "", "Where the repository lies, where --repository does not say.")
	r.vault.declare(set)
}

func (r *reached) open(ctx context.Context, run *Run, setup bool) (*backup.Repository, error) {
	r.vault.repository = cmp.Or(r.vault.repository, r.place)
	return r.vault.open(ctx, run, r.app, r.environment, setup)
}

// byItsJob is a limit for what the deadline of its Job ends before.
const byItsJob = 1000 * time.Hour

// WorkSave saves a mounted claim from within a Job of ours. It leaves no entry: its caller does.
type WorkSave struct {
	reached             reached
	commit, run, volume string
	folder              string
	locking             locking
}

// Declare implements Step.
func (s *WorkSave) Declare(set *step.Set) {
	set.Name, set.Summary = "work save", "Save a mounted claim; for a Job that the step snapshot or release began."
	set.Text(&s.folder, "folder", "", "Folder, or raw block device, to save.", step.Word(), step.Required())
	set.Text(&s.commit, "commit", "", "Commit that is, or is to be, deployed: its full id.", step.Required())
	set.Text(&s.run, "run", "", "Name of the run.", step.Required())
	set.Text(&s.volume, "volume", "", "Name of the claim.", step.Required())
	s.reached.declare(set)
	s.locking.declare(set)
}

// Run implements Step.
func (s *WorkSave) Run(ctx context.Context, run *Run) error {
	if s.reached.vault.password == "" {
		return noKey()
	}
	var err error
	if s.reached.vault.lock, err = s.locking.lock(); err != nil {
		return err
	}
	repository, err := s.reached.open(ctx, run, true)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	request, err := request(s.folder)
	if err != nil {
		return err
	}
	request.Limit, request.Label = byItsJob, backup.Label{
		App: s.reached.app, Environment: s.reached.environment, Commit: release.Commit(s.commit), Run: s.run, Volume: s.volume,
	}
	made, err := repository.Save(ctx, request)
	if made.ID != "" {
		run.Result(fit(leftIn(ctx, run, repository, made)))
	}
	return err
}

// bringing is a backup and where it is to be restored, as a Job is told.
type bringing struct {
	reached    reached
	id, folder string
}

func (b *bringing) declare(set *step.Set) {
	set.Text(&b.id, "backup", "", "Id of the backup.", step.Word(), step.Required())
	set.Text(&b.folder, "to", "", "Folder, or raw block device, to restore to.", step.Required())
	b.reached.declare(set)
}

// open opens the repository, which the caller leaves.
func (b *bringing) open(ctx context.Context, run *Run) (*backup.Repository, backup.Target, error) {
	target, err := target(b.id, b.folder)
	if err != nil {
		return nil, target, err
	}
	repository, err := b.reached.open(ctx, run, false)
	return repository, target, err
}

// WorkRestore brings a backup into a claim that nobody else mounts, and compares it.
type WorkRestore struct{ bringing bringing }

// Declare implements Step.
func (w *WorkRestore) Declare(set *step.Set) {
	set.Name, set.Summary = "work restore", "Restore a backup to a claim and compare it; for a Job that the step restore began."
	w.bringing.declare(set)
}

// Run implements Step.
func (w *WorkRestore) Run(ctx context.Context, run *Run) error {
	repository, target, err := w.bringing.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	found, err := repository.Fill(ctx, target)
	run.Result(fitVerification(found))
	return err
}

// WorkProve restores a backup to a scratch claim and compares it. A check, where there is one,
// runs after it, on what it leaves there.
type WorkProve struct {
	bringing bringing
	keep     string
}

// Declare implements Step.
func (w *WorkProve) Declare(set *step.Set) {
	set.Name, set.Summary = "work prove", "Restore a backup to a scratch claim and compare it; for a Job that the step snapshot or release began."
	w.bringing.declare(set)
	set.Text(&w.keep, "keep", "", "File in which to keep what was found.", step.Required())
}

// Run implements Step.
func (w *WorkProve) Run(ctx context.Context, run *Run) error {
	repository, target, err := w.bringing.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	// The device of a scratch claim may come with what was there before.
	target.Overwrite = target.Device != ""
	found, err := repository.Prove(ctx, target)
	if !errors.Is(err, backup.ErrUntried) {
		run.Result(fitVerification(found))
	}
	if err != nil {
		return err
	}
	data, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return os.WriteFile(w.keep, data, 0o600)
}

// WorkConclude keeps that a backup is proved, once the check that ran before it found it good.
type WorkConclude struct {
	reached         reached
	id, keep, check string
}

// Declare implements Step.
func (w *WorkConclude) Declare(set *step.Set) {
	set.Name, set.Summary = "work conclude", "Keep that a backup is proved; for a Job that the step snapshot or release began."
	set.Text(&w.id, "backup", "", "Id of the backup.", step.Word(), step.Required())
	set.Text(&w.keep, "keep", "", "File in which work prove kept what was found.", step.Required())
	set.Text(&w.check, "check", "", "What the check was, for people.")
	w.reached.declare(set)
}

// Run implements Step.
func (w *WorkConclude) Run(ctx context.Context, run *Run) error {
	data, err := os.ReadFile(w.keep)
	if err != nil {
		return err
	}
	var found release.Verification
	if err := json.Unmarshal(data, &found); err != nil {
		return fmt.Errorf("%s: %w", w.keep, err)
	}
	repository, err := w.reached.open(ctx, run, false)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	concluded, err := repository.Conclude(ctx, w.id, w.check, found)
	if err == nil {
		run.Result(concluded)
	}
	return err
}

// fitVerification leaves out differences until the verification fits into a message.
func fitVerification(v release.Verification) release.Verification {
	for len(v.Differences) > 0 {
		if data, err := json.Marshal(v); err == nil && len(data) <= work.ResultLimit {
			break
		}
		v.Differences = v.Differences[:len(v.Differences)-1]
	}
	return v
}

// fit leaves out what the Job's log tells too until it fits into a message: concerns about the
// bucket, then names of a backup's entries, whose number stays.
func fit(c *release.Copies) *release.Copies {
	for {
		data, err := json.Marshal(c)
		switch {
		case err == nil && len(data) <= work.ResultLimit:
			return c
		case c.Probe != nil && len(c.Probe.Concerns) > 0:
			c.Probe.Concerns = c.Probe.Concerns[:len(c.Probe.Concerns)-1]
		case len(c.Backups) > 0 && len(c.Backups[0].Lacking) > 0:
			c.Backups[0].Lacking = c.Backups[0].Lacking[:len(c.Backups[0].Lacking)-1]
		default:
			return c
		}
	}
}
