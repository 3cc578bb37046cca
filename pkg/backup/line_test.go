// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lineExamples are lines as they are written: usual ones, and those for a decoder of JSON.
func lineExamples(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, e := range []Entry{
		{Path: "a/b c", Kind: File, Mode: 0o644, UID: 4294967295, GID: 1, Modified: Stamp{1, 2}, Changed: Stamp{3, 999999999}, Inode: 1 << 63, Size: 7, SHA256: "00ff", Object: "Ix00"},
		{Path: ".", Kind: Folder, Modified: Stamp{-1, 0}},
		{Path: "d", Kind: Folder, Mode: 0o7777, Inode: 12},
		{Path: "l", Kind: File, Link: 3, Object: "00", Inode: 12},
		{Path: "empty", Kind: File, Object: "00"},
		{Path: "ä\"\\<\x7f", Kind: File, Object: "00"},
		{Path: "\xff", Kind: Symlink, Target: "\xfe"},
		{Path: "s", Kind: File, Size: 1 << 40, Sparse: true, Extents: []int64{1, 2}, Object: "00"},
		{Path: "x", Kind: File, Xattrs: map[string][]byte{"user.a": {0}}, Object: "00"},
		{Path: "t", Kind: File, Torn: true, Unread: "why", Object: "00"},
	} {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, append(line, '\n'))
	}
	return all
}

// TestUsualLines makes sure that usual lines are read without JSON, which is what they cost.
func TestUsualLines(t *testing.T) {
	examples := lineExamples(t)
	for _, i := range []int{2, 3, 4} {
		if _, ok := parseUsual(string(examples[i])); !ok {
			t.Errorf("%s is not read as usual", examples[i])
		}
	}
}

// FuzzLine holds what is read of a line to what a decoder of JSON reads of it.
func FuzzLine(f *testing.F) {
	for _, line := range lineExamples(f) {
		f.Add(line)
		f.Add(bytes.TrimSpace(line))
		f.Add(bytes.Replace(line, []byte(`"size":`), []byte(`"size":0`), 1))
		f.Add(bytes.Replace(line, []byte(`"inode":`), []byte(`"inode":99999999999`), 1))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, ok := parseUsual(string(line))
		if !ok {
			return
		}
		want := &Entry{}
		if err := json.Unmarshal(line, want); err != nil {
			t.Fatalf("%q is read, and is no JSON: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-json +ours):\n%s", line, diff)
		}
	})
}
