// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Baseline is what findings are compared with: the decision of an earlier release, or the
// findings of a file.
type Baseline struct {
	// Name says what it is, for a person.
	Name string
	// Scans are what its judgements came from; the findings need not be in them.
	Scans []release.ScanSummary
	// Judgements are its findings. Those that were absent in it already do not count, unless
	// nobody had looked for them.
	Judgements []release.Judgement
	// At is when it was made; zero is not known.
	At time.Time
}

// BaselineOf makes a baseline of a decision.
func BaselineOf(name string, d release.Decision, at time.Time) *Baseline {
	return &Baseline{Name: name, Scans: d.Scans, Judgements: d.Judgements, At: at}
}

// BaselineFrom makes a baseline of scans. Each is as old as it says; at is for those that say
// nothing.
func BaselineFrom(name string, scans []release.Scan, at time.Time) *Baseline {
	b := &Baseline{Name: name, Scans: summaries(scans), At: at}
	for i := range scans {
		for _, f := range scans[i].Findings {
			b.Judgements = append(b.Judgements, release.Judgement{Finding: f, Scan: i, Since: scans[i].Ended})
		}
	}
	return b
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
	p := pairing{before: before, taken: make([]bool, len(before)), files: d.filesOf(now, before)}
	for _, s := range signs {
		var rest []candidate
		for i, c := range p.pair(now, s) {
			if c == nil {
				rest = append(rest, now[i])
				continue
			}
			d.matches[now[i].at] = d.matched(now[i].f, c, s)
		}
		now = rest
	}
	for _, c := range now {
		d.matches[c.at] = match{state: release.BaselineNew, why: d.whyNew(c.f), since: d.Now}
	}
	for i := range before {
		if !p.taken[i] {
			d.gone = append(d.gone, d.absent(before[i]))
		}
	}
}

func (d *decider) matched(f *release.Finding, old *release.Judgement, s sign) match {
	since := old.Since
	if since.IsZero() {
		since = d.Baseline.At
	}
	return match{
		state: changed(f, &old.Finding), why: s.why(f, &old.Finding), score: s.score, since: since,
		was: d.policy.severity(&old.Finding),
	}
}

// whyNew tells a finding that was not there from one that nobody had looked for.
func (d *decider) whyNew(f *release.Finding) string {
	why := "not in " + d.Baseline.Name
	if !evaluated(d.Baseline.Scans, f) {
		why += ", of which no scan says that it evaluated the rule"
	}
	return why
}

// evaluated tells whether a scan that came to its end says that it evaluated the finding's
// rule, or the rule that it is a part of.
func evaluated(scans []release.ScanSummary, f *release.Finding) bool {
	return slices.ContainsFunc(scans, func(s release.ScanSummary) bool {
		whole := s.Completeness == release.ScanComplete || s.Completeness == release.ScanUnknown
		return whole && s.Tool == f.Tool && covers(s.Rules, f.Rule)
	})
}

// covers tells whether ids holds the id, or a parent of a hierarchical one.
func covers(ids []string, id string) bool {
	for id != "" {
		if slices.Contains(ids, id) {
			return true
		}
		id = id[:max(strings.LastIndexByte(id, '/'), 0)]
	}
	return false
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

// earlier lists the findings that the baseline holds. One that was not found in it because
// nobody had looked stays in it for the next.
func earlier(judgements []release.Judgement) []release.Judgement {
	all := slices.DeleteFunc(slices.Clone(judgements), func(j release.Judgement) bool {
		return j.Finding.Baseline == release.BaselineAbsent && !j.Unseen
	})
	slices.SortStableFunc(all, func(a, b release.Judgement) int {
		return cmp.Or(order(&a.Finding, &b.Finding), a.Since.Compare(b.Since))
	})
	return all
}

// changed tells an updated finding from an unchanged one: what was said of it differs, not
// just where it lies.
func changed(f, old *release.Finding) release.Baseline {
	if f.Message == old.Message && f.Level == old.Level && f.Severity == old.Severity {
		return release.BaselineUnchanged
	}
	return release.BaselineUpdated
}

// absent says of a finding of the baseline that it is gone, or that nobody has looked.
func (d *decider) absent(old release.Judgement) release.Judgement {
	f := old.Finding
	f.Baseline = release.BaselineAbsent
	since := old.Since
	if since.IsZero() {
		since = d.Baseline.At
	}
	j := release.Judgement{Finding: f, Verb: release.Allow, Scan: -1, Since: since, Because: builtIn + ": gone since " + d.Baseline.Name}
	if !evaluated(d.decision.Scans, &f) {
		j.Unseen = true
		j.Because = fmt.Sprintf("%s: not found, and no whole scan says that it evaluated %s", builtIn, name(&f))
	}
	return j
}
