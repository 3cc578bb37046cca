// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/snapshotfs"
)

// kopiaSees saves to a repository of its own, and returns what kopia's own code sees there.
func kopiaSees(t *testing.T, q Request) fs.Entry {
	t.Helper()
	r, err := Open(t.Context(), Options{
		Place: t.TempDir(), Password: "a key that only the tests know", App: "shop", Environment: "none",
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Setup: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	q.Label = Label{App: "shop", Environment: "none", Volume: "data"}
	made, err := r.Save(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	m, err := snapshot.LoadSnapshot(t.Context(), r.kopia, manifest.ID(made.ID))
	if err != nil {
		t.Fatal(err)
	}
	root, err := snapshotfs.SnapshotRoot(r.kopia, m)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func nested(t *testing.T, root fs.Entry, names ...string) fs.Entry {
	t.Helper()
	found, err := snapshotfs.GetNestedEntry(t.Context(), root, names)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func kopiaReads(t *testing.T, file fs.File, want []byte) {
	t.Helper()
	reader, err := file.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got, err := io.ReadAll(reader); err != nil || !slices.Equal(got, want) {
		t.Errorf("kopia reads %d bytes, %v", len(got), err)
	}
}

// kopia's own code finds each file of a backup where it says, as far as kopia goes.
func TestKopiaReadsABackup(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	if err := os.MkdirAll(filepath.Join(source, "a/b"), 0o750); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("content "), 1<<20)
	if err := os.WriteFile(filepath.Join(source, "a/b/file"), want, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(source, "link")); err != nil {
		t.Fatal(err)
	}
	root := kopiaSees(t, Request{Folder: source})
	found := nested(t, root, "data", "a", "b", "file")
	file, ok := found.(fs.File)
	if !ok || found.Mode().Perm() != 0o640 || found.Size() != int64(len(want)) {
		t.Fatalf("kopia sees %T, %v, %d bytes", found, found.Mode(), found.Size())
	}
	kopiaReads(t, file, want)
	link := nested(t, root, "data", "link")
	if symlink, ok := link.(fs.Symlink); !ok {
		t.Errorf("kopia sees a %T", link)
	} else if target, err := symlink.Readlink(t.Context()); err != nil || target != "a" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// kopia's own code reads the image of a device, whose index this package writes itself.
func TestKopiaReadsADevice(t *testing.T) {
	t.Parallel()
	want := make([]byte, 5<<20+512)
	copy(want[2<<20:], "content")
	source := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(source, want, 0o600); err != nil {
		t.Fatal(err)
	}
	root := kopiaSees(t, Request{Device: source})
	found := nested(t, root, "data", "volume.img")
	file, ok := found.(fs.File)
	if !ok || found.Size() != int64(len(want)) {
		t.Fatalf("kopia sees %T, %d bytes", found, found.Size())
	}
	kopiaReads(t, file, want)
}

// However large a device is, what is kept of its pieces stays small.
func TestThePiecesOfADevice(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int64{1: 1 << 20, 512 << 30: 1 << 20, 513 << 30: 2 << 20, 64 << 40: 128 << 20} {
		if got := pieceOf(size); got != want {
			t.Errorf("a device of %d bytes is cut into pieces of %d, want %d", size, got, want)
		}
	}
}
