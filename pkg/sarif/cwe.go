// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxCWE is above every number of the list; larger ones are something else. maxWeaknesses
// bounds how many are kept of one rule or finding.
const (
	maxCWE        = 100_000
	maxWeaknesses = 100
)

// appendCWE adds the numbers of the weaknesses that a text names in any of the ways that
// tools use: CWE-79, cwe:79, CWE79, CWE_79, external/cwe/cwe-079, "CWE-79: what it is",
// https://cwe.mitre.org/data/definitions/79.html, cwe_id: 79, [CWE 79].
func appendCWE(to []int, text string) []int {
	for {
		at := indexFold(text, "cwe")
		if at < 0 {
			return to
		}
		glued := at > 0 && isLetter(text[at-1])
		text = text[at+len("cwe"):]
		rest := strings.TrimLeft(text, "-_: /#=[(")
		if len(rest) > 2 && strings.EqualFold(rest[:2], "id") {
			rest = strings.TrimLeft(rest[2:], "-_: /#=[(")
		}
		if tail, ok := strings.CutPrefix(rest, ".mitre.org/data/definitions/"); ok {
			rest = tail
		}
		if n := leadingNumber(rest); n > 0 && !glued {
			to = appendOnce(to, n)
		}
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// indexFold is strings.Index for an ASCII word in lower case, whatever the text's case.
func indexFold(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// leadingNumber returns the number at the text's front, 0 if there is none.
func leadingNumber(text string) int {
	n, digits := 0, 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		if n = n*10 + int(text[digits]-'0'); n > maxCWE {
			return 0
		}
		digits++
	}
	return n
}

func appendOnce(to []int, n int) []int {
	if len(to) >= maxWeaknesses || slices.Contains(to, n) {
		return to
	}
	return append(to, n)
}

// readCWE reads a property that holds weaknesses and nothing else: a number, a text with or
// without the prefix, or a list of them.
func (w *walker) readCWE(into *[]int) error {
	switch w.dec.PeekKind() {
	case jsontext.KindBeginArray:
		return w.array(lenient, func(int) error { return w.readCWE(into) })
	case jsontext.KindNumber:
		n, err := w.number()
		if n > 0 && n <= maxCWE {
			*into = appendOnce(*into, n)
		}
		return err
	case jsontext.KindString:
		text, err := w.text()
		*into = appendCWEList(*into, text)
		return err
	case jsontext.KindBeginObject:
		return w.object(lenient, func(name []byte) error {
			if key := strings.ToLower(string(name)); key == "id" || key == "number" || strings.HasPrefix(key, "cwe") {
				return w.readCWE(into)
			}
			return w.skip()
		})
	default:
		return w.skip()
	}
}

// appendCWEList is appendCWE for a text in which bare numbers are weaknesses too.
func appendCWEList(to []int, text string) []int {
	if indexFold(text, "cwe") >= 0 {
		return appendCWE(to, text)
	}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r < '0' || r > '9' }) {
		if n := leadingNumber(word); n > 0 {
			to = appendOnce(to, n)
		}
	}
	return to
}

// isCWE tells whether a component is the Common Weakness Enumeration.
func isCWE(name, guid string) bool {
	if strings.EqualFold(name, "CWE") || indexFold(name, "common weakness enumeration") >= 0 {
		return true
	}
	// The ids under which the taxonomy's editions are published.
	return strings.EqualFold(guid, "A9282C88-F1FE-4A01-8137-E8D2A037AB82") ||
		strings.EqualFold(guid, "FFC64C90-42B6-44CE-8BEB-F6B7DAE649E5")
}

// weaknesses returns the numbers that references to taxa name.
func (r *run) weaknesses(to []int, references []reference) []int {
	for _, ref := range references {
		id, name, guid := ref.id, ref.component.name, ref.component.guid
		if taxonomy := r.taxonomy(ref.component); taxonomy != nil {
			name, guid = taxonomy.name, taxonomy.guid
			if taxon := taxonomy.taxa.find(ref); id == "" && taxon != nil {
				id = taxon.id
			}
		}
		if isCWE(name, guid) {
			to = appendCWEList(to, id)
		} else {
			to = appendCWE(to, id)
		}
	}
	return to
}

// taxonomy returns the taxonomy that a reference names by guid, name or index. Extensions of
// the tool may hold taxa as well.
func (r *run) taxonomy(ref componentRef) *component {
	for i := range len(r.taxonomies) + len(r.extensions) {
		var t *component
		if i < len(r.taxonomies) {
			t = &r.taxonomies[i]
		} else if t = &r.extensions[i-len(r.taxonomies)]; len(t.taxa.rules) == 0 {
			continue
		}
		if (ref.guid != "" && strings.EqualFold(ref.guid, t.guid)) || (ref.name != "" && ref.name == t.name) {
			return t
		}
	}
	if ref.guid == "" && ref.name == "" && ref.index >= 0 && ref.index < len(r.taxonomies) {
		return &r.taxonomies[ref.index]
	}
	return nil
}
