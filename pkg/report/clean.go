// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// longest is how much of one hostile text is ever looked at, in bytes.
const longest = 16 << 10

// Clean returns text as one line that hides nothing: white space and line breaks become single
// blanks, and control characters, bidirectional marks and other invisible characters are
// spelled out as [U+202E]. It is for outputs and other places where the text is data. Text
// beyond 16 KiB is cut.
func Clean(text string) string {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	var b strings.Builder
	blank, marks := false, 0
	for _, r := range text {
		if unicode.IsSpace(r) {
			blank = true
			continue
		}
		if unicode.Is(unicode.M, r) {
			// A pile of combining marks paints over the lines above and below it.
			if marks++; marks > 3 {
				continue
			}
		} else {
			marks = 0
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		blank = false
		if r == utf8.RuneError || !unicode.IsPrint(r) || invisible(r) {
			fmt.Fprintf(&b, "[U+%04X]", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// invisible tells characters that Unicode counts as letters or symbols and that show nothing.
func invisible(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\u034f', '\u17b4', '\u17b5':
		return true
	}
	return false
}

// Line returns text as one line for a log or a terminal: clean, defused of workflow commands,
// and at most limit columns wide, cut with an ellipsis.
func Line(text string, limit int) string { return fit(defuse(Clean(text)), limit) }

// defuse breaks what GitHub's runner would obey in a log: a line that begins with "::", and
// "##[" anywhere in it.
func defuse(line string) string {
	line = strings.ReplaceAll(line, "##[", "## [")
	trimmed := strings.TrimLeft(line, " ")
	if strings.HasPrefix(trimmed, "::") {
		line = line[:len(line)-len(trimmed)] + ": " + trimmed[1:]
	}
	return line
}

// cut returns at most limit characters of clean text, the last one an ellipsis where it is more.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)
	return strings.TrimRight(string(runes[:limit-1]), " ") + "…"
}

// cutFront keeps the end of a text, where a path or an id differs from its neighbours.
func cutFront(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)
	return "…" + string(runes[len(runes)-limit+1:])
}

// fit returns text at most limit columns wide.
func fit(text string, limit int) string {
	if columns(text) <= limit {
		return text
	}
	used := 0
	for i, r := range text {
		if used+runeColumns(r) > limit-1 {
			return strings.TrimRight(text[:i], " ") + "…"
		}
		used += runeColumns(r)
	}
	return text
}

// fitFront returns the end of text, at most limit columns wide.
func fitFront(text string, limit int) string {
	if columns(text) <= limit {
		return text
	}
	used, at := 1, len(text)
	for at > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:at])
		if used += runeColumns(r); used > limit {
			break
		}
		at -= size
	}
	return "…" + text[at:]
}

// pad returns text filled with blanks, or cut, to exactly limit columns.
func pad(text string, limit int) string {
	text = fit(text, limit)
	return text + strings.Repeat(" ", limit-columns(text))
}

// columns returns how wide text is on a terminal.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	if unicode.Is(unicode.M, r) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}
