// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// torture fills a folder with one of everything that a backup can lose. As root it also makes
// devices and gives files away.
func torture(t *testing.T, folder string) {
	t.Helper()
	root := os.Geteuid() == 0
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(folder, name) }
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		check(os.MkdirAll(filepath.Dir(at(name)), 0o755))
		check(os.WriteFile(at(name), []byte(text), 0o600))
		check(os.Chmod(at(name), mode))
	}
	write("plain", "text", 0o644)
	write("empty", "", 0o600)
	write("a/b", "in a", 0o600)
	write("a-b", "beside a", 0o600)
	write("a.b/c", "sorted between", 0o600)
	write("setuid", "s", 0o755|os.ModeSetuid|os.ModeSetgid)
	write("unreadable", "u", 0)
	for i, name := range []string{" ", "\n", "-rf", "\xff\xfe", "\xff", "%FF", "é", "e\u0301", "a\u202eb", "*", `"`, `\`, "..x", "...", ".hidden", "CON", strings.Repeat("n", 255)} {
		write("odd/"+name, fmt.Sprint(i), 0o640)
	}
	check(os.Mkdir(at("sticky"), 0o755))
	check(os.Chmod(at("sticky"), 0o777|os.ModeSticky))
	check(os.Mkdir(at("closed"), 0o700))
	write("closed/inside", "c", 0o400)
	check(os.Link(at("plain"), at("hard1")))
	check(os.Link(at("plain"), at("odd/hard2")))
	check(os.Link(at("empty"), at("empty2")))
	for name, target := range map[string]string{
		"link": "plain", "dangling": "nowhere", "out": "/etc/passwd", "up": "../../..", "loop": "loop", "badlink": "\xff\n", "dirlink": "a",
	} {
		check(os.Symlink(target, at(name)))
	}
	check(os.Link(at("link"), at("link2")))
	check(unix.Mkfifo(at("fifo"), 0o620))
	check(unix.Mknod(at("socket"), unix.S_IFSOCK|0o711, 0))
	sparse(t, at("sparse"), 8<<20)
	hole, err := os.Create(at("hole"))
	check(err)
	check(hole.Truncate(3 << 20))
	check(hole.Close())
	check(unix.Lsetxattr(at("plain"), "user.note", []byte("x\x00y"), 0))
	check(unix.Lsetxattr(at("plain"), "user.\xff\n", []byte("a name that is no UTF-8"), 0))
	check(unix.Lsetxattr(at("a"), "user.empty", nil, 0))
	check(unix.Lsetxattr(at("a/b"), "system.posix_acl_access", acl(), 0))
	check(unix.Lsetxattr(at("sticky"), "system.posix_acl_default", acl(), 0))
	big := make([]byte, 5<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(big)
	check(os.WriteFile(at("big"), big, 0o600))
	if root {
		check(unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		check(unix.Mknod(at("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 1234))))
		check(os.Lchown(at("a"), 1234, 5678))
		check(os.Lchown(at("a/b"), 1234, 5678))
		check(os.Lchown(at("link"), 99, 98))
		check(os.Chown(at("setuid"), 1000, 1000))
		check(os.Chmod(at("setuid"), 0o755|os.ModeSetuid))
		check(unix.Lsetxattr(at("big"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
		check(unix.Lsetxattr(at("link"), "trusted.note", []byte("l"), 0))
	}
	old := time.Date(1969, 7, 20, 20, 17, 40, 123456789, time.UTC)
	check(os.Chtimes(at("plain"), old, old))
	check(unix.UtimesNanoAt(unix.AT_FDCWD, at("dangling"), []unix.Timespec{{Sec: 1, Nsec: 2}, {Sec: 3, Nsec: 4}}, unix.AT_SYMLINK_NOFOLLOW))
	check(os.Chtimes(at("odd"), old, old))
	check(os.Chmod(at("closed"), 0o500))
	t.Cleanup(func() { _ = os.Chmod(at("closed"), 0o700) })
}

// sparse makes a file of mostly holes, with some data at its beginning, middle and end.
func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, offset := range []int64{0, size / 2, size - 4096} {
		if _, err := file.WriteAt(bytes.Repeat([]byte("data"), 1024), offset); err != nil {
			t.Fatal(err)
		}
	}
}

// acl is rw for the owner, r for user 1000, nothing for the group and for others.
func acl() []byte {
	var b bytes.Buffer
	for _, field := range []any{
		uint32(2),
		uint16(1), uint16(6), ^uint32(0),
		uint16(2), uint16(4), uint32(1000),
		uint16(4), uint16(0), ^uint32(0),
		uint16(16), uint16(4), ^uint32(0),
		uint16(32), uint16(0), ^uint32(0),
	} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	return b.Bytes()
}
