// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"strings"
)

// parseLine reads an entry from its line. A save reads the line of each file that it need not
// read, so that the usual lines, as this program writes them, are read without a decoder of JSON.
func parseLine(line string) (*Entry, error) {
	if e, ok := parseUsual(line); ok {
		return e, nil
	}
	e := &Entry{}
	return e, json.Unmarshal([]byte(line), e)
}

// parseUsual reads a line with no other fields than most have, in the order in which they are
// written, and with plain text. Of any other line it says that it cannot.
func parseUsual(line string) (*Entry, bool) {
	u := usual{rest: line}
	e := &Entry{}
	u.skip(`{"path":"`)
	e.Path = Name(u.text())
	u.skip(`","type":"`)
	e.Kind = Kind(u.text())
	u.skip(`","mode":`)
	e.Mode = uint32(u.number(10)) //nolint:gosec // nine digits fit
	u.skip(`,"uid":`)
	e.UID = uint32(u.number(10)) //nolint:gosec // nine digits fit
	u.skip(`,"gid":`)
	e.GID = uint32(u.number(10)) //nolint:gosec // nine digits fit
	u.skip(`,"mtime":[`)
	e.Modified = u.stamp()
	u.skip(`],"ctime":[`)
	e.Changed = u.stamp()
	u.skip(`],"inode":`)
	e.Inode = uint64(u.number(19)) //nolint:gosec // never below zero
	if u.has(`,"link":`) {
		e.Link = uint64(u.number(19)) //nolint:gosec // never below zero
	}
	if u.has(`,"size":`) {
		e.Size = u.number(19)
	}
	if u.has(`,"sha256":"`) {
		e.SHA256 = u.text()
		u.skip(`"`)
	}
	if u.has(`,"object":"`) {
		e.Object = u.text()
		u.skip(`"`)
	}
	u.skip("}\n")
	return e, !u.other && u.rest == ""
}

// usual is what is left of a line. other is true once something was not as usual.
type usual struct {
	rest  string
	other bool
}

func (u *usual) has(text string) bool {
	rest, found := strings.CutPrefix(u.rest, text)
	u.rest = rest
	return found
}

func (u *usual) skip(text string) { u.other = !u.has(text) || u.other }

// text returns all up to the next quote.
func (u *usual) text() string {
	for i := range len(u.rest) {
		switch c := u.rest[i]; {
		case c == '"':
			text := u.rest[:i]
			u.rest = u.rest[i:]
			return text
		case c < ' ' || c > '~' || c == '\\':
			u.other = true
			return ""
		}
	}
	u.other = true
	return ""
}

// number returns a number of less digits than given.
func (u *usual) number(digits int) int64 {
	var n int64
	i := 0
	for ; i < len(u.rest) && u.rest[i] >= '0' && u.rest[i] <= '9'; i++ {
		n = 10*n + int64(u.rest[i]-'0')
		if i+1 >= digits {
			u.other = true
			return 0
		}
	}
	if i == 0 || i > 1 && u.rest[0] == '0' {
		u.other = true
	}
	u.rest = u.rest[i:]
	return n
}

func (u *usual) stamp() Stamp {
	seconds := u.number(19)
	u.skip(",")
	return Stamp{seconds, u.number(19)}
}
