// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// BackupRestore restores a backup to a folder, or to a block device.
type BackupRestore struct {
	choice    choice
	to        string
	overwrite bool
	links     string
	limit     limit
}

// Declare implements Step.
func (r *BackupRestore) Declare(set *step.Set) {
	set.Name, set.Summary = "backup restore", "Restore a backup to a folder, or that of a raw device to a device."
	set.Long = "The folder is made, or has to be empty unless --overwrite is given. It shows the\n" +
		"backup whole or not at all: until then all lies in a folder .knowngood-restore\n" +
		"inside of it. The same command finishes a restore that was cut short. What cannot\n" +
		"be put back as it was, such as owners without root, is named, and the step then\n" +
		"ends with status 4. A backup of a raw device is put into a folder as its image,\n" +
		"volume.img. A device is written to where it is at least as large, not in use,\n" +
		"and holds nothing but zeros; it begins with a mark until all of it is there."
	set.Example = "knowngood backup restore --latest --app shop --repository s3://backups/shop --to /srv/shop"
	set.Faces = []step.Face{step.CLI}
	r.choice.declare(set)
	r.choice.wanted.declareReach(set)
	set.Text(&r.to, "to", "", "Folder, or block device, to restore to.", step.Required())
	set.Text(&r.links, "links", "", "File of signed links, as backup link writes it: restores the backup that it is of, by the key and without credentials of the bucket, whatever --repository says.")
	set.Bool(&r.overwrite, "overwrite", false, "Replace what is in the folder, which is deleted once the backup lies there whole, or on the device.")
	r.limit.declare(set)
}

// restored is what the step prints as JSON.
type restored struct {
	Backup release.Backup `json:"backup"`
	Folder string         `json:"folder"`
	backup.Restored
}

// Run implements Step.
func (r *BackupRestore) Run(ctx context.Context, run *Run) error {
	repository, err := r.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	chosen, err := r.choice.find(ctx, repository)
	if err != nil {
		return err
	}
	run.Log.Info("backup chosen", "backup", chosen.ID, "taken", chosen.Taken.UTC().Format(time.DateTime), "volume", chosen.Volume, "commit", chosen.Commit)
	folder := absolute(run, r.to)
	target, err := target(chosen.ID, folder)
	if err != nil {
		return err
	}
	target.Overwrite = r.overwrite
	var did backup.Restored
	err = r.limit.within(ctx, chosen.Bytes, func(ctx context.Context) error {
		did, err = repository.Restore(ctx, target)
		return err
	})
	run.Result(restored{Backup: chosen, Folder: folder, Restored: did})
	if err == nil {
		run.Show(report.Restored(chosen, folder))
	}
	return err
}

// open opens the repository, or what links lead to.
func (r *BackupRestore) open(ctx context.Context, run *Run) (*backup.Repository, error) {
	if r.links == "" {
		if err := r.choice.check(); err != nil {
			return nil, err
		}
		return r.choice.wanted.open(ctx, run)
	}
	repository, id, err := r.choice.wanted.linked(ctx, run, r.links)
	if err == nil && r.choice.id != "" && !strings.HasPrefix(id, r.choice.id) {
		leave(ctx, run, repository)
		return nil, fault.Usagef("the links in %s are to backup %s, not %s", r.links, id, r.choice.id)
	}
	r.choice.id, r.choice.latest = id, false
	return repository, err
}
