// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/rogpeppe/go-internal/diff"
)

// Changes returns what would change in a file, line by line as "diff -u" tells it.
func Changes(path, have, want string) string {
	name := Clean(path)
	return Verbatim(string(diff.Diff(name+" (there)", []byte(have), name+" (new)", []byte(want))))
}

// Verbatim returns text whose lines and blanks are kept, and in which nothing hides: what is
// neither a line break nor printable is spelled out, and no line is a workflow command.
func Verbatim(text string) string {
	lines := strings.Split(strings.ToValidUTF8(text, "\uFFFD"), "\n")
	for i, line := range lines {
		var b strings.Builder
		for _, r := range line {
			switch {
			case r == '\t':
				b.WriteString("    ")
			case !unicode.IsPrint(r) || invisible(r):
				fmt.Fprintf(&b, "[U+%04X]", r)
			default:
				b.WriteRune(r)
			}
		}
		lines[i] = defuse(b.String())
	}
	return strings.Join(lines, "\n")
}
