// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

const (
	key    = step.Hidden("a key that only the tests know")
	commit = release.Commit("1111111111111111111111111111111111111111")
)

func options(t *testing.T, place string) backup.Options {
	t.Helper()
	return backup.Options{
		Place: place, Password: key, App: "shop", Environment: "production", Now: time.Now,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Setup: true,
	}
}

func open(t *testing.T, o backup.Options) *backup.Repository {
	t.Helper()
	r, err := backup.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(t.Context()) })
	return r
}

func request(folder string) backup.Request {
	return backup.Request{Folder: folder, Label: backup.Label{
		App: "shop", Environment: "production", Commit: commit, Run: "1", Volume: "data",
	}}
}

func save(t *testing.T, r *backup.Repository, folder string) release.Backup {
	t.Helper()
	made, err := r.Save(t.Context(), request(folder))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func restore(t *testing.T, r *backup.Repository, id, folder string) {
	t.Helper()
	if _, err := r.Restore(t.Context(), backup.Target{ID: id, Folder: folder}); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, source, target string) {
	t.Helper()
	if diff := cmp.Diff(fingerprint(t, source), fingerprint(t, target)); diff != "" {
		t.Errorf("what came back is not what was saved (-saved +restored):\n%s", diff)
	}
}

func TestARoundTripIsIdentical(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "new")
	torture(t, source)
	r := open(t, options(t, t.TempDir()))
	made := save(t, r, source)
	restore(t, r, made.ID, target)
	same(t, source, target)
	v, err := r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()})
	if err != nil || !v.Proved || v.Bytes != made.Bytes {
		t.Fatalf("%v: %+v", err, v)
	}
	listed, err := r.List(t.Context(), backup.Query{App: "shop"})
	if err != nil || len(listed) != 1 || listed[0].ID != made.ID || listed[0].Bytes != made.Bytes || listed[0].Verified == nil || !listed[0].Verified.Proved {
		t.Errorf("%v: %+v", err, listed)
	}
	if again := save(t, r, source); again.Stored > 64<<10 || again.Entries != made.Entries {
		t.Errorf("a second save of the same stores %d bytes: %+v", again.Stored, again)
	}
}

// A file that keeps its size and its time has changed all the same when its inode says so.
func TestAChangeThatKeepsSizeAndTimeIsSeen(t *testing.T) {
	t.Parallel()
	source, r := t.TempDir(), open(t, options(t, t.TempDir()))
	path, at := filepath.Join(source, "a"), time.Unix(1, 0)
	write(t, path, "one")
	os.Chtimes(path, at, at)
	save(t, r, source)
	write(t, path, "two")
	os.Chtimes(path, at, at)
	target := t.TempDir()
	restore(t, r, save(t, r, source).ID, target)
	same(t, source, target)
}

func TestWhereARestoreMayGo(t *testing.T) {
	t.Parallel()
	source, r := t.TempDir(), open(t, options(t, t.TempDir()))
	write(t, filepath.Join(source, "kept/new"), "new")
	made := save(t, r, source)
	target := t.TempDir()
	write(t, filepath.Join(target, "kept/old"), "old")
	write(t, filepath.Join(target, "gone"), "old")
	_, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Folder: target})
	if fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
		t.Errorf("a folder that holds something: %v", err)
	}
	if _, err := os.Stat(filepath.Join(target, "kept/old")); err != nil {
		t.Error(err)
	}
	if _, err := r.Restore(t.Context(), backup.Target{ID: made.ID, Folder: target, Overwrite: true}); err != nil {
		t.Error(err)
	}
	same(t, source, target)
}

// A volume is restored to another: both have the folder that a new file system brings.
func TestAVolumesOwnFolderIsNoHindrance(t *testing.T) {
	t.Parallel()
	source, target, r := t.TempDir(), t.TempDir(), open(t, options(t, t.TempDir()))
	for _, folder := range []string{source, target} {
		if err := os.Mkdir(filepath.Join(folder, "lost+found"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(source, "data"), "some")
	restore(t, r, save(t, r, source).ID, target)
	same(t, source, target)
}

func TestAFolderInTheMiddleOfARestoreIsNotSaved(t *testing.T) {
	t.Parallel()
	source, r := t.TempDir(), open(t, options(t, t.TempDir()))
	write(t, filepath.Join(source, ".knowngood-restore/state.json"), `{"id":"x"}`)
	if _, err := r.Save(t.Context(), request(source)); fault.StatusOf(err) != fault.Usage {
		t.Error(err)
	}
	if _, err := r.Save(t.Context(), request(filepath.Join(source, "absent"))); fault.StatusOf(err) != fault.Usage {
		t.Error(err)
	}
	inside := open(t, options(t, filepath.Join(t.TempDir(), "a/repository")))
	if _, err := inside.Save(t.Context(), request(filepath.Dir(inside.Place()))); fault.StatusOf(err) != fault.Usage {
		t.Errorf("a repository inside of what is saved: %v", err)
	}
}

func TestKeysThatDoNotOpen(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	open(t, options(t, place))
	for name, test := range map[string]struct {
		change func(*backup.Options)
		want   error
		status fault.Status
	}{
		"none":      {func(o *backup.Options) { o.Password = "" }, nil, fault.Usage},
		"short":     {func(o *backup.Options) { o.Password = "static-passw0rd" }, nil, fault.Usage},
		"wrong":     {func(o *backup.Options) { o.Password = "another key of enough length" }, backup.ErrPassword, fault.Usage},
		"no place":  {func(o *backup.Options) { o.Place, o.Setup = place+"/absent", false }, backup.ErrEmpty, fault.Failed},
		"empty":     {func(o *backup.Options) { o.Place, o.Setup = t.TempDir(), false }, backup.ErrEmpty, fault.Failed},
		"foreign":   {func(o *backup.Options) { o.Place = t.TempDir(); write(t, o.Place+"/x", "") }, nil, fault.Usage},
		"forbidden": {func(o *backup.Options) { o.Place = "/proc/none" }, nil, fault.Failed},
	} {
		o := options(t, place)
		test.change(&o)
		_, err := backup.Open(t.Context(), o)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || fault.StatusOf(err) != test.status || len(fault.Hints(err)) == 0 {
			t.Errorf("%s: status %d, %v, hints %q", name, fault.StatusOf(err), err, fault.Hints(err))
		}
		if err != nil && strings.Contains(err.Error(), "passw0rd") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// Whoever sets a repository up beside others must not bury what they write.
func TestManySetUpOneRepository(t *testing.T) {
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "a"), "text")
	const writers = 4
	var all sync.WaitGroup
	made, errs := make([]release.Backup, writers), make([]error, writers)
	for i := range writers {
		all.Go(func() {
			r, err := backup.Open(t.Context(), options(t, place))
			if err == nil {
				made[i], err = r.Save(t.Context(), request(source))
				r.Close(t.Context())
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	r := open(t, options(t, place))
	for _, one := range made {
		if _, err := r.Verify(t.Context(), backup.Proof{ID: one.ID, Scratch: t.TempDir()}); err != nil {
			t.Error(err)
		}
	}
}
