// SPDX-License-Identifier: Apache-2.0

package report

import (
	"regexp"
	"strings"
)

// gap is a zero-width space. GitHub looks for mentions, references and emoji in the text that
// Markdown has become, where neither a backslash nor a character reference for the sign itself
// helps; a character in between does.
const gap = "&#8203;"

var (
	reference = regexp.MustCompile(`(?i)#[0-9]|gh-[0-9]`)
	address   = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*:/|www\.|(?:mailto|xmpp|tel):`)
	shortcode = regexp.MustCompile(`:[A-Za-z0-9_+-]+(?::|$)`) // a colon of ours may follow
	numbered  = regexp.MustCompile(`^[0-9]+[.)]`)
)

// prose returns hostile text, at most limit characters of it, as Markdown that shows just that
// text: within a paragraph, a list item, a heading or a table's cell.
func prose(text string, limit int) string { return escape(cut(Clean(text), limit)) }

func escape(text string) string {
	var b strings.Builder
	cuts := gaps(text)
	for i := range len(text) {
		if cuts[i] {
			b.WriteString(gap)
		}
		c := text[i]
		switch {
		case c == '<':
			b.WriteString("&lt;")
		case c == '>':
			b.WriteString("&gt;")
		case c == '&':
			b.WriteString("&amp;")
		case c == '|':
			b.WriteString("&#124;") // a table splits its cells before it looks at backslashes
		case c == '$':
			b.WriteString(`<span>\$</span>`) // GitHub's own way to keep two of them from being a formula
		case strings.IndexByte("\\`*_[]~!", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case i == 0 && strings.IndexByte("-+=#", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
		if c == '@' {
			b.WriteString(gap)
		}
	}
	escaped := b.String()
	if at := numbered.FindStringIndex(escaped); at != nil { // "1." would begin a list
		escaped = escaped[:at[1]-1] + `\` + escaped[at[1]-1:]
	}
	return escaped
}

// gaps returns the places of text before which a gap keeps it from becoming a reference
// (#1, GH-1), a link (https://, www., mailto:) or an emoji (:name:).
func gaps(text string) map[int]bool {
	places := map[int]bool{}
	for _, at := range reference.FindAllStringIndex(text, -1) {
		places[at[1]-1] = true
	}
	for _, at := range address.FindAllStringIndex(text, -1) {
		places[at[1]-1] = true
	}
	for from := 0; ; {
		at := shortcode.FindStringIndex(text[from:])
		if at == nil {
			return places
		}
		places[from+at[0]+1] = true
		from += at[1] - 1 // the closing colon may open the next
	}
}

// code returns hostile text, at most limit characters of it, as a code span that it cannot
// leave. Nothing is live in a code span: no mention, no link, no reference.
func code(text string, limit int) string { return codeOf(cut(Clean(text), limit)) }

// codeEnd is code for paths and ids, whose end tells more than their beginning.
func codeEnd(text string, limit int) string { return codeOf(cutFront(Clean(text), limit)) }

func codeOf(text string) string {
	if text == "" {
		return "–"
	}
	if strings.Contains(text, "|") { // a table would split the span
		return "<code>" + escape(text) + "</code>"
	}
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if text[0] == '`' || text[len(text)-1] == '`' {
		text = " " + text + " "
	}
	return fence + text + fence
}

// strong returns one of our own words in bold.
func strong(word string) string { return "**" + word + "**" }

// link returns Markdown as a link, or as it is where there is no address.
func link(markdown, address string) string {
	if address == "" {
		return markdown
	}
	return "[" + markdown + "](" + address + ")"
}

// together keeps the words of a table's cell on one line.
func together(words string) string { return strings.ReplaceAll(words, " ", "&nbsp;") }

// count returns "1 finding" or "3 findings".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}
