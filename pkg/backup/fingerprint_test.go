// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fingerprint tells all that a folder holds, without the code under test: a line for each
// entry, by its path.
func fingerprint(t *testing.T, folder string) map[string]string {
	t.Helper()
	found, links := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(folder, path)
		line := fmt.Sprintf("mode %o owner %d:%d time %d.%09d device %x", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev)
		switch entry.Type() {
		case 0:
			sum, err := digest(path)
			if err != nil {
				return err
			}
			blocks := "all"
			if st.Blocks*512 < st.Size { // file systems give a file blocks beyond its end as they like
				blocks = fmt.Sprint(st.Blocks)
			}
			line += fmt.Sprintf(" size %d sum %x blocks %s", st.Size, sum, blocks)
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" target %q", target)
		}
		if !entry.IsDir() && st.Nlink > 1 {
			if links[st.Ino] == "" {
				links[st.Ino] = name
			}
			line += fmt.Sprintf(" file of %q", links[st.Ino])
		}
		found[name] = line + attributes(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func digest(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}

func attributes(t *testing.T, path string) string {
	t.Helper()
	buffer, value := make([]byte, 64<<10), make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buffer)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for name := range strings.SplitSeq(string(buffer[:n]), "\x00") {
		if name == "" {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf(" %s=%x", name, value[:n]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
