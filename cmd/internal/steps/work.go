// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/work"
)

// WorkSave saves a mounted claim from within a Job of ours. It leaves no entry: its caller does.
type WorkSave struct {
	vault  vault
	label  label
	folder string
}

// Declare implements Step.
func (s *WorkSave) Declare(set *step.Set) {
	set.Name, set.Summary = "work save", "Save a mounted claim; for a Job that the step snapshot or release began."
	set.Text(&s.folder, "folder", "", "Folder to save.", step.Word(), step.Required())
	s.label.declare(set)
	s.vault.declare(set)
}

// Run implements Step.
func (s *WorkSave) Run(ctx context.Context, run *Run) error {
	if s.vault.password == "" {
		return noKey()
	}
	repository, err := s.vault.open(ctx, run, s.label.app, s.label.environment, true)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	made, err := repository.Save(ctx, backup.Request{Folder: s.folder, Label: backup.Label{
		App: s.label.app, Environment: s.label.environment, Commit: release.Commit(s.label.commit), Run: s.label.run, Volume: s.label.volume,
	}})
	if made.ID != "" {
		run.Result(release.Copies{Repository: repository.Place(), InClear: repository.InClear(), Backups: []release.Backup{fit(made)}})
	}
	return err
}

// WorkProve restores a backup to a scratch claim and compares it. A check, where there is one,
// runs after it, on what it leaves there.
type WorkProve struct {
	vault            vault
	app, environment string
	id, folder, keep string
}

// Declare implements Step.
func (w *WorkProve) Declare(set *step.Set) {
	set.Name, set.Summary = "work prove", "Restore a backup to a scratch claim and compare it; for a Job that the step snapshot or release began."
	set.Text(&w.id, "backup", "", "Id of the backup.", step.Word(), step.Required())
	set.Text(&w.folder, "to", "", "Folder to restore to.", step.Required())
	set.Text(&w.keep, "keep", "", "File in which to keep what was found.", step.Required())
	set.Text(&w.app, "app", "", appDoc, step.Required())
	set.Text(&w.environment, "environment", "", environmentDoc, step.Required())
	w.vault.declare(set)
}

// Run implements Step.
func (w *WorkProve) Run(ctx context.Context, run *Run) error {
	repository, err := w.vault.open(ctx, run, w.app, w.environment, false)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	found, err := repository.Prove(ctx, w.id, w.folder)
	run.Result(fitVerification(found))
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
	vault            vault
	app, environment string
	id, keep, check  string
}

// Declare implements Step.
func (w *WorkConclude) Declare(set *step.Set) {
	set.Name, set.Summary = "work conclude", "Keep that a backup is proved; for a Job that the step snapshot or release began."
	set.Text(&w.id, "backup", "", "Id of the backup.", step.Word(), step.Required())
	set.Text(&w.keep, "keep", "", "File in which work prove kept what was found.", step.Required())
	set.Text(&w.check, "check", "", "What the check was, for people.")
	set.Text(&w.app, "app", "", appDoc, step.Required())
	set.Text(&w.environment, "environment", "", environmentDoc, step.Required())
	w.vault.declare(set)
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
	repository, err := w.vault.open(ctx, run, w.app, w.environment, false)
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

const (
	appDoc         = "Name of the application."
	environmentDoc = "Name of the environment."
)

// label holds what a backup is of, as the caller of a Job has resolved it.
type label struct{ app, environment, commit, run, volume string }

func (l *label) declare(set *step.Set) {
	set.Text(&l.app, "app", "", appDoc, step.Required())
	set.Text(&l.environment, "environment", "", environmentDoc, step.Required())
	set.Text(&l.commit, "commit", "", "Commit that is, or is to be, deployed: its full id.", step.Required())
	set.Text(&l.run, "run", "", "Name of the run.", step.Required())
	set.Text(&l.volume, "volume", "", "Name of the claim.", step.Required())
}

// fit leaves out names of a backup's entries until it fits into a message; their number stays.
func fit(b release.Backup) release.Backup {
	for len(b.Lacking) > 0 {
		if data, err := json.Marshal(b); err == nil && len(data) <= work.ResultLimit-600 {
			break
		}
		b.Lacking = b.Lacking[:len(b.Lacking)-1]
	}
	return b
}
