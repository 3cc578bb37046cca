// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// BackupLink signs links by which a backup is restored without credentials of its bucket.
type BackupLink struct {
	choice  choice
	to      string
	expires time.Duration
}

// Declare implements Step.
func (l *BackupLink) Declare(set *step.Set) {
	set.Name, set.Summary = "backup link", "Sign links by which one backup can be restored without credentials of its bucket, until they expire."
	set.Long = "One link leads to one object, and a backup lies encrypted in many: the file holds\n" +
		"a link to each that the backup needs. Who has the file and the key of the\n" +
		"repository restores by backup restore --links FILE; who has the file alone reads\n" +
		"what is encrypted. It cannot be taken back before it expires, but by changing the\n" +
		"credentials that signed; those of a session sign for no longer than the session.\n" +
		"Links are written to a file for you alone, and never to a log, a record, or a\n" +
		"comment: where others could read it, such a link would be given to all of them."
	set.Example = "knowngood backup link --latest --app shop --repository s3://backups/shop --expires 8h --to shop.links"
	set.Faces = []step.Face{step.CLI}
	l.choice.declare(set)
	l.choice.wanted.declareReach(set)
	set.Text(&l.to, "to", "", "File to write the links to, readable for you alone. One that is there is never overwritten.", step.Required())
	set.Duration(&l.expires, "expires", 8*time.Hour, "How long the links last, at most a week.")
}

// linkedTo is what the step prints as JSON: no link.
type linkedTo struct {
	Backup  string    `json:"backup"`
	File    string    `json:"file"`
	Objects int       `json:"objects"`
	Expires time.Time `json:"expires"`
}

// Run implements Step.
func (l *BackupLink) Run(ctx context.Context, run *Run) error {
	if err := l.choice.check(); err != nil {
		return err
	}
	repository, err := l.choice.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	chosen, err := l.choice.find(ctx, repository)
	if err != nil {
		return err
	}
	links, err := repository.Link(ctx, chosen.ID, l.expires)
	if err != nil {
		return err
	}
	file := absolute(run, l.to)
	if err := writeLinks(file, links); err != nil {
		return err
	}
	run.Result(linkedTo{Backup: chosen.ID, File: file, Objects: len(links.Objects), Expires: links.Expires})
	run.Tell(report.Note(fmt.Sprintf("%s holds links to the %d objects of backup %s, until %s. Whoever has it and the key restores by: "+
		"knowngood backup restore --links FILE --to FOLDER. Hand it on as you would hand on a password.",
		file, len(links.Objects), chosen.ID, links.Expires.Format("2006-01-02 15:04 UTC"))))
	return nil
}

// writeLinks writes a file that only its owner reads, whole or not at all.
func writeLinks(path string, links backup.Links) error {
	data, err := json.Marshal(links)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.Hint(fault.Usagef("file %s exists already", path), "give another name, or remove it")
	} else if err != nil {
		return fault.Exit(fault.Usage, fmt.Errorf("write the links: %w", err))
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the links: %w", err), os.Remove(path))
	}
	return nil
}

// linked opens the backup that the links of a file lead to.
func (w *wanted) linked(ctx context.Context, run *Run, path string) (*backup.Repository, string, error) {
	file, err := os.Open(absolute(run, path))
	if err != nil {
		return nil, "", fault.Exit(fault.Usage, fmt.Errorf("read the links: %w", err))
	}
	defer file.Close()
	links, err := backup.ReadLinks(file)
	if err != nil {
		return nil, "", fmt.Errorf("read the links in %s: %w", path, err)
	}
	if left := links.Expires.Sub(run.Now()); left <= 0 {
		return nil, "", fault.Hint(fault.Usagef("the links in %s expired %s ago", path, -left.Round(time.Second)), "ask for new ones: knowngood backup link")
	}
	w.links = &links
	repository, err := w.vault.open(ctx, run, "knowngood", "links", false)
	return repository, links.Backup, err
}
