// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
)

// A repository whose manifests are of one piece, and whose contents have kopia's usual names, was
// written by an earlier version. It opens, gives back what it holds, and takes new backups.
func TestARepositoryOfAnEarlierVersionStaysOne(t *testing.T) {
	t.Parallel()
	place, target := t.TempDir(), filepath.Join(t.TempDir(), "new")
	if err := os.CopyFS(place, os.DirFS("testdata/earlier")); err != nil {
		t.Fatal(err)
	}
	o := options(t, place)
	o.Password, o.Setup = "a key of an earlier version", false
	r := open(t, o)
	all, err := r.List(t.Context(), backup.Query{App: "shop"})
	if err != nil || len(all) != 1 || all[0].Entries != 7 {
		t.Fatalf("%v: %+v", err, all)
	}
	if _, err := r.Restore(t.Context(), backup.Target{ID: all[0].ID, Folder: target}); err != nil && (os.Geteuid() == 0 || fault.StatusOf(err) != fault.Partial) {
		t.Fatal(err)
	}
	first, err := os.Stat(filepath.Join(target, "a"))
	if err != nil || first.Size() != 6 || !first.ModTime().Equal(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)) {
		t.Fatalf("%v: %+v", err, first)
	}
	if second, err := os.Stat(filepath.Join(target, "sub/link")); err != nil || !os.SameFile(first, second) {
		t.Errorf("%v: two names of one file are not", err)
	}
	made := save(t, r, target)
	again := filepath.Join(t.TempDir(), "again")
	restore(t, r, made.ID, again)
	same(t, target, again)
}

// later are options by a clock that is ahead: what was written just now was left alone long enough
// to be known by its times.
func later(t *testing.T) backup.Options {
	t.Helper()
	o := options(t, t.TempDir())
	o.Now = func() time.Time { return time.Now().Add(10 * time.Second) }
	return o
}

// What a small change of a large folder adds does not depend on how large the folder is: most of
// the manifest is that of the backup before.
func TestAChangeGrowsTheRepositoryByAboutItsSize(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for i := range 3000 {
		write(t, filepath.Join(source, fmt.Sprintf("d%02d/f%04d", i/100, i)), fmt.Sprint("file ", i))
	}
	r := open(t, later(t))
	whole := save(t, r, source)
	for i := range 3 {
		write(t, filepath.Join(source, fmt.Sprintf("d%02d/f%04d", i*5, i*500+7)), strings.Repeat("changed ", i+1))
	}
	grown := save(t, r, source)
	if grown.Stored > whole.Stored/10 {
		t.Errorf("three of 3000 files changed: %d bytes more, after %d for all of them", grown.Stored, whole.Stored)
	}
	target := filepath.Join(t.TempDir(), "new")
	restore(t, r, grown.ID, target)
	same(t, source, target)
}

// A change of an attribute alone is saved, though attributes of a file that is as it was are not
// read.
func TestAChangeOfAnAttributeIsSaved(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "new")
	path := filepath.Join(source, "file")
	write(t, path, "content")
	if err := unix.Setxattr(path, "user.colour", []byte("red"), 0); err != nil {
		t.Skipf("the file system has no attributes: %v", err)
	}
	r := open(t, later(t))
	save(t, r, source)
	save(t, r, source)
	if err := unix.Setxattr(path, "user.colour", []byte("blue"), 0); err != nil {
		t.Fatal(err)
	}
	restore(t, r, save(t, r, source).ID, target)
	same(t, source, target)
}
