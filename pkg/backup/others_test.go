// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// A key that is destroyed, so that nobody reads an application's backups any more, takes those of
// whoever shares the repository with it.
func TestARepositoryOfSeveralIsToldOf(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := options(t, t.TempDir())
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	r, source := open(t, o), t.TempDir()
	write(t, filepath.Join(source, "a"), "a")
	save(t, r, source)
	save(t, r, source)
	if strings.Contains(log.String(), "also_of") {
		t.Errorf("its own backups are those of another: %s", &log)
	}
	q := request(source)
	q.Label.Environment = "staging"
	if _, err := r.Save(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "also_of=shop/production") {
		t.Errorf("not told: %s", &log)
	}
}
