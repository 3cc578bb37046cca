// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// Explain returns of every finding what was decided about it, by which line of the policy and,
// where it was compared with a baseline, by which sign it was known again. It leaves nothing
// out: who asks for it wants all.
func Explain(d release.Decision) string {
	p := &page{}
	p.line("How this was decided:")
	p.field("  policy", Clean(d.Policy))
	p.field("  baseline", orNone(Clean(d.Baseline)))
	p.field("  mode", Clean(string(d.Mode)))
	for _, reason := range d.Reasons {
		p.field("  reason", cut(Clean(oneLine(reason)), errorLength))
	}
	if d.Protect != "" {
		p.field("  protect", Clean(string(d.Protect))+" ("+Clean(d.ProtectBecause)+")")
	}
	for _, s := range d.Scans {
		p.field("  scan", strings.Join([]string{
			cut(Clean(toolOf(s)), nameLength), evaluatedText(s), count(s.Findings, "finding"), Clean(string(s.Completeness)), "in " + cutFront(Clean(s.File), pathLength),
		}, ", "))
	}
	for _, w := range d.Waivers {
		p.field("  waiver", cut(Clean(w.Waiver), messageLength)+", owner "+Clean(w.Owner)+", "+waiverText(w))
	}
	for _, j := range d.Judgements {
		p.blank()
		p.explain(j)
	}
	return p.String()
}

func (p *page) explain(j release.Judgement) {
	f := j.Finding
	p.field("  "+verbWord(j.Verb), gravityText(f)+"  "+placeText(f.Location))
	p.field("", strings.TrimSpace(cut(Clean(f.Tool), nameLength)+" "+cut(Clean(f.Rule), nameLength))+": "+cut(Clean(messageOf(f)), messageLength))
	p.field("    because", cut(Clean(oneLine(j.Because)), errorLength))
	if state := stateText(j); state != "" {
		p.field("    baseline", state)
	}
	p.field("    fingerprint", Clean(f.Fingerprint)+" ("+Clean(f.FingerprintKind)+")")
}

// stateText says how a finding relates to the baseline: "unchanged since 2026-05-01: the same
// fingerprint (100 of 100)".
func stateText(j release.Judgement) string {
	if j.Finding.Baseline == "" {
		return ""
	}
	text := Clean(string(j.Finding.Baseline))
	if j.Unseen {
		text = "not evaluated"
	}
	if !j.Since.IsZero() && j.Finding.Baseline != release.BaselineNew {
		text += ", seen since " + j.Since.UTC().Format(time.DateOnly)
	}
	if j.Match != "" {
		text += ": " + cut(Clean(j.Match), messageLength)
	}
	if j.MatchScore > 0 {
		text += fmt.Sprintf(" (%d of 100)", j.MatchScore)
	}
	return text
}

func evaluatedText(s release.ScanSummary) string {
	if len(s.Rules) == 0 {
		return "rules not listed"
	}
	return count(len(s.Rules), "rule") + " evaluated"
}

func waiverText(w release.WaiverUse) string {
	used := "not used"
	if w.Findings > 0 {
		used = "used for " + count(w.Findings, "finding")
	}
	switch {
	case w.Expired:
		return used + ", expired " + count(-w.DaysLeft, "day") + " ago"
	case w.DaysLeft == 0:
		return used + ", expires today"
	default:
		return used + ", " + count(w.DaysLeft, "day") + " left"
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
