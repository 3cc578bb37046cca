// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

func (p *page) decision(d *release.Decision) {
	p.blank()
	if d.Outcome != release.Pass {
		reasons := whys(d)
		for i, reason := range reasons {
			if i == textFindings {
				p.field("", fmt.Sprintf("and %s more reasons", thousands(len(reasons)-i)))
				break
			}
			p.field("  why", cut(Clean(oneLine(reason)), errorLength))
		}
	}
	p.findings(d)
	p.blank()
	for i, s := range d.Scans {
		if i == textItems {
			p.field("", fmt.Sprintf("and %s more, in the record", count(len(d.Scans)-i, "scan")))
			break
		}
		p.scan(s)
	}
	for _, w := range d.Waivers {
		switch {
		case w.Expired:
			p.field("! waiver", "expired: "+Clean(w.Waiver)+", owner "+Clean(w.Owner))
		case w.Findings == 0:
			p.field("  waiver", "not used: "+Clean(w.Waiver)+", owner "+Clean(w.Owner))
		}
	}
	p.field("  policy", Clean(d.Policy))
}

func (p *page) findings(d *release.Decision) {
	block := blocking(d)
	for i, j := range block {
		if i == textFindings {
			p.field("", fmt.Sprintf("and %s more", thousands(len(block)-i)))
			break
		}
		p.blank()
		p.finding("✗ blocks", j)
	}
	p.blank()
	counts := map[release.Verb]int{}
	for _, j := range d.Judgements {
		counts[j.Verb]++
		if j.Verb == release.Notice && counts[j.Verb] <= textNotices {
			p.field("! notice", gravityText(j.Finding)+"  "+placeText(j.Finding.Location)+"  "+Clean(j.Finding.Rule))
		}
	}
	if n := counts[release.Notice] - textNotices; n > 0 {
		p.field("", fmt.Sprintf("and %s more", thousands(n)))
	}
	var rest []string
	if n := counts[release.Waive]; n > 0 {
		rest = append(rest, thousands(n)+" waived")
	}
	if n := counts[release.Allow]; n > 0 {
		rest = append(rest, thousands(n)+" allowed")
	}
	if len(rest) > 0 {
		p.field("  besides", strings.Join(rest, ", "))
	}
}

func (p *page) finding(label string, j release.Judgement) {
	f := j.Finding
	p.field(label, gravityText(f)+"  "+placeText(f.Location))
	facts := []string{strings.TrimSpace(cut(Clean(f.Tool), nameLength) + " " + cut(Clean(f.Rule), nameLength))}
	for i, number := range f.CWE {
		if i == 3 {
			break
		}
		facts = append(facts, "CWE-"+strconv.Itoa(number))
	}
	if f.Baseline == release.BaselineNew {
		facts = append(facts, "new")
	}
	p.field("", strings.Join(facts, ", "))
	p.field("", cut(Clean(messageOf(f)), messageLength))
	if j.Because != "" {
		p.field("", "("+cut(Clean(j.Because), messageLength)+")")
	}
}

func gravityText(f release.Finding) string {
	if f.Score != nil && f.Severity != release.SeverityUnknown && f.Severity != "" {
		return Clean(string(f.Severity)) + " " + strconv.FormatFloat(*f.Score, 'f', 1, 64)
	}
	return Clean(string(f.Level))
}

func placeText(where release.Location) string {
	if where.Path == "" {
		return "no place given"
	}
	text := cutFront(Clean(where.Path), pathLength)
	if where.Line > 0 {
		text += ":" + strconv.Itoa(where.Line)
	}
	return text
}

func (p *page) scan(s release.ScanSummary) {
	rules := "rules not listed"
	if len(s.Rules) > 0 {
		rules = count(len(s.Rules), "rule")
	}
	label := "  scan"
	if s.Completeness != release.ScanComplete && s.Completeness != release.ScanUnknown {
		label = "✗ scan"
	}
	how := strings.TrimPrefix(completeness(s.Completeness), bad.sign()+" ")
	p.field(label, fmt.Sprintf("%s: %s, %s, %s", cut(Clean(toolOf(s)), nameLength),
		count(s.Findings, "finding"), rules, how))
	if s.Completeness != release.ScanComplete {
		for _, note := range s.Notes {
			p.field("", cut(Clean(oneLine(note)), messageLength))
		}
	}
}
