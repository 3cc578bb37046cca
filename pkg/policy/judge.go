// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// judgeFindings gives every finding its verb and the reason for it.
func (d *decider) judgeFindings() {
	d.uses = make([]use, len(d.policy.waivers))
	d.spent = make([]int, len(d.policy.budgets))
	d.unsure, d.worst = map[string]bool{}, release.RiskNone
	for s := range d.Scans {
		for i := range d.Scans[s].Findings {
			j := release.Judgement{Finding: d.Scans[s].Findings[i], Scan: s}
			m, known := d.matches[finding{s, i}]
			if known {
				j.Finding.Baseline, j.Match, j.MatchScore, j.Since = m.state, m.why, m.score, m.since
			}
			d.judge(&j, m)
			d.decision.Judgements = append(d.decision.Judgements, j)
		}
	}
	d.decision.Judgements = append(d.decision.Judgements, d.gone...)
	slices.SortStableFunc(d.decision.Judgements, d.worseFirst)
}

// judge decides about one finding. The first that has something to say decides: whether the
// finding is there at all, what the tool accepted, the policy's rules, its thresholds; then
// what makes an exception: known findings, grace, waivers.
func (d *decider) judge(j *release.Judgement, m match) {
	p, f := d.policy, &j.Finding
	if verb, why := p.settled(f); verb != "" {
		j.Verb, j.Because = verb, why
		return
	}
	s := &sighting{f, d.Scans[j.Scan].Category, p.severity(f)}
	r, err := d.ruleFor(s)
	accepted := false
	switch {
	case err != nil:
		j.Verb, j.Because = release.Block, fmt.Sprintf("%s: not known to be fine", err)
	case r != nil && r.then != "":
		j.Verb, j.Because = r.then, r.why()
		accepted = r.then == release.Allow
	case r != nil:
		j.Verb, j.Because = p.measured(f, r.thresholds)
		d.excuse(j, s.worth, m)
	default:
		j.Verb, j.Because = p.measured(f, p.thresholds)
		d.excuse(j, s.worth, m)
	}
	if j.Verb != release.Allow {
		d.waive(j, s)
	}
	if !accepted {
		d.worst = worse(d.worst, riskOf(s.worth))
		d.charge(j, s)
	}
	if j.Verb == release.Block && d.Mode == release.Audit {
		j.Verb, j.Because = release.Notice, "audit: would block: "+j.Because
	}
}

// severity is the band of the score or, without one, what the level is worth.
func (p *Policy) severity(f *release.Finding) release.Severity {
	if scored(f) {
		return release.SeverityOf(*f.Score)
	}
	return p.worth[f.Level]
}

// scored tells whether the finding has a score that says something. Tools write 0 for "none
// given"; the level then says more.
func scored(f *release.Finding) bool { return f.Score != nil && *f.Score > 0 }

// settled allows what is no finding against this commit.
func (p *Policy) settled(f *release.Finding) (release.Verb, string) {
	if f.Baseline == release.BaselineAbsent {
		return release.Allow, builtIn + ": the tool says that it is there no more"
	}
	if !accuses(f) {
		return release.Allow, fmt.Sprintf("%s: kind %s", builtIn, f.Kind)
	}
	if kind, ok := p.suppressions.accept(f.Suppressions); ok {
		return release.Allow, fmt.Sprintf("%s: suppressed (%s)", p.suppressions.at, kind)
	}
	return "", ""
}

// accuses tells whether the result is one against the code. A note about it is none, unless
// the tool gives it a level. One that has passed has no level in SARIF: with a warning or an
// error it contradicts itself, and is not known to be fine.
func accuses(f *release.Finding) bool {
	switch f.Kind {
	case release.KindPass, release.KindNotApplicable:
		return levelRank(f.Level) >= levelRank(release.LevelWarning)
	case release.KindInformational:
		return f.Level != release.LevelNone
	default:
		return true
	}
}

// accept applies the truth table of release.Suppressions with the policy's switches. One that
// is not accepted keeps the finding alive, also where its kind is switched off.
func (s suppressions) accept(all release.Suppressions) (kind string, ok bool) {
	if !all.Accepted() {
		return "", false
	}
	for _, one := range all {
		on := s.inSource && s.external
		switch one.Kind {
		case release.SuppressionInSource:
			on = s.inSource
		case release.SuppressionExternal:
			on = s.external
		}
		if on && (one.Justification != "" || !s.justified) {
			return one.Kind, true
		}
	}
	return "", false
}

// ruleFor returns the first of the policy's rules that fits, nil for none. An error means that
// it is not known which.
func (d *decider) ruleFor(s *sighting) (*rule, error) {
	for i := range d.policy.rules {
		r := &d.policy.rules[i]
		if fits, err := r.match(s, &d.purse); fits || err != nil {
			return r, err
		}
	}
	return nil, nil
}

func (r *rule) why() string {
	why := fmt.Sprintf("%s: %s", r.at, r)
	if r.reason != "" {
		why += ": " + r.reason
	}
	return why
}

// measured holds the finding against the thresholds.
func (p *Policy) measured(f *release.Finding, t thresholds) (release.Verb, string) {
	if (f.Kind == release.KindOpen || f.Kind == release.KindReview) && f.Level == release.LevelNone {
		return p.open.verb, fmt.Sprintf("%s: kind %s: not known to be fine", p.open.at, f.Kind)
	}
	if why := t.fail.reached(f); why != "" {
		return release.Block, why
	}
	if why := t.warn.reached(f); why != "" {
		return release.Notice, why
	}
	return release.Allow, t.warn.below(f)
}

// reached says which line makes the finding reach the threshold, "" when none does.
func (t *threshold) reached(f *release.Finding) string {
	if scored(f) {
		if t.scoreNever || *f.Score < t.score {
			return ""
		}
		if t.severityNaming != "" {
			return fmt.Sprintf("%s: severity %s (score %s)", t.scoreAt, release.SeverityOf(*f.Score), decimal(*f.Score))
		}
		return fmt.Sprintf("%s: score %s ≥ %s", t.scoreAt, decimal(*f.Score), decimal(t.score))
	}
	if t.levelNever || levelRank(f.Level) < levelRank(t.level) {
		return ""
	}
	return fmt.Sprintf("%s: level %s, %s", t.levelAt, f.Level, withoutScore(f))
}

func (t *threshold) below(f *release.Finding) string {
	if scored(f) {
		return fmt.Sprintf("%s: score %s is below what warns", t.scoreAt, decimal(*f.Score))
	}
	return fmt.Sprintf("%s: level %s is below what warns, %s", t.levelAt, f.Level, withoutScore(f))
}

func withoutScore(f *release.Finding) string {
	if f.Score != nil {
		return "the score 0 says nothing"
	}
	return "no score"
}

// decimal prints a score with at least one digit after the point.
func decimal(score float64) string {
	text := strconv.FormatFloat(score, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func levelRank(level release.Level) int {
	return slices.Index([]release.Level{release.LevelNone, release.LevelNote, release.LevelWarning, release.LevelError}, level)
}

// excuse lets a finding above a threshold through with a warning: when it is known and no
// worse than it was, and when its time to be mended has not run out. The policy's own rules
// are not excused.
func (d *decider) excuse(j *release.Judgement, severity release.Severity, m match) {
	if j.Verb != release.Block {
		return
	}
	p, known := d.policy, j.Finding.Baseline == release.BaselineUnchanged || j.Finding.Baseline == release.BaselineUpdated
	if p.newOnly && known {
		if m.was == "" || severityRank(severity) <= severityRank(m.was) {
			j.Verb, j.Because = release.Notice, fmt.Sprintf("%s: not new: %s", p.newOnlyAt, j.Because)
			return
		}
		j.Because = fmt.Sprintf("%s: not new, and worse than before, when it was %s: %s", p.newOnlyAt, m.was, j.Because)
		return
	}
	if g, granted := p.grace[severity]; granted && m.state != "" {
		d.grant(j, g)
	}
}

// grant lets a finding through while its time to be mended runs.
func (d *decider) grant(j *release.Judgement, g grace) {
	left := g.days - int(d.Now.Sub(j.Since)/(24*time.Hour))
	switch {
	case j.Since.IsZero(), j.Since.After(d.Now):
		j.Because = fmt.Sprintf("%s: since when it is there is not known: %s", g.at, j.Because)
	case left > 0:
		j.Verb, j.Because = release.Notice, fmt.Sprintf("%s: %d of %d days left to mend it: %s", g.at, left, g.days, j.Because)
	default:
		j.Because = fmt.Sprintf("%s: %d days to mend it have passed: %s", g.at, g.days, j.Because)
	}
}
