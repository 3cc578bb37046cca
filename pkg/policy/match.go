// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A match says how a finding relates to the baseline and why.
type match struct {
	state release.Baseline
	why   string
	score int              // how sure it is, 1 to 100; 0 of a new finding
	since time.Time        // when the finding was first seen; zero is not known
	was   release.Severity // what it was worth in the baseline
}

// A sign is one way to tell that two findings are the same. Both have the same tool and rule,
// and both are findings against the code or both are none.
type sign struct {
	score int
	key   func(f *release.Finding) string // "" is no sign
	// may says whether two findings with the same key may be a pair; nil is always.
	may func(p *pairing, f, old *release.Finding) bool
	why func(f, old *release.Finding) string
}

// signs come in the order of how sure they are. Findings that only their line tells apart
// are not followed through a rename: a new one could pass for an old one.
var signs = []sign{ //nolint:gochecknoglobals // a table that nobody changes
	{100, func(f *release.Finding) string { return join(f.Fingerprint, place(f)) }, nil, same("fingerprint")},
	{97, func(f *release.Finding) string { return join(f.Likeness, place(f)) }, nil, same("fingerprint")},
	{95, func(f *release.Finding) string { return join(f.Likeness, f.Location.Path) }, nil, same("fingerprint")},
	{90, func(f *release.Finding) string { return join(f.Fingerprint, f.Location.Path) }, nil, same("fingerprint")},
	{85, func(f *release.Finding) string { return f.Fingerprint }, nil, same("fingerprint")},
	{70, func(f *release.Finding) string { return join(f.Likeness, path.Base(f.Location.Path)) }, renamed, same("code")},
	{60, func(f *release.Finding) string { return f.Likeness }, renamed, same("code")},
	{50, func(f *release.Finding) string { return join(f.Message, place(f)) }, otherKind, same("message")},
	{40, func(f *release.Finding) string { return join(f.Message, f.Location.Path) }, weakly, same("message")},
}

func place(f *release.Finding) string {
	return f.Location.Path + "\x00" + strconv.Itoa(f.Location.Line)
}

// kindWeak marks fingerprints that only the place tells apart.
const kindWeak = "weak"

// renamed says of findings in two files that the file of the old one may have become the
// file of the other: it is there no more, and the other was not there before.
func renamed(p *pairing, f, old *release.Finding) bool {
	return !p.files.now(old.Location.Path) && !p.files.before[f.Location.Path]
}

// otherKind says that the fingerprints were made in two ways and therefore say nothing, as
// when one of the scans was read beside its source and the other was not.
func otherKind(_ *pairing, f, old *release.Finding) bool {
	return f.FingerprintKind != old.FingerprintKind
}

// weakly says that at least one of the two fingerprints tells nothing but the place.
func weakly(_ *pairing, f, old *release.Finding) bool {
	return f.FingerprintKind == kindWeak || old.FingerprintKind == kindWeak
}

// same says what two findings have in common, and where the old one was.
func same(what string) func(f, old *release.Finding) string {
	return func(f, old *release.Finding) string {
		was, is := old.Location, f.Location
		switch {
		case was.Path == "" && is.Path != "":
			return fmt.Sprintf("the same %s, without a place before", what)
		case was.Path != is.Path:
			return fmt.Sprintf("the same %s, in %s before", what, was.Path)
		case was.Line != is.Line:
			return fmt.Sprintf("the same %s, at line %d before", what, was.Line)
		}
		return "the same " + what
	}
}

func join(a, b string) string {
	if a == "" {
		return ""
	}
	return a + "\x00" + b
}

// files are what is known of the files that findings lie in.
type files struct {
	now    func(path string) bool // whether it is there
	before map[string]bool        // those of the baseline's findings
}

// filesOf knows of files by the findings in them and, where the request tells, by the
// checkout.
func (d *decider) filesOf(now []candidate, before []release.Judgement) files {
	there, old := map[string]bool{}, map[string]bool{}
	for _, c := range now {
		there[c.f.Location.Path] = true
	}
	for i := range before {
		old[before[i].Finding.Location.Path] = true
	}
	return files{before: old, now: func(path string) bool {
		return there[path] || path != "" && d.There != nil && d.There(path)
	}}
}

// A pairing gives each finding of the baseline away once.
type pairing struct {
	before []release.Judgement
	taken  []bool
	files  files
}

// pair returns for each finding the one of the baseline that has the same key and is free,
// nil where there is none: of several the one whose line is nearest.
func (p *pairing) pair(now []candidate, s sign) []*release.Judgement {
	free := map[string][]int{} // in the order of their lines
	for i := range p.before {
		if key := s.of(&p.before[i].Finding); key != "" && !p.taken[i] {
			free[key] = append(free[key], i)
		}
	}
	for _, left := range free {
		slices.SortStableFunc(left, func(a, b int) int { return p.line(a) - p.line(b) })
	}
	pairs := make([]*release.Judgement, len(now))
	for i, c := range now {
		key := s.of(c.f)
		at := p.nearest(free[key], c.f, s)
		if key == "" || at < 0 {
			continue
		}
		old := free[key][at]
		free[key] = slices.Delete(free[key], at, at+1)
		p.taken[old] = true
		pairs[i] = &p.before[old]
	}
	return pairs
}

// maxTried is how many are looked at where not every pair with the same key may be one.
const maxTried = 64

func (p *pairing) line(i int) int { return p.before[i].Finding.Location.Line }

// nearest returns which of the old findings lies nearest to a line, -1 for none. left is in
// the order of lines.
func (p *pairing) nearest(left []int, f *release.Finding, s sign) int {
	line := f.Location.Line
	at, _ := slices.BinarySearchFunc(left, line, func(i, line int) int { return p.line(i) - line })
	// Outwards from the line, the later one first where two are as near.
	for below, above, tried := at-1, at, 0; tried < maxTried && (below >= 0 || above < len(left)); tried++ {
		next := above
		if above == len(left) || below >= 0 && line-p.line(left[below]) < p.line(left[above])-line {
			next = below
			below--
		} else {
			above++
		}
		if s.may == nil || s.may(p, f, &p.before[left[next]].Finding) {
			return next
		}
	}
	return -1
}

// of returns the sign's key with tool and rule, "" where the finding has no such sign.
func (s sign) of(f *release.Finding) string {
	key := s.key(f)
	if key == "" {
		return ""
	}
	return f.Tool + "\x00" + f.Rule + "\x00" + strconv.FormatBool(accuses(f)) + "\x00" + key
}
