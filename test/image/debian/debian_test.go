// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPickTakesDebianAlone(t *testing.T) {
	cases := []struct{ name, targets, want string }{
		{"none", "", ""},
		{"the release", "Debian|bookworm|main|http://a.test/debian/\n", "http://a.test/debian"},
		{"not its updates", "Debian|bookworm-security|main|http://s.test/\nDebian|bookworm|main|http://a.test/debian/\n", "http://a.test/debian"},
		{"not another vendor's release of that name", "Vendor|bookworm|main|http://v.test/\nDebian|bookworm|main|http://a.test/debian/\n", "http://a.test/debian"},
		{"not another part", "Debian|bookworm|contrib|http://a.test/debian/\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := pick([]byte(c.targets)); got != c.want {
				t.Errorf("pick() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestKeyHoldsTheWholeRequest(t *testing.T) {
	base := Request{Suite: "bookworm", Include: []string{"b", "a"}, Omit: []string{"x"}}
	if again := key(Request{Suite: "bookworm", Include: []string{"a", "b", "a"}, Omit: []string{"x"}}); again != key(base) {
		t.Errorf("the order of packages changes the key: %s, %s", key(base), again)
	}
	for name, other := range map[string]Request{
		"suite":   {Suite: "trixie", Include: base.Include, Omit: base.Omit},
		"include": {Suite: "bookworm", Include: []string{"a"}, Omit: base.Omit},
		"omit":    {Suite: "bookworm", Include: base.Include},
	} {
		if key(other) == key(base) {
			t.Errorf("another %s has the same key", name)
		}
	}
}

func TestListKeepsLinksAndLeavesOut(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"usr/bin", "usr/share/doc/x", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"usr/bin/perl", "usr/share/doc/x/README", "dev/null"} {
		if err := os.WriteFile(filepath.Join(root, file), []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(root, "usr/bin/perl"), filepath.Join(root, "usr/bin/perl5")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil {
		t.Fatal(err)
	}
	entries, err := list(root, unneeded)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, strings.TrimSuffix(e.Path+" "+e.Link, " "))
	}
	want := []string{"bin usr/bin", "dev", "usr", "usr/bin", "usr/bin/perl", "usr/bin/perl5 usr/bin/perl", "usr/share"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list() (-want +got):\n%s", diff)
	}
}

func TestMkdirKeepsTheOwner(t *testing.T) {
	above := t.TempDir()
	if os.Geteuid() == 0 {
		if err := os.Chown(above, 1234, 2345); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // again, it finds what is there
		if err := mkdir(filepath.Join(above, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	owner := func(path string) [2]uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		return [2]uint32{stat.Uid, stat.Gid}
	}
	if got, want := owner(filepath.Join(above, "a", "b")), owner(above); got != want {
		t.Errorf("a new folder belongs to %v, the one above to %v", got, want)
	}
	if err := os.WriteFile(filepath.Join(above, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mkdir(filepath.Join(above, "file")); err == nil || !strings.Contains(err.Error(), "is no folder") {
		t.Errorf("mkdir() over a file = %v, want a refusal", err)
	}
}

// The cached tree is used as it is: nothing is asked of the host.
func TestImageFromTheCache(t *testing.T) {
	r := Request{Suite: "bookworm", Include: []string{"postgresql-15"}, Cache: t.TempDir(), Log: io.Discard}
	full := r
	full.Omit = unneeded
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := pack(filepath.Join(r.Cache, "bookworm-"+key(full)+".tar"), root, nil); err != nil {
		t.Fatal(err)
	}
	image, err := Image(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("Layers() = %d layers, %v; want one", len(layers), err)
	}
}

// IMAGE_TEST_DEBIAN=1 makes a real tree, twice, which takes two minutes and root.
func TestImageFromPackages(t *testing.T) {
	if os.Getenv("IMAGE_TEST_DEBIAN") == "" {
		t.Skip("set IMAGE_TEST_DEBIAN=1 to make a real Debian tree twice (root, debootstrap, minutes)")
	}
	suite, err := HostSuite()
	if err != nil {
		t.Fatal(err)
	}
	digest := func() string {
		t.Helper()
		cache := t.TempDir()
		image, err := Image(t.Context(), Request{Suite: suite, Include: []string{"ca-certificates"}, Cache: cache, Log: os.Stderr})
		if err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(cache, "tree-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		hash, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash.String()
	}
	if first, second := digest(), digest(); first != second {
		t.Errorf("two trees of the same packages differ: %s, %s", first, second)
	}
}
