// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

func (p *page) decision(d *release.Decision, options Options) {
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
	p.findings(d, options)
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
	if d.Baseline != "" {
		p.field("  compared with", Clean(d.Baseline))
	}
}

// Widths of the table of findings, in columns: how bad, where, which rule.
const (
	placeWidth = 38
	ruleWidth  = pageWidth - labelWidth - placeWidth - 1
)

func (p *page) findings(d *release.Decision, options Options) {
	shown := map[release.Verb]int{}
	known := map[string]bool{} // rules whose help was named
	for _, j := range d.Judgements {
		if ofBaseline(&j) {
			continue
		}
		shown[j.Verb]++
		switch {
		case j.Verb == release.Block && shown[j.Verb] <= textFindings:
			p.tableHead(shown[release.Block] + shown[release.Notice])
			p.tableRow("✗", j.Finding)
			p.finding(j, options, known)
		case j.Verb == release.Notice && shown[j.Verb] <= textNotices:
			p.tableHead(shown[release.Block] + shown[release.Notice])
			p.tableRow("!", j.Finding)
			p.source(j.Finding, options)
			if j.Finding.Location.Path == "" { // nothing else tells which one it is
				p.field("", cut(Clean(messageOf(j.Finding)), messageLength))
			}
		}
	}
	p.blank()
	var rest []string
	for _, more := range []struct {
		n    int
		word string
	}{
		{shown[release.Block] - textFindings, "more that block"},
		{shown[release.Notice] - textNotices, "more noticed"},
		{shown[release.Waive], "waived"},
		{shown[release.Allow], "allowed"},
	} {
		if more.n > 0 {
			rest = append(rest, thousands(more.n)+" "+more.word)
		}
	}
	if before := tallyOf(d).before(); before != "" {
		rest = append(rest, before)
	}
	if len(rest) > 0 {
		p.field("  besides", strings.Join(rest, ", "))
	}
}

// tableHead begins the table before its first row.
func (p *page) tableHead(row int) {
	if row != 1 {
		return
	}
	p.blank()
	p.line(pad("  how bad", labelWidth) + pad("where", placeWidth) + " rule")
}

// tableRow is one finding in one line. Of a path and of a rule the end tells most.
func (p *page) tableRow(mark string, f release.Finding) {
	where := fitFront(placeText(f.Location), placeWidth)
	p.line(pad(mark+" "+gravityText(f), labelWidth-1) + " " + pad(where, placeWidth) + " " + fitFront(Clean(f.Rule), ruleWidth))
}

// finding tells what there is to know of a finding below its row.
func (p *page) finding(j release.Judgement, options Options, known map[string]bool) {
	f := j.Finding
	p.source(f, options)
	p.field("", cut(Clean(messageOf(f)), messageLength))
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
	if j.Because != "" {
		p.field("", "("+cut(Clean(j.Because), messageLength)+")")
	}
	if help := webAddress(f.Help); help != "" && !known[f.Tool+"\x00"+f.Rule] {
		known[f.Tool+"\x00"+f.Rule] = true
		p.link(help)
	}
	p.blank()
}

// link shows an address on one line if the page has room for it anywhere: only a whole one can
// be followed.
func (p *page) link(address string) {
	if n := columns(address); n > pageWidth-labelWidth && n <= pageWidth-2 {
		p.line("  " + address)
		return
	}
	p.field("", address)
}

// source shows the line of the source, never that of a secret.
func (p *page) source(f release.Finding, options Options) {
	if options.Source == nil || f.Secret || f.Location.Path == "" || f.Location.Line < 1 {
		return
	}
	if line := Clean(options.Source(f.Location)); line != "" {
		p.line(strings.Repeat(" ", labelWidth) + "> " + line)
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
