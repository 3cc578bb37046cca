// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/snapshotfs"
)

// tree writes the folder as kopia itself would, as far as kopia can tell it. It makes each
// backup one that kopia's own program restores, and it is by the tree that kopia's maintenance
// knows what is in use.
type tree struct {
	ctx    context.Context
	writer repo.RepositoryWriter
	// wrote is told each folder that was written.
	wrote func(object.ID) error
	open  []level
}

// A level is a folder that is not complete yet.
type level struct {
	entry   *Entry
	builder *snapshotfs.DirManifestBuilder
}

func (t *tree) add(e *Entry) error {
	for len(t.open) > 0 && t.open[len(t.open)-1].entry.Path != e.parent() {
		if err := t.close(); err != nil {
			return err
		}
	}
	if e.Kind == Folder {
		t.open = append(t.open, level{e, &snapshotfs.DirManifestBuilder{}})
		return nil
	}
	made, err := t.entry(e)
	if err != nil || made == nil {
		return err
	}
	t.open[len(t.open)-1].builder.AddEntry(made)
	return nil
}

// entry returns what kopia can tell of an entry, nil for what it cannot.
func (t *tree) entry(e *Entry) (*snapshot.DirEntry, error) {
	made := dirEntry(e)
	var err error
	switch {
	case e.Kind == File && e.Object != "":
		made.Type, made.FileSize = snapshot.EntryTypeFile, e.Size
		made.ObjectID, err = object.ParseID(e.Object)
	case e.Kind == Symlink:
		made.Type, made.FileSize = snapshot.EntryTypeSymlink, int64(len(e.Target))
		made.ObjectID, err = t.link(e.Target)
	default:
		return nil, nil
	}
	return made, err
}

func (t *tree) link(target Name) (object.ID, error) {
	writer := t.writer.NewObjectWriter(t.ctx, object.WriterOptions{MetadataCompressor: compressor})
	defer writer.Close()
	if _, err := writer.Write([]byte(target)); err != nil {
		return object.EmptyID, err
	}
	return writer.Result()
}

// close completes the innermost folder and puts it into the one above.
func (t *tree) close() error {
	made, err := t.folder(t.open[len(t.open)-1])
	if err != nil {
		return err
	}
	t.open = t.open[:len(t.open)-1]
	t.open[len(t.open)-1].builder.AddEntry(made)
	return nil
}

func (t *tree) folder(l level) (*snapshot.DirEntry, error) {
	made := dirEntry(l.entry)
	manifest := l.builder.Build(made.ModTime, "")
	id, err := snapshotfs.WriteDirManifest(t.ctx, t.writer, string(l.entry.Path), manifest, compressor)
	made.Type, made.ObjectID, made.DirSummary = snapshot.EntryTypeDirectory, id, manifest.Summary
	if err == nil {
		err = t.wrote(id)
	}
	return made, err
}

// finish completes all folders and returns the outermost.
func (t *tree) finish() (*snapshot.DirEntry, error) {
	for len(t.open) > 1 {
		if err := t.close(); err != nil {
			return nil, err
		}
	}
	made, err := t.folder(t.open[0])
	if err == nil {
		made.Name = dataName
	}
	return made, err
}

// root returns the folder that holds the data and the manifest.
func (t *tree) root(data, manifest *snapshot.DirEntry) (*snapshot.DirEntry, error) {
	builder := &snapshotfs.DirManifestBuilder{}
	builder.AddEntry(data)
	builder.AddEntry(manifest)
	built := builder.Build(manifest.ModTime, "")
	id, err := snapshotfs.WriteDirManifest(t.ctx, t.writer, "", built, compressor)
	return &snapshot.DirEntry{
		Name: "backup", Type: snapshot.EntryTypeDirectory, Permissions: 0o700, ModTime: manifest.ModTime, ObjectID: id, DirSummary: built.Summary,
	}, err
}

// dirEntry returns what kopia keeps of every kind. Its names are JSON, so that bytes that are
// not UTF-8 are written as %FF.
func dirEntry(e *Entry) *snapshot.DirEntry {
	return &snapshot.DirEntry{
		Name: utf8Name(e.base()), Permissions: snapshot.Permissions(e.Mode),
		ModTime: fs.UTCTimestampFromTime(e.Modified.Time()), UserID: e.UID, GroupID: e.GID,
	}
}

func utf8Name(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		if _, size := utf8.DecodeRuneInString(name[i:]); r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", name[i])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
