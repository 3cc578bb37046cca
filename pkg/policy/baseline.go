// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Baseline is what findings are compared with: the decision of an earlier release, or the
// findings of a file.
type Baseline struct {
	// Name says what it is, for a person.
	Name string
	// Judgements are its findings; those that were absent in it already do not count.
	Judgements []release.Judgement
	// At is when it was made; zero is not known.
	At time.Time
}

// A match says how a finding relates to the baseline and why.
type match struct {
	state release.Baseline
	why   string
	since time.Time // when the finding was first seen; zero is not known
}

// compare pairs the findings with those of the baseline, each at most once, by the surest
// sign first. What is left of the scans is new, what is left of the baseline is gone.
func (d *decider) compare() {
	d.matches = map[finding]match{}
	if d.Baseline == nil {
		return
	}
	d.decision.Baseline = d.Baseline.Name
	now, before := d.current(), earlier(d.Baseline.Judgements)
	taken := make([]bool, len(before))
	for _, sign := range signs {
		pairUp(now, before, taken, sign, func(at finding, f *release.Finding, old *release.Judgement) {
			d.matches[at] = match{state: changed(f, &old.Finding), why: sign.why(f, &old.Finding), since: first(old.Since, d.Baseline.At)}
		})
		now = slices.DeleteFunc(now, func(c candidate) bool { _, matched := d.matches[c.at]; return matched })
	}
	for _, c := range now {
		d.matches[c.at] = match{state: release.BaselineNew, why: "not in " + d.Baseline.Name, since: d.Now}
	}
	for i := range before {
		if !taken[i] {
			d.gone = append(d.gone, d.absent(before[i]))
		}
	}
}

type candidate struct {
	at finding
	f  *release.Finding
}

// current lists the findings that are there, in an order that the files' order is not in.
func (d *decider) current() (all []candidate) {
	for s := range d.Scans {
		for i := range d.Scans[s].Findings {
			if f := &d.Scans[s].Findings[i]; f.Baseline != release.BaselineAbsent {
				all = append(all, candidate{finding{s, i}, f})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return order(a.f, b.f) })
	return all
}

func earlier(judgements []release.Judgement) []release.Judgement {
	all := slices.DeleteFunc(slices.Clone(judgements), func(j release.Judgement) bool {
		return j.Finding.Baseline == release.BaselineAbsent
	})
	slices.SortStableFunc(all, func(a, b release.Judgement) int { return order(&a.Finding, &b.Finding) })
	return all
}

// A sign is one way to tell that two findings are the same. Both have the same tool and rule.
type sign struct {
	key func(f *release.Finding) string // "" is no sign
	why func(f, old *release.Finding) string
}

// signs come in the order of how sure they are. Findings that only their line tells apart
// are not followed through a rename: a new one could pass for an old one.
var signs = []sign{
	{func(f *release.Finding) string { return f.Fingerprint }, whySame},
	{func(f *release.Finding) string {
		return join(f.Likeness, fmt.Sprintf("%s\x00%d", f.Location.Path, f.Location.Line))
	}, whySame},
	{func(f *release.Finding) string { return join(f.Likeness, f.Location.Path) }, whySame},
	{func(f *release.Finding) string { return f.Likeness }, func(f, old *release.Finding) string {
		return fmt.Sprintf("the same code, in %s before", cmp.Or(old.Location.Path, "no file"))
	}},
	{func(f *release.Finding) string {
		if f.FingerprintKind != "weak" {
			return ""
		}
		return join(f.Message, f.Location.Path)
	}, func(f, old *release.Finding) string {
		return fmt.Sprintf("the same message in the same file, at line %d before", old.Location.Line)
	}},
}

func whySame(f, old *release.Finding) string {
	if f.Location.Line != old.Location.Line {
		return fmt.Sprintf("the same fingerprint, at line %d before", old.Location.Line)
	}
	return "the same fingerprint"
}

func join(a, b string) string {
	if a == "" {
		return ""
	}
	return a + "\x00" + b
}

// pairUp pairs findings whose keys are equal, in the order in which they stand.
func pairUp(now []candidate, before []release.Judgement, taken []bool, s sign, pair func(finding, *release.Finding, *release.Judgement)) {
	free := map[string][]int{}
	for i := range before {
		if key := s.of(&before[i].Finding); key != "" && !taken[i] {
			free[key] = append(free[key], i)
		}
	}
	for _, c := range now {
		key := s.of(c.f)
		if left := free[key]; key != "" && len(left) > 0 {
			free[key] = left[1:]
			taken[left[0]] = true
			pair(c.at, c.f, &before[left[0]])
		}
	}
}

// of returns the sign's key with tool and rule, "" where the finding has no such sign.
func (s sign) of(f *release.Finding) string {
	key := s.key(f)
	if key == "" {
		return ""
	}
	return f.Tool + "\x00" + f.Rule + "\x00" + key
}

// changed tells an updated finding from an unchanged one: what was said of it differs, not
// just where it lies.
func changed(f, old *release.Finding) release.Baseline {
	same := f.Message == old.Message && f.Level == old.Level && f.Severity == old.Severity
	if same {
		return release.BaselineUnchanged
	}
	return release.BaselineUpdated
}

func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// absent says of a finding of the baseline that it is gone, or that nobody has looked.
func (d *decider) absent(old release.Judgement) release.Judgement {
	f := old.Finding
	f.Baseline = release.BaselineAbsent
	j := release.Judgement{Finding: f, Verb: release.Allow, Scan: -1, Since: old.Since, Because: builtIn + ": gone since " + d.Baseline.Name}
	evaluated := slices.ContainsFunc(d.Scans, func(s release.Scan) bool {
		return s.Tool == f.Tool && slices.Contains(s.Rules, f.Rule)
	})
	if !evaluated {
		j.Because = fmt.Sprintf("%s: not found, and no scan says that it evaluated %s", builtIn, name(&f))
	}
	return j
}
