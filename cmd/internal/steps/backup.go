// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// BackupSave saves a folder, or a raw block device.
type BackupSave struct {
	subject subject
	vault   vault
	folder  string
	volume  string
	timeout time.Duration
	locking locking
}

// Declare implements Step.
func (s *BackupSave) Declare(set *step.Set) {
	set.Name, set.Summary = "backup save", "Save a folder, or a raw block device, encrypted and deduplicated, in a repository."
	set.Long = "The first save sets the repository up. A save that is cut short leaves the\n" +
		"repository as it was, and the next one uses what was uploaded. What could not be\n" +
		"read, or changed while it was read, is named, and the step then ends with status\n" +
		"4. Owners, extended attributes, ACLs, hard links, special files and holes are\n" +
		"kept; to read all of them takes root. A block device is saved as its image,\n" +
		"volume.img; one that is mounted or held by another program is refused."
	set.Example = "export KNOWNGOOD_REPOSITORY_PASSWORD_FILE=shop.key\nknowngood backup save /srv/shop --app shop --repository s3://backups/shop"
	set.Faces = []step.Face{step.CLI}
	set.Text(&s.folder, "folder", "", "Folder, or block device, to save.", step.Word(), step.Required())
	s.subject.declare(set)
	s.vault.declare(set)
	s.vault.declareReach(set)
	set.Text(&s.volume, "volume", "", "Name under which it is saved; empty uses its path. Saves of one name share what they have in common.")
	set.Duration(&s.timeout, "timeout", backup.DefaultLimit, "How long the save may take; what was uploaded until then is used by the next one.")
	s.locking.declare(set)
	set.Output("backup", "Id of the backup.")
	set.Output("stored-bytes", "How many bytes the backup added to the repository.")
}

// Run implements Step.
func (s *BackupSave) Run(ctx context.Context, run *Run) error {
	if _, err := s.vault.key(ctx, run); err != nil {
		return err
	}
	var err error
	if s.vault.lock, err = s.locking.lock(); err != nil {
		return err
	}
	path := absolute(run, s.folder)
	request, err := request(path)
	if err != nil {
		return err
	}
	return s.subject.record(ctx, run, "backup-save", func(ctx context.Context, e *release.Entry) error {
		repository, err := s.vault.open(ctx, run, e.App, e.Environment, true)
		if err != nil {
			return err
		}
		defer leave(ctx, run, repository)
		request.Limit, request.Label = s.timeout, backup.Label{
			App: e.App, Environment: e.Environment, Commit: e.Commit, Run: e.Run, Volume: cmp.Or(s.volume, path),
		}
		made, err := repository.Save(ctx, request)
		if made.ID == "" {
			return err
		}
		e.Copies = leftIn(ctx, run, repository, made)
		run.Tell(report.Copies(*e.Copies))
		return errors.Join(err, run.Host.Output("backup", made.ID),
			run.Host.Output("stored-bytes", strconv.FormatInt(made.Stored, 10)))
	})
}

// leftIn is what a step that saved leaves in a repository, which was probed before.
func leftIn(ctx context.Context, run *Run, repository *backup.Repository, made ...release.Backup) *release.Copies {
	copies := placed(run, repository, made...)
	if probe, err := repository.Probe(ctx); err == nil {
		copies.Probe = &probe
	}
	return copies
}

// placed tells where backups lie.
func placed(run *Run, repository *backup.Repository, backups ...release.Backup) *release.Copies {
	return &release.Copies{
		Repository: repository.Place(), Address: repository.Address(), Backups: backups, InClear: repository.InClear(),
		Console: repository.Console(variable(run.Environ, "STORAGE_EMULATOR_HOST")),
	}
}

// request asks for what a path leads to, and refuses what cannot be saved before a repository is
// set up for it.
func request(path string) (backup.Request, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return backup.Request{}, fault.Usagef("folder %s: there is none", path)
	case err == nil && aDevice(info):
		return backup.Request{Device: path}, nil
	case err == nil && !info.IsDir():
		return backup.Request{}, fault.Hint(fault.Usagef("folder %s: is neither a folder nor a block device", path), "give the folder that holds it")
	}
	return backup.Request{Folder: path}, nil // what else hinders, the save tells and records
}

// target is where a path leads to, be it there or not. A device whose name is misspelt would become
// a folder in the memory of the machine.
func target(id, path string) (backup.Target, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && aDevice(info):
		return backup.Target{ID: id, Device: path}, nil
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/"):
		return backup.Target{}, fault.Hint(fault.Usagef("device %s: there is none", path), "lsblk shows those that are there")
	}
	return backup.Target{ID: id, Folder: path}, nil
}

// aDevice tells block devices from all else.
func aDevice(info fs.FileInfo) bool {
	return info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
}

// leave closes a repository whose work is done; what fails now loses nothing.
func leave(ctx context.Context, run *Run, repository *backup.Repository) {
	if err := repository.Close(context.WithoutCancel(ctx)); err != nil {
		run.Log.Warn("the repository could not be closed", "error", err)
	}
}

// BackupList lists backups.
type BackupList struct {
	wanted wanted
	probe  bool
}

// Declare implements Step.
func (l *BackupList) Declare(set *step.Set) {
	set.Name, set.Summary = "backup list", "List the backups in a repository, newest first."
	set.Example = "knowngood backup list --app shop --repository s3://backups/shop"
	set.Faces = []step.Face{step.CLI}
	l.wanted.declare(set)
	l.wanted.declareReach(set)
	set.Bool(&l.probe, "probe", false, "Also try what the repository needs of its bucket, as a save does first, and tell what was found; it writes an object of a few bytes and deletes it.")
}

// Run implements Step.
func (l *BackupList) Run(ctx context.Context, run *Run) error {
	query, err := l.wanted.query()
	if err != nil {
		return err
	}
	repository, err := l.wanted.open(ctx, run)
	if errors.Is(err, backup.ErrEmpty) && l.wanted.repository == "" {
		run.Result([]release.Backup{})
		run.Show(report.Backups(nil)) // nobody has saved anything in the default place yet
		return nil
	} else if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	found, err := repository.List(ctx, query)
	run.Result(append([]release.Backup{}, found...))
	run.Show(report.Backups(found))
	if !l.probe {
		return err
	}
	probe, probing := repository.Probe(ctx)
	if probing == nil {
		run.Show(report.Probe(probe))
	}
	return errors.Join(err, probing)
}

// open opens the repository for reading.
func (w *wanted) open(ctx context.Context, run *Run) (*backup.Repository, error) {
	query, err := w.query()
	if err != nil {
		return nil, err
	}
	if w.repository == "" { // the default place is one for each application
		if err := named(query.App); err != nil {
			return nil, err
		}
	}
	return w.vault.open(ctx, run, cmp.Or(query.App, "knowngood"), cmp.Or(w.environment, catalog.NoEnvironment), false)
}

// choice selects one backup: by id, or the newest.
type choice struct {
	wanted wanted
	id     string
	latest bool
}

func (c *choice) declare(set *step.Set) {
	set.Text(&c.id, "backup", "", "Id of the backup, or the first characters of it.", step.Word())
	set.Bool(&c.latest, "latest", false, "Take the newest backup.")
	c.wanted.declare(set)
}

// find returns the backup that was chosen. The newest of several volumes or environments would
// be one by chance.
func (c *choice) find(ctx context.Context, repository *backup.Repository) (release.Backup, error) {
	query, err := c.wanted.query()
	if err != nil {
		return release.Backup{}, err
	}
	if c.id != "" {
		return repository.Find(ctx, backup.Query{ID: c.id})
	}
	all, err := repository.List(ctx, query)
	if err != nil {
		return release.Backup{}, err
	}
	for _, other := range all {
		if first := all[0]; first.App != other.App || first.Environment != other.Environment || first.Volume != other.Volume {
			return first, fault.Hint(fault.Usagef("the newest backup is not one thing: there are backups of %s and of %s", about(first), about(other)),
				"give --app, --environment and --volume, or the backup's id, as backup list shows them")
		}
	}
	return repository.Find(ctx, query)
}

func about(b release.Backup) string {
	return fmt.Sprintf("%q of %q in %q", b.Volume, b.App, b.Environment)
}

// check refuses a choice that says nothing, or two things.
func (c *choice) check() error {
	if (c.id == "") == !c.latest {
		return fault.Hint(fault.Usagef("which backup is not clear"), "give its id, as backup list shows it, or --latest")
	}
	return nil
}
