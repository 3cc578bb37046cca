// SPDX-License-Identifier: Apache-2.0

package sarif

import "io/fs"

// Limits bound what Read takes from one file. A zero field stands for its default.
type Limits struct {
	// File is the size of the whole file in bytes, after decompression.
	File int64
	// Value is the size in bytes of a single JSON value that has to be held whole, such as
	// one string, or one code flow that is passed over.
	Value int64
	// Findings is the number of results in one file.
	Findings int
	// Kept is how many bytes of text, all told, are kept of one file.
	Kept int64
	// Members is the number of entries in any other list that has to be followed, such as
	// the rules of a tool. An object may have a tenth of it.
	Members int
}

// The defaults. Real files of large code bases stay far below them.
const (
	DefaultFile     = 4 << 30
	DefaultValue    = 12 << 20
	DefaultKept     = 512 << 20
	DefaultFindings = 100_000
	DefaultMembers  = 1_000_000
)

// objectShare is how many times fewer members an object may have than a list has elements:
// the decoder holds all names of an open object to find duplicates.
const objectShare = 10

// maxText bounds each text that is kept, in bytes; more is cut with an ellipsis.
const maxText = 4096

// maxNotes bounds the notes on one scan; how many more there were is said.
const maxNotes = 20

func (l Limits) withDefaults() Limits {
	if l.File <= 0 {
		l.File = DefaultFile
	}
	if l.Value <= 0 {
		l.Value = DefaultValue
	}
	if l.Kept <= 0 {
		l.Kept = DefaultKept
	}
	if l.Findings <= 0 {
		l.Findings = DefaultFindings
	}
	if l.Members <= 0 {
		l.Members = DefaultMembers
	}
	return l
}

// Options say how to read. The zero value reads with the default limits.
type Options struct {
	Limits Limits
	// Root is the absolute path of the checkout, against which absolute paths in a file
	// are made relative. "" leaves those absolute that no other rule makes relative.
	Root string
	// Folder is where the file lies, and the external property files to which it refers.
	// With nil none is read. It must not lead out: os.Root's FS does not.
	Folder fs.FS
	// Source is the checkout that was scanned, from which lines are hashed where the file
	// itself identifies a result by its place alone. It must be the very commit that was
	// scanned: in another one's source the lines are other lines.
	Source fs.FS
}
