// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"fmt"
	"slices"

	"github.com/knowngood/knowngood/pkg/release"
)

// resolve turns the run's results into findings.
func (r *run) resolve(tool string) []release.Finding {
	if r.results.n == 0 {
		return nil
	}
	known := r.compareResults()
	findings := make([]release.Finding, r.results.n)
	for i := range findings {
		kept, f := r.results.take(i), &findings[i]
		p := &kept
		m := r.lookup(p.rule)
		d := m.rule
		f.Tool = tool
		f.Rule = ruleID(p, d)
		f.Kind = r.kind(p.kind)
		f.Level = r.level(p, d)
		if m.guessed {
			r.notes.add(fmt.Sprintf("rule %q is not among the tool's rules: taken for %q by its index", f.Rule, clean(d.id, 100)))
			if p.level == "" && f.Kind == release.KindFail && levelRank(f.Level) < levelRank(release.LevelWarning) {
				f.Level = release.LevelWarning
			}
		}
		r.grade(f, p, m)
		r.describe(f, p, m)
		f.Location = r.location(p)
		f.Suppressions = p.suppressions
		f.Suppressed = p.suppressions.Accepted()
		f.Baseline = r.baseline(p.baseline)
		if hash, hashed := known.hashes[i]; hashed {
			p.lineHash = hash
		}
		r.fingerprint(f, p, known.shared[p.own])
	}
	r.results = pendings{}
	r.number(findings)
	return findings
}

func ruleID(p *pending, d *rule) string {
	switch {
	case d != nil && d.id == p.rule.id && d.id != "":
		return d.shown
	case p.rule.id != "":
		return clean(p.rule.id, 300)
	case d == nil:
		return clean(p.rule.guid, 100)
	case d.id != "":
		return clean(d.id, 300)
	default:
		return clean(d.name, 300)
	}
}

func (r *run) kind(written string) release.Kind {
	switch kind := release.Kind(written); kind {
	case release.KindFail, release.KindPass, release.KindOpen, release.KindReview, release.KindInformational,
		release.KindNotApplicable:
		return kind
	case "":
		return release.KindFail
	default:
		r.notes.add(fmt.Sprintf("kind %q is not one of SARIF's and counts as fail", clean(written, 40)))
		return release.KindFail
	}
}

// level follows the chain of §3.27.10 to its end.
func (r *run) level(p *pending, d *rule) release.Level {
	level, odd := parseLevel(p.level)
	if odd {
		r.notes.add(fmt.Sprintf("level %q is not one of SARIF's and counts as warning at least", clean(p.level, 40)))
		if level != "" {
			return level
		}
	}
	switch {
	case level != "":
		return level
	case !odd && p.kind != "" && r.kind(p.kind) != release.KindFail:
		return release.LevelNone
	}
	if d != nil {
		level = r.parse(r.setting(p.invocation, d).level)
	}
	if level == "" && d != nil {
		if level = d.plain; level == "" || level == release.LevelError {
			level = r.parse(d.level) // with a note, if it is no level of SARIF's
		}
	}
	if level == "" || (odd && levelRank(level) < levelRank(release.LevelWarning)) {
		return release.LevelWarning
	}
	return level
}

// parse reads a configured level; a word that is none stands for a warning at least.
func (r *run) parse(written string) release.Level {
	level, odd := parseLevel(written)
	if odd {
		r.notes.add(fmt.Sprintf("level %q is not one of SARIF's and counts as warning at least", clean(written, 40)))
		if level == "" {
			return release.LevelWarning
		}
	}
	return level
}

func levelRank(level release.Level) int {
	return slices.Index([]release.Level{release.LevelNone, release.LevelNote, release.LevelWarning, release.LevelError}, level)
}

// grade sets score, severity, rank and weaknesses. Where result and rule both have a score
// the higher one counts.
func (r *run) grade(f *release.Finding, p *pending, m match) {
	best, rank, d := p.score, p.rank, m.rule
	if d != nil {
		if given := m.score(f.Level); !best.ok || (given.ok && given.value > best.value) {
			odd := best.odd
			best = given
			if best.odd == "" {
				best.odd = odd
			}
		}
		if rank < 0 {
			rank = r.setting(p.invocation, d).rank
		}
		if rank < 0 {
			rank = d.rank
		}
	}
	if rank >= 0 {
		f.Rank = r.share(rank)
	}
	f.CWE = r.findingCWE(f.Rule, p, d)
	f.Severity = release.SeverityUnknown
	if best.ok {
		f.Score, f.Severity = r.share(best.value), release.SeverityOf(best.value)
	} else if best.odd != "" {
		r.notes.add(fmt.Sprintf("security-severity %q of rule %q is no number from 0 to 10: the score is not known", best.odd, f.Rule))
	}
}

// score is what the rule gives. That of a guess counts only where it does not make the finding
// less than its level does.
func (m match) score(level release.Level) score {
	least := map[release.Level]float64{release.LevelError: 7, release.LevelWarning: 4}[level]
	if m.guessed && m.rule.score.value < least {
		return score{odd: m.rule.score.odd}
	}
	return m.rule.score
}

// share returns a pointer to the number; equal numbers share one.
func (r *run) share(value float64) *float64 {
	pointer, known := r.numbers[value]
	if !known {
		pointer = &value
		r.numbers[value] = pointer
	}
	return pointer
}

// findingCWE returns the weaknesses of a result and its rule, sorted. Findings that add none
// to their rule's share its list.
func (r *run) findingCWE(id string, p *pending, d *rule) []int {
	var shared []int
	if d != nil {
		if len(p.cwe)+len(p.taxa) == 0 && id == d.shown {
			return d.cwes
		}
		shared = d.cwe
	}
	if len(p.cwe)+len(p.taxa) == 0 && indexFold(id, "cwe") < 0 {
		return shared
	}
	own := slices.Clone(shared)
	for _, n := range p.cwe {
		own = appendOnce(own, n)
	}
	own = appendCWE(r.weaknesses(own, p.taxa), id)
	slices.Sort(own)
	return own
}

// describe sets what people read, with secrets masked.
func (r *run) describe(f *release.Finding, p *pending, m match) {
	d := m.rule
	f.Secret = r.secret(f, d)
	f.Message = r.say(&p.message, m)
	if f.Message == "" && d != nil {
		f.Message = d.short
	}
	for i := range p.suppressions {
		if text := p.suppressions[i].Justification; text != "" {
			p.suppressions[i].Justification = cut(r.maskFor(f, p, text), 500)
			f.Justification = p.suppressions[i].Justification
		}
	}
	if f.Secret {
		f.Message = maskSecret(f.Message, p.snippet)
	}
	f.Message = r.masked(f.Message)
	if d != nil {
		f.Help = d.help
	}
}

// maxSaid bounds how many texts are kept as they are said: many results have the same.
const maxSaid = 4096

func (r *run) say(message *message, m match) string {
	if message.text == "" || message.arguments != nil {
		return message.say(m.rule, m.home)
	}
	said, known := r.said[message.text]
	if !known {
		said = message.say(m.rule, m.home)
		if len(r.said) < maxSaid {
			r.said[message.text] = said
		}
	}
	return said
}

// masked is mask, whose answers for texts that many results have are kept.
func (r *run) masked(text string) string {
	out, known := r.masks[text]
	if !known {
		out = mask(text)
		if len(r.masks) < maxSaid {
			r.masks[text] = out
		}
	}
	return out
}

func (r *run) maskFor(f *release.Finding, p *pending, text string) string {
	if f.Secret {
		text = maskSecret(text, p.snippet)
	}
	return mask(text)
}

// fileOf returns the path of the artifact that a result is about.
func (r *run) fileOf(p *pending) string {
	at := p.place
	if at.uri == "" && at.index < 0 {
		at = p.target
	}
	if at.uri != "" {
		at.index = -1 // says nothing more
	}
	file, known := r.paths[at]
	if !known {
		file = mask(r.path(at))
		r.paths[at] = file
	}
	return file
}

func (r *run) location(p *pending) release.Location {
	file := r.fileOf(p)
	if file == "" {
		return release.Location{}
	}
	l := release.Location{Path: file, Line: max(p.region.line, 0)}
	if l.Line > 0 {
		l.Column = max(p.region.column, 0)
		l.EndLine = max(p.region.endLine, l.Line)
	}
	return l
}

// baseline takes the tool's own state; "existing" is what drafts of SARIF called unchanged.
func (r *run) baseline(written string) release.Baseline {
	switch state := release.Baseline(written); state {
	case "", release.BaselineNew, release.BaselineUnchanged, release.BaselineUpdated, release.BaselineAbsent:
		return state
	case "existing":
		return release.BaselineUnchanged
	default:
		r.notes.add(fmt.Sprintf("baselineState %q is not one of SARIF's and counts as new", clean(written, 40)))
		return release.BaselineNew
	}
}
