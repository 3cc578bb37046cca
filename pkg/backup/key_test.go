// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
)

func TestAKeyFileIsForItsOwnerAloneAndNeverReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	made := backup.NewKey()
	if err := backup.WriteKey(path, made); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := backup.WriteKey(path, backup.NewKey()); fault.StatusOf(err) != fault.Usage {
		t.Error(err)
	}
	if read, err := backup.ReadKey(path); err != nil || read != made || len(made.Reveal()) < 50 {
		t.Errorf("read %d characters, %v", len(read.Reveal()), err)
	}
}

func TestAChangedKeyOpensAllThatWasSaved(t *testing.T) {
	t.Parallel()
	place, source := t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "a"), "text")
	r := open(t, options(t, place))
	made := save(t, r, source)
	// What kopia's own program leaves beside the repository, and only the old key opens.
	write(t, filepath.Join(place, "kopia.blobcfg"), "sealed by the old key")
	if err := r.ChangeKey(t.Context(), "short"); fault.StatusOf(err) != fault.Usage {
		t.Error(err)
	}
	changed := backup.NewKey()
	if err := r.ChangeKey(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Open(t.Context(), options(t, place)); !errors.Is(err, backup.ErrPassword) {
		t.Errorf("the old key: %v", err)
	}
	o := options(t, place)
	o.Password = changed
	again := open(t, o)
	if _, err := again.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil {
		t.Error(err)
	}
	// A save that began under the old key ends well: the master key is the same.
	late := save(t, r, source)
	if _, err := again.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir()}); err != nil || late.ID == "" {
		t.Error(err)
	}
}
