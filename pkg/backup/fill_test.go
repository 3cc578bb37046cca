// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/knowngood/knowngood/pkg/backup"
)

// A volume is filled once, whatever an earlier attempt has left on it; what it says is true of
// what lies there.
func TestAVolumeIsFilled(t *testing.T) {
	t.Parallel()
	source, r := t.TempDir(), open(t, options(t, t.TempDir()))
	write(t, filepath.Join(source, "data/orders"), "one order")
	write(t, filepath.Join(source, "top"), "x")
	made := save(t, r, source)
	for name, left := range map[string]func(t *testing.T, volume string){
		"nothing":         func(*testing.T, string) {},
		"what mkfs makes": func(t *testing.T, volume string) { t.Helper(); write(t, filepath.Join(volume, "lost+found/.x"), "") },
		"the staging folder": func(t *testing.T, volume string) {
			t.Helper()
			write(t, filepath.Join(volume, ".knowngood-restore/tree/data"), "half")
		},
		"all of it":  func(t *testing.T, volume string) { t.Helper(); restore(t, r, made.ID, volume) },
		"some of it": func(t *testing.T, volume string) { t.Helper(); write(t, filepath.Join(volume, "data/orders"), "one") },
		"all and more": func(t *testing.T, volume string) {
			t.Helper()
			restore(t, r, made.ID, volume)
			write(t, filepath.Join(volume, "more"), "")
		},
		"all, one file changed": func(t *testing.T, volume string) {
			t.Helper()
			restore(t, r, made.ID, volume)
			write(t, filepath.Join(volume, "top"), "y")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			volume := t.TempDir()
			left(t, volume)
			_ = os.Remove(filepath.Join(volume, "lost+found/.x")) // the folder alone was meant
			v, err := r.Fill(t.Context(), backup.Target{ID: made.ID, Folder: volume})
			if err != nil || !v.Proved || v.Files != made.Files || v.Bytes != made.Bytes {
				t.Fatalf("%v, %+v; want %d files, %d bytes", err, v, made.Files, made.Bytes)
			}
			_ = os.Remove(filepath.Join(volume, "lost+found"))
			info, err := os.Stat(source)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(volume, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			same(t, source, volume)
		})
	}
}
