// SPDX-License-Identifier: Apache-2.0

package report

import "strings"

// pageWidth is how wide text for a terminal is, in columns.
const pageWidth = 80

// labelWidth is where text that has a label begins, in columns.
const labelWidth = 18

// A page is text for a terminal. Every line of it is clean, defused and at most 80 columns wide,
// whatever is put on it, but for commands, which are there to be copied.
type page struct{ lines []string }

// String returns the page with a line break at its end, or "" for an empty page.
func (p *page) String() string {
	text := strings.TrimRight(strings.Join(p.lines, "\n"), "\n")
	if text == "" {
		return ""
	}
	return text + "\n"
}

// line adds one line, cut where it is too wide.
func (p *page) line(text string) {
	p.lines = append(p.lines, strings.TrimRight(fit(defuse(text), pageWidth), " "))
}

// blank adds an empty line, unless there is one already or the page is empty.
func (p *page) blank() {
	if n := len(p.lines); n > 0 && p.lines[n-1] != "" {
		p.lines = append(p.lines, "")
	}
}

// field adds text after a label, wrapped; the lines after the first stand below the text.
func (p *page) field(label, text string) {
	lines := wrap(text, pageWidth-labelWidth)
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		p.line(pad(label, labelWidth-1) + " " + line)
	}
}

// command adds a command after a label, on one line however long it is.
func (p *page) command(label, text string) {
	p.lines = append(p.lines, pad(label, labelWidth-1)+" "+defuse(Clean(text)))
}

// text adds wrapped lines below the headline.
func (p *page) text(text string) {
	for _, line := range wrap(text, pageWidth-2) {
		p.line("  " + line)
	}
}

// wrap breaks clean text into lines of at most limit columns, at blanks where there are any.
func wrap(text string, limit int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && columns(line)+1+columns(word) <= limit {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for at := breakAt(word, limit); at < len(word); at = breakAt(word, limit) {
			lines = append(lines, word[:at])
			word = word[at:]
		}
		line = word
	}
	return append(lines, line)
}

// breakAt returns how much of a word fits.
func breakAt(word string, limit int) int {
	used := 0
	for i, r := range word {
		if used += runeColumns(r); used > limit {
			return i
		}
	}
	return len(word)
}
