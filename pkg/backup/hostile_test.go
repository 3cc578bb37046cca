// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"io"
	"strings"
	"testing"
)

const head = `{"format":1,"began":"2026-01-01T00:00:00Z","app":"a","environment":"e","volume":"v"}` + "\n"

const topLine = `{"path":".","type":"dir","mode":493}` + "\n"

func readAll(text string) (entries int, err error) {
	l, err := readManifest(strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	for {
		if _, err := l.next(); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return entries, err
		}
		entries++
	}
}

func TestAManifestIsRead(t *testing.T) {
	t.Parallel()
	text := head + topLine +
		`{"path":"a","type":"dir"}` + "\n" +
		`{"path":"a/b","type":"file","size":3,"sha256":"00","object":"k1"}` + "\n" +
		`{"path":"a-","type":"symlink","target":"../../etc/passwd"}` + "\n" +
		`{"path":{"bytes":"//8="},"type":"fifo"}` + "\n" +
		`{"end":true,"entries":5,"files":1,"bytes":3}` + "\n"
	if n, err := readAll(text); n != 5 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
}

func TestHostileManifestsAreRefused(t *testing.T) {
	t.Parallel()
	end := `{"end":true,"entries":2,"files":0,"bytes":0}` + "\n"
	for name, text := range map[string]string{
		"empty":              "",
		"no manifest":        "hello\n",
		"newer":              `{"format":2}` + "\n",
		"cut off":            head + topLine,
		"cut in a line":      head + topLine + `{"path":"a"`,
		"no top":             head + `{"path":"a","type":"fifo"}` + "\n" + end,
		"top is a link":      head + `{"path":".","type":"symlink","target":"/etc"}` + "\n" + end,
		"absolute":           head + topLine + `{"path":"/etc/cron.d/x","type":"fifo"}` + "\n" + end,
		"up":                 head + topLine + `{"path":"../x","type":"fifo"}` + "\n" + end,
		"up inside":          head + topLine + `{"path":"a/../../x","type":"fifo"}` + "\n" + end,
		"dot":                head + topLine + `{"path":"./x","type":"fifo"}` + "\n" + end,
		"empty name":         head + topLine + `{"path":"","type":"fifo"}` + "\n" + end,
		"slash at the end":   head + topLine + `{"path":"a/","type":"dir"}` + "\n" + end,
		"nul":                head + topLine + `{"path":"a\u0000b","type":"fifo"}` + "\n" + end,
		"through a link":     head + topLine + `{"path":"a","type":"symlink","target":"/etc"}` + "\n" + `{"path":"a/x","type":"fifo"}` + "\n" + end,
		"no folder":          head + topLine + `{"path":"a/x","type":"fifo"}` + "\n" + end,
		"twice":              head + topLine + `{"path":"a","type":"fifo"}` + "\n" + `{"path":"a","type":"fifo"}` + "\n" + end,
		"back":               head + topLine + `{"path":"b","type":"fifo"}` + "\n" + `{"path":"a","type":"fifo"}` + "\n" + end,
		"staging":            head + topLine + `{"path":".knowngood-restore","type":"dir"}` + "\n" + end,
		"unknown type":       head + topLine + `{"path":"a","type":"door"}` + "\n" + end,
		"mode":               head + topLine + `{"path":"a","type":"fifo","mode":4294967295}` + "\n" + end,
		"size":               head + topLine + `{"path":"a","type":"file","object":"k","size":-1}` + "\n" + end,
		"extent":             head + topLine + `{"path":"a","type":"file","object":"k","size":9,"sparse":true,"extents":[5,9223372036854775807]}` + "\n" + end,
		"extents overlap":    head + topLine + `{"path":"a","type":"file","object":"k","size":9,"sparse":true,"extents":[0,5,4,2]}` + "\n" + end,
		"counts":             head + topLine + end,
		"something follows":  head + topLine + `{"end":true,"entries":1,"files":0,"bytes":0}` + "\n" + "x\n",
		"attribute no name":  head + topLine + `{"path":"a","type":"fifo","xattrs":{"":"eA=="}}` + "\n" + end,
		"attribute twice":    head + topLine + `{"path":"a","type":"fifo","xattrs":[{"name":"user.a","value":"eA=="},{"name":"user.a","value":"eA=="}]}` + "\n" + end,
		"nanoseconds":        head + topLine + `{"path":"a","type":"fifo","mtime":[0,1000000000]}` + "\n" + end,
		"content of nothing": head + topLine + `{"path":"a","type":"file","size":1}` + "\n" + end,
	} {
		if _, err := readAll(text); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(topLine + `{"path":"a/b","type":"file","size":3,"object":"k1"}` + "\n")
	f.Add(topLine + `{"path":"a","type":"dir"}` + "\n" + `{"path":"a/..","type":"fifo"}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := readManifest(strings.NewReader(head + text))
		if err != nil {
			t.Fatal(err)
		}
		folders := map[Name]bool{}
		for {
			e, err := l.next()
			if err != nil {
				return
			}
			path := "/" + string(e.Path) + "/"
			if e.Path != top && (!folders[e.parent()] || strings.Contains(path, "/../") || strings.Contains(path, "/./") || strings.Contains(path, "//")) {
				t.Errorf("%q is read", e.Path)
			}
			if e.Kind == Folder {
				folders[e.Path] = true
			}
		}
	})
}
