// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Decide returns the decision about the request's scans. It never returns a pass for want of
// knowledge.
func (p *Policy) Decide(request Request) release.Decision {
	d := deciding{
		policy: p, request: request,
		decision: release.Decision{Mode: cmp.Or(request.Mode, p.Mode), Policy: p.Name, Risk: release.RiskNone},
		used:     make([]int, len(p.Waivers)),
	}
	scans := ordered(request.Scans)
	d.scans(scans)
	d.findings(scans)
	d.budgets()
	d.waivers()
	d.conclude()
	return d.decision
}

// deciding is one decision being made.
type deciding struct {
	policy   *Policy
	request  Request
	decision release.Decision
	used     []int
	// failures close the gate in any mode; blocks do in mode enforce.
	failures, blocks, notices []string
}

// ordered returns the scans in an order that does not depend on that of the files.
func ordered(scans []release.Scan) []release.Scan {
	sorted := slices.Clone(scans)
	slices.SortStableFunc(sorted, func(a, b release.Scan) int {
		return cmp.Or(
			cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Category, b.Category), cmp.Compare(a.File, b.File),
			cmp.Compare(a.Version, b.Version), cmp.Compare(a.Digest, b.Digest), cmp.Compare(len(a.Findings), len(b.Findings)),
		)
	})
	return sorted
}

func summary(s release.Scan) release.ScanSummary {
	return release.ScanSummary{
		File: s.File, Digest: s.Digest, Tool: s.Tool, Version: s.Version, Category: s.Category, Commit: s.Commit,
		Ended: s.Ended, Completeness: s.Completeness, Notes: s.Notes, Rules: s.Rules, Findings: len(s.Findings),
	}
}

// findings judges every finding of every scan.
func (d *deciding) findings(scans []release.Scan) {
	known := d.request.Baseline.index()
	for at, scan := range scans {
		for _, finding := range scan.Findings {
			because := ""
			if known != nil {
				finding.Baseline, because = known.match(finding)
			}
			d.judge(finding, at, because)
		}
	}
	for _, gone := range known.absent(scans) {
		d.decision.Judgements = append(d.decision.Judgements, release.Judgement{
			Finding: gone, Verb: release.Allow, Scan: -1, Because: "absent: the baseline had it and this scan does not",
		})
	}
	slices.SortStableFunc(d.decision.Judgements, worstFirst)
}

func (d *deciding) judge(finding release.Finding, scan int, matched string) {
	verb, because := d.verb(finding)
	if d.policy.NewOnly && verb == release.Block && old(finding.Baseline) {
		verb, because = release.Notice, because+"; not new: "+matched
	}
	if verb == release.Block && d.decision.Mode == release.Audit {
		verb, because = release.Notice, "audit: "+because
	}
	d.decision.Judgements = append(d.decision.Judgements, release.Judgement{
		Finding: finding, Verb: verb, Scan: scan, Because: because,
	})
	if !finding.Suppressed && finding.Baseline != release.BaselineAbsent {
		d.decision.Risk = maxRisk(d.decision.Risk, riskOf(finding))
	}
}

func old(state release.Baseline) bool {
	return state == release.BaselineUnchanged || state == release.BaselineUpdated
}

// verb judges one finding and says by which line.
func (d *deciding) verb(f release.Finding) (release.Verb, string) {
	if f.Baseline == release.BaselineAbsent {
		return release.Allow, "absent: the scan says that the code has it no more"
	}
	switch f.Kind {
	case release.KindPass, release.KindInformational, release.KindNotApplicable:
		return release.Allow, "the tool reports it as " + string(f.Kind)
	case release.KindFail, release.KindOpen, release.KindReview:
	}
	if d.policy.suppressed(f) {
		return release.Allow, "suppressed in the scan: " + cmp.Or(f.Justification, "no justification given")
	}
	if verb, because := d.waived(f); verb != "" {
		return verb, because
	}
	for _, rule := range d.policy.Rules {
		if rule.matches(f) {
			return rule.Verb, strings.TrimSuffix(rule.Where+": "+rule.Reason, ": ")
		}
	}
	return d.policy.threshold(f)
}

// suppressed tells whether the scan's own suppressions count under this policy.
func (p *Policy) suppressed(f release.Finding) bool {
	if !f.Suppressed || p.Suppressions == TrustNone {
		return false
	}
	if p.Suppressions == TrustAll {
		return true
	}
	kind := map[Trust]string{TrustInSource: release.SuppressionInSource, TrustExternal: release.SuppressionExternal}[p.Suppressions]
	return slices.ContainsFunc(f.Suppressions, func(s release.Suppression) bool { return s.Kind == kind })
}

// threshold holds a finding against the policy's thresholds: by its score, or by its level
// where it has none.
func (p *Policy) threshold(f release.Finding) (release.Verb, string) {
	for _, t := range []struct {
		verb release.Verb
		Threshold
	}{{release.Block, p.Fail}, {release.Notice, p.Warn}} {
		switch {
		case f.Score != nil && *f.Score >= t.Score && *f.Score <= 10:
			return t.verb, fmt.Sprintf("%s: score %.1f is at least %.1f", t.ScoreWhere, *f.Score, t.Score)
		case f.Score == nil && !t.Off && levelRank(f.Level) >= levelRank(t.Level):
			return t.verb, fmt.Sprintf("%s: level %s, and no score", t.LevelWhere, f.Level)
		}
	}
	if f.Kind == release.KindOpen || f.Kind == release.KindReview {
		return release.Notice, "the tool reports it as " + string(f.Kind) + ": nobody knows that it is fine"
	}
	return release.Allow, "below the thresholds"
}

// conclude sums up.
func (d *deciding) conclude() {
	for _, j := range d.decision.Judgements {
		text := describe(j)
		switch j.Verb {
		case release.Block:
			d.blocks = append(d.blocks, text)
		case release.Notice:
			d.notices = append(d.notices, text)
		case release.Allow, release.Waive:
		}
	}
	switch {
	case len(d.failures)+len(d.blocks) > 0:
		d.decision.Outcome = release.Fail
	case len(d.notices) > 0:
		d.decision.Outcome = release.Warn
	default:
		d.decision.Outcome = release.Pass
	}
	d.decision.Reasons = slices.Concat(d.failures, some(d.blocks), some(d.notices))
	if len(d.decision.Reasons) == 0 {
		d.decision.Reasons = []string{d.nothing()}
	}
}

func (d *deciding) nothing() string {
	if len(d.decision.Judgements) == 0 {
		return fmt.Sprintf("%d scans, no findings", len(d.decision.Scans))
	}
	return fmt.Sprintf("%d scans, %d findings, none above the thresholds", len(d.decision.Scans), len(d.decision.Judgements))
}

// reasons is how many findings are named as reasons; the judgements have them all.
const reasons = 10

func some(texts []string) []string {
	if len(texts) <= reasons {
		return texts
	}
	return append(slices.Clone(texts[:reasons]), fmt.Sprintf("and %d more", len(texts)-reasons))
}

func describe(j release.Judgement) string {
	place := j.Finding.Location.Path
	if place != "" && j.Finding.Location.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, j.Finding.Location.Line)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", j.Finding.Tool, j.Finding.Rule, place)) + ": " + j.Because
}
