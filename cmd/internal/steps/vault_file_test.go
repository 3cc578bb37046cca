// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A key that others may read is taken with a warning, and one in a mounted Secret without.
func TestAKeyFileThatOthersMayReadIsTold(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("the key of the repository\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	write("mount/..2026_11_28/password", 0o644)
	for link, to := range map[string]string{"mount/..data": "..2026_11_28", "mount/password": "..data/password", "link": "open"} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, warns := range map[string]bool{
		write("own", 0o600): false, write("open", 0o644): true, write("all", 0o666): true, write("group", 0o640): true,
		filepath.Join(folder, "link"): true, filepath.Join(folder, "mount/password"): false, filepath.Join(folder, "absent"): false, "/dev/null": false,
	} {
		run, _ := keeping(t)
		var said strings.Builder
		run.Log, run.Environ = slog.New(slog.NewTextHandler(&said, nil)), []string{keyFile + "=" + path}
		v := &vault{password: "the key of the repository"}
		if _, err := v.key(t.Context(), run); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(said.String(), "level=WARN") && strings.Contains(said.String(), path); got != warns {
			t.Errorf("%s: warned %v, want %v: %s", path, got, warns, said.String())
		}
	}
}

// What a command of the key says on its standard error may be the key: no error has it, and the log
// has no word that could be one.
func TestAKeyOnStandardErrorIsNotShown(t *testing.T) {
	t.Parallel()
	const key = "S3CRETS3CRETS3CRETS3CRETS3CRET"
	for _, line := range []string{
		"echo no card >&2; echo " + key + " >&2; exit 3",
		"echo no card, key=" + key + " >&2",
		"echo no card >&2; echo " + key + "; exit 3",
	} {
		run, _ := keeping(t)
		var said strings.Builder
		run.Log = slog.New(slog.NewTextHandler(&said, nil))
		_, err := keyByCommand(t.Context(), run, line, keyPatience)
		if err == nil || strings.Contains(err.Error(), "no card") || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: error %v", line, err)
		}
		if !strings.Contains(said.String(), "no card") || strings.Contains(said.String(), "S3CRET") {
			t.Errorf("%s: logged %s", line, said.String())
		}
	}
}
