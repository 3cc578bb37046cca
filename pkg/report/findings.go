// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

func blockers(d *release.Decision, l links, most int) block {
	block := blocking(d)
	title := thousands(len(block)) + " findings block"
	if len(block) == 1 {
		title = "1 finding blocks"
	}
	if d.Mode == release.Audit {
		title = count(len(block), "finding") + " would block"
	}
	b := section("#### "+title+" the release\n\n", rankBlocking, most, "finding")
	b.items, b.beyond = findingItems(block, l, most)
	return b.orNothing()
}

// findingItems makes the first items of a list, and tells how many more there are.
func findingItems(judgements []release.Judgement, l links, most int) (items []string, beyond int) {
	for _, j := range judgements[:min(most, len(judgements))] {
		items = append(items, findingItem(j, l))
	}
	return items, len(judgements) - len(items)
}

// others are what does not block, and what became of the baseline's findings.
func others(d *release.Decision, l links, most int) block {
	var rest []release.Judgement
	for _, j := range d.Judgements {
		if j.Verb != release.Block {
			rest = append(rest, j)
		}
	}
	b := details(titleOfOthers(tallyOf(d)), rankOthers, most)
	b.items, b.beyond = findingItems(rest, l, most)
	return b.orNothing()
}

func titleOfOthers(t tally) string {
	var parts []string
	for _, kind := range []struct {
		verb release.Verb
		word string
	}{{release.Notice, "noticed"}, {release.Waive, "waived"}, {release.Allow, "allowed"}} {
		if n := t.of[kind.verb]; n > 0 {
			parts = append(parts, thousands(n)+" "+kind.word)
		}
	}
	open := t.found - t.of[release.Block]
	title := count(open, "finding") + " that do not block"
	switch open {
	case 0:
		return "Findings: " + t.before()
	case 1:
		title = "1 finding that does not block"
	}
	if before := t.before(); before != "" {
		parts = append(parts, before)
	}
	if len(parts) > 0 {
		title += ": " + strings.Join(parts, ", ")
	}
	return title
}

// findingItem is one finding as a list item: how bad, where, which rule; then what the tool
// says and what the policy made of it.
func findingItem(j release.Judgement, l links) string {
	f := j.Finding
	facts := []string{strong(gravity(f)), place(f.Location, l)}
	facts = append(facts, code(f.Rule, nameLength)+" "+prose(f.Tool, nameLength))
	for i, number := range f.CWE {
		if i == 3 {
			break
		}
		facts = append(facts, weakness(number))
	}
	if f.Baseline == release.BaselineNew {
		facts = append(facts, "new")
	}
	text := "- " + strings.Join(facts, " · ") + "<br>" + prose(messageOf(f), messageLength)
	switch {
	case j.Because == "":
	case ofBaseline(&j):
		text += "<br><sub>" + prose(j.Because, messageLength) + "</sub>"
	default:
		text += "<br><sub>" + verbWord(j.Verb) + ": " + prose(j.Because, messageLength) + "</sub>"
	}
	return text + "\n"
}

// messageOf is the tool's message as one line. A tool that joined like results says the same
// line for each of them; it is said once.
func messageOf(f release.Finding) string {
	text := f.Message
	if len(text) > longest {
		text = text[:longest]
	}
	text = plainly(text)
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) && len(lines) < 50 {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "The tool gave no message."
	}
	return strings.Join(lines, " ")
}

// plainly undoes the escaping of HTML that some tools put into plain text. What it uncovers is as
// hostile as any other text, and is made harmless after it.
func plainly(text string) string {
	if !strings.Contains(text, "&") {
		return text
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#34;", `"`, "&#39;", "'", "&apos;", "'", "&amp;", "&").Replace(text)
}

func place(where release.Location, l links) string {
	if where.Path == "" {
		return "no place given"
	}
	text := Clean(where.Path)
	if where.Line > 0 {
		text = cutFront(text, pathLength) + ":" + strconv.Itoa(where.Line)
	}
	return link(codeEnd(text, pathLength+12), l.of(where))
}

// gravity is the band and the score where the tool gave one, else the level.
func gravity(f release.Finding) string {
	if f.Score != nil && f.Severity != release.SeverityUnknown && f.Severity != "" {
		return prose(string(f.Severity), nameLength) + " " + strconv.FormatFloat(*f.Score, 'f', 1, 64)
	}
	return prose(string(f.Level), nameLength)
}

func verbWord(v release.Verb) string {
	switch v {
	case release.Block:
		return "blocks"
	case release.Notice:
		return "noticed"
	case release.Waive:
		return "waived"
	case release.Allow:
		return "allowed"
	}
	return "judged"
}

func waivers(d *release.Decision, most int) block {
	expired := 0
	for _, w := range d.Waivers {
		if w.Expired {
			expired++
		}
	}
	title := count(len(d.Waivers), "waiver")
	if expired > 0 {
		title += fmt.Sprintf(", %s expired", thousands(expired))
	}
	b := details(title, rankScans, most)
	for _, w := range d.Waivers {
		left := count(w.DaysLeft, "day") + " left"
		if w.Expired {
			left = strong("expired")
		}
		use := "accepted " + count(w.Findings, "finding")
		if w.Findings == 0 {
			use = "not used"
		}
		b.items = append(b.items, fmt.Sprintf("- %s: owner %s, %s, %s\n",
			prose(w.Waiver, pathLength), prose(w.Owner, nameLength), use, left))
	}
	return b.orNothing()
}

func scans(d *release.Decision, most int) block {
	title := count(len(d.Scans), "scan")
	open := "<details><summary>" + title + "</summary>\n\n"
	b := table(open, "| tool | findings | rules | scan | file |\n|:--|--:|--:|:--|:--|\n", rankScans, most, 5)
	b.close = "\nPolicy: " + prose(d.Policy, pathLength)
	if d.Baseline != "" {
		b.close += " · compared with " + prose(d.Baseline, pathLength)
	}
	b.close += "\n\n</details>\n\n"
	for _, s := range d.Scans {
		rules := "not listed"
		if len(s.Rules) > 0 {
			rules = thousands(len(s.Rules))
		}
		how := completeness(s.Completeness)
		if len(s.Notes) > 0 && s.Completeness != release.ScanComplete {
			how += ": " + said(strings.Join(s.Notes, "\n"))
		}
		b.items = append(b.items, fmt.Sprintf("| %s | %s | %s | %s | %s |\n",
			prose(toolOf(s), nameLength), thousands(s.Findings), rules, how, codeEnd(s.File, pathLength)))
	}
	return b.orNothing()
}

// toolOf names a scan's tool, or its file where no scan could be read from it.
func toolOf(s release.ScanSummary) string {
	if s.Tool == "" {
		return cutFront(Clean(s.File), nameLength)
	}
	return strings.TrimSpace(s.Tool + " " + s.Version)
}

func completeness(c release.Completeness) string {
	switch c {
	case release.ScanComplete:
		return "complete"
	case release.ScanUnknown:
		return "does not say whether it is complete"
	case release.ScanIncomplete:
		return "❌ incomplete"
	case release.ScanUnusable:
		return "❌ not usable"
	default:
		return "❌ no results"
	}
}
