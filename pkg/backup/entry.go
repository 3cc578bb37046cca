// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Kind is what an entry of a folder is.
type Kind string

// Kinds of entries.
const (
	Folder  Kind = "dir"
	File    Kind = "file"
	Symlink Kind = "symlink"
	Fifo    Kind = "fifo"
	Socket  Kind = "socket"
	Char    Kind = "char"
	Block   Kind = "block"
)

// A Name is a path or the target of a link: bytes that need not be UTF-8. In JSON it is a
// string where it is UTF-8, else {"bytes": base64}.
type Name string

// MarshalJSON implements json.Marshaler.
func (n Name) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(n)) {
		return json.Marshal(string(n))
	}
	return json.Marshal(rawName{Bytes: []byte(n)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Name) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(n))
	}
	var raw rawName
	err := json.Unmarshal(data, &raw)
	*n = Name(raw.Bytes)
	return err
}

type rawName struct {
	Bytes []byte `json:"bytes"`
}

// A Stamp is a time as the file system keeps it: seconds since 1970 and nanoseconds.
type Stamp [2]int64

// Time returns the stamp as a time.
func (s Stamp) Time() time.Time { return time.Unix(s[0], s[1]) }

// An Entry is one line of a volume's manifest: all that is needed to put one entry of a folder
// back, and to prove that it is back.
type Entry struct {
	// Path is relative to the folder, with slashes; the folder itself is ".".
	Path Name `json:"path"`
	Kind Kind `json:"type"`
	// Mode holds the permissions with the set-id and sticky bits.
	Mode     uint32     `json:"mode"`
	UID      uint32     `json:"uid"`
	GID      uint32     `json:"gid"`
	Modified Stamp      `json:"mtime"`
	Changed  Stamp      `json:"ctime"`
	Inode    uint64     `json:"inode"`
	Xattrs   Attributes `json:"xattrs,omitempty"` // POSIX ACLs are among them
	// Link is the number of a group of names of one file, 0 for a file with one name.
	Link uint64 `json:"link,omitempty"`

	// Of a file: its bytes. Extents are pairs of offset and length where data is; where there
	// are none the whole file is data.
	Size    int64   `json:"size,omitempty"`
	SHA256  string  `json:"sha256,omitempty"`
	Object  string  `json:"object,omitempty"`
	Sparse  bool    `json:"sparse,omitempty"`
	Extents []int64 `json:"extents,omitempty"`
	// Torn is true when the file changed while it was read, each time it was tried.
	Torn bool `json:"torn,omitempty"`

	Target Name   `json:"target,omitempty"` // of a symlink
	Major  uint32 `json:"major,omitempty"`  // of a device
	Minor  uint32 `json:"minor,omitempty"`

	// Unread says why the content is not in the backup: "" when it is.
	Unread string `json:"unread,omitempty"`
}

// order compares paths in the order in which a folder is walked: what is in a folder comes
// right after it, and before its next neighbour.
func order(a, b Name) int {
	if a == b {
		return 0
	} else if a == top {
		return -1
	} else if b == top {
		return 1
	}
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			switch {
			case x == '/':
				return -1
			case y == '/':
				return 1
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// top is the path of the folder itself.
const top Name = "."

// check refuses an entry that no walk of ours can have made. The manifest was written under
// the repository's key, but whoever holds the key of one application must not gain the
// machine on which it is restored.
func (e *Entry) check() error {
	if !slices.Contains([]Kind{Folder, File, Symlink, Fifo, Socket, Char, Block}, e.Kind) {
		return fmt.Errorf("%q is of unknown type %q", e.Path, e.Kind)
	}
	if e.Path == staging {
		return fmt.Errorf("%q is where a restore prepares itself", e.Path)
	}
	if e.Path != top {
		for part := range strings.SplitSeq(string(e.Path), "/") {
			if part == "" || part == "." || part == ".." || len(part) > 255 || strings.ContainsRune(part, 0) {
				return fmt.Errorf("%q is no path below a folder", e.Path)
			}
		}
	}
	switch {
	case e.Mode&^0o7777 != 0:
		return fmt.Errorf("%q has mode %o", e.Path, e.Mode)
	case e.Size < 0 || e.Kind != File && e.Size != 0:
		return fmt.Errorf("%q has size %d", e.Path, e.Size)
	case e.Modified[1] < 0 || e.Modified[1] >= 1e9:
		return fmt.Errorf("%q has no time that is one", e.Path)
	case e.Kind == Symlink && (e.Target == "" || strings.ContainsRune(string(e.Target), 0)):
		return fmt.Errorf("%q is a link to nowhere", e.Path)
	case e.Path == top && e.Kind != Folder:
		return fmt.Errorf("the folder itself is of type %q", e.Kind)
	case e.Kind == File && e.Object == "" && e.Unread == "":
		return fmt.Errorf("%q has no content", e.Path)
	}
	for name := range e.Xattrs {
		if name == "" || strings.ContainsRune(name, 0) {
			return fmt.Errorf("%q has an extended attribute without a name", e.Path)
		}
	}
	return e.checkExtents()
}

func (e *Entry) checkExtents() error {
	if len(e.Extents)%2 != 0 || !e.Sparse && len(e.Extents) > 0 {
		return fmt.Errorf("%q has extents that are none", e.Path)
	}
	var end int64
	for i := 0; i < len(e.Extents); i += 2 {
		offset, length := e.Extents[i], e.Extents[i+1]
		if offset < end || length <= 0 || length > e.Size-offset {
			return fmt.Errorf("%q has an extent of %d bytes at %d, of %d", e.Path, length, offset, e.Size)
		}
		end = offset + length
	}
	return nil
}

// parent returns the path of the folder in which the entry lies.
func (e *Entry) parent() Name {
	if i := strings.LastIndexByte(string(e.Path), '/'); i >= 0 {
		return e.Path[:i]
	}
	return top
}

// base returns the last part of the path.
func (e *Entry) base() string { return string(e.Path)[strings.LastIndexByte(string(e.Path), '/')+1:] }
