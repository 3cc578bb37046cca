// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"encoding/json"

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

// label holds what a backup is of, as the caller of a Job has resolved it.
type label struct{ app, environment, commit, run, volume string }

func (l *label) declare(set *step.Set) {
	set.Text(&l.app, "app", "", "Name of the application.", step.Required())
	set.Text(&l.environment, "environment", "", "Name of the environment.", step.Required())
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
