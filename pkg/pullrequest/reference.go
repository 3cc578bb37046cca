// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// A reference is what a check run or a deployment bears for its program: which application and
// environment it is about, which annotations it has, and which state of which run it tells.
type reference struct{ about, run, notes, first, last string }

const referenceMark = "knowngood"

// identify makes the reference of a check. It holds digests: GitHub shows it to nobody, and
// long names would not fit.
func identify(m Marker, check Check) reference {
	notes, err := json.Marshal(check.Annotations)
	if err != nil {
		notes = nil // strings and numbers alone
	}
	return reference{
		about: digest(m.App, m.Environment, m.Trust), run: digest(m.App, m.Run, m.Trust), notes: digest(string(notes)),
		first: word(m.First), last: word(m.Last),
	}
}

func digest(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// word keeps an id from being more than one.
func word(id string) string {
	if id == "" || len(id) > 40 || strings.ContainsAny(id, " \t\r\n") {
		return "-"
	}
	return id
}

// String returns the reference as GitHub keeps it.
func (r reference) String() string {
	return strings.Join([]string{referenceMark, r.about, r.run, r.notes, r.first, r.last}, " ")
}

func referenceOf(text string) (reference, bool) {
	words := strings.Split(text, " ")
	if len(words) != 6 || words[0] != referenceMark {
		return reference{}, false
	}
	return reference{words[1], words[2], words[3], words[4], words[5]}, true
}

// same tells whether two references are of one check run: of the same run with the same
// annotations, whatever the run knew of its environment.
func (r reference) same(other reference) bool { return r.run == other.run && r.notes == other.notes }

// newer tells whether r tells a later state than other of the same thing.
func (r reference) newer(other reference) bool {
	if r.run == other.run {
		return r.last > other.last
	}
	return r.about == other.about && r.first > other.first
}
