// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Ranks of items, by which they are kept when room is short.
const (
	rankSteps = iota
	rankProblems
	rankBlocking
	rankSnapshots
	rankCertificates
	rankNotes
	rankOthers
	rankScans
	rankManifests
	lastRank = rankManifests
)

// How many characters of one hostile text are shown.
const (
	nameLength    = 60
	pathLength    = 100
	messageLength = 300
	errorLength   = 600
)

func render(record release.Record, options Options, limit int, most extent) string {
	s, l := options.tell(record), linksOf(record, options)
	blocks := []block{s.head(l), paragraph(options.pointed), s.stepTable(), s.problems()}
	if s.gate != nil && s.gate.Decision != nil {
		d := s.gate.Decision
		blocks = append(blocks, reasons(d), blockers(d, l, most.findings))
	}
	blocks = append(blocks, s.wayBack(most.rows)...)
	blocks = append(blocks, s.backups(most.rows), s.restorations(most.rows))
	blocks = append(blocks, s.certificates(most.rows)...)
	if s.gate != nil && s.gate.Decision != nil {
		d := s.gate.Decision
		blocks = append(blocks, others(d, l, most.others), waivers(d, most.rows), scans(d, most.rows))
	}
	blocks = append(blocks, s.skipped(most.rows), notes(options.Notes), s.foot(options.Record))
	return assemble(limit, blocks)
}

// head is the decision, the commit and the environment, in the first two lines.
func (s story) head(l links) block {
	names := fmt.Sprintf(s.text, prose(s.record.App, nameLength), prose(s.record.Environment, nameLength))
	facts := []string{"Commit " + link(code(s.record.Commit.Short(), nameLength), l.ofCommit())}
	if head := s.record.Head; head != "" && head != s.record.Commit {
		facts = append(facts, "head of the pull request "+code(head.Short(), nameLength))
	}
	decision := "no decision"
	if s.gate != nil && s.gate.Decision != nil {
		decision = "decision " + strong(outcomeWord(s.gate.Decision.Outcome))
		if s.hearsay {
			decision = "it says " + strong(outcomeWord(s.gate.Decision.Outcome))
		}
		if s.gate.Decision.Mode == release.Audit {
			decision += " (audit mode)"
		}
		if risk := s.gate.Decision.Risk; risk != "" {
			decision += " · risk " + prose(string(risk), nameLength)
		}
	}
	facts = append(facts, decision, link("run "+code(s.record.Run, nameLength), l.run))
	text := fmt.Sprintf("### %s %s · %s\n\n%s\n\n", s.mark.sign(), s.word, names, strings.Join(facts, " · "))
	if s.note != "" {
		text += s.note + "\n\n"
	}
	if words := s.checkoutWords(func(name string) string { return code(name, pathLength) }); words != "" {
		text += words + "\n\n"
	}
	if words := s.configWords(func(name string) string { return code(name, pathLength) }); words != "" {
		text += words + "\n\n"
	}
	return block{open: text}
}

// paragraph is words of ours that are never cut.
func paragraph(words string) block {
	if words == "" {
		return block{}
	}
	return block{open: words + "\n\n"}
}

// stepTable is what each step came to. A run of one step has told that already.
func (s story) stepTable() block {
	rows := s.rows()
	if len(rows) < 2 {
		return block{}
	}
	b := block{
		open:  "| step | result | took |\n|:--|:--|--:|\n",
		close: "\n",
		rank:  rankSteps,
		most:  20,
		more:  func(n int) string { return fmt.Sprintf("| | %s more | |\n", thousands(n)) },
	}
	for _, r := range rows {
		b.items = append(b.items, fmt.Sprintf("| %s | %s %s | %s |\n",
			together(prose(r.step, nameLength)), r.mark.sign(), prose(r.words, messageLength), together(took(r.took))))
	}
	return b
}

// problems are the errors of the steps and the hooks that went wrong, each with its hint.
func (s story) problems() block {
	b := section("#### What went wrong\n\n", rankProblems, 30, "problem")
	for _, e := range s.record.Entries {
		if e.Error != "" && (e.Decision == nil || e.Decision.Outcome != release.Fail) {
			item := fmt.Sprintf("- %s %s: %s", strong(prose(stepName(Clean(e.Step)), nameLength)), stateWord(e.State), said(e.Error))
			if e.Hint != "" {
				item += "<br>Hint: " + said(e.Hint)
			}
			b.items = append(b.items, item+"\n")
		}
		if e.Protection != nil {
			b.items = append(b.items, hookProblems(e.Protection.Hooks)...)
		}
	}
	return b.orNothing()
}

func hookProblems(hooks []release.Hook) []string {
	var items []string
	for _, h := range hooks {
		where := code(h.Pod+"/"+h.Container, pathLength)
		if h.Thaw.Error != "" {
			items = append(items, fmt.Sprintf("- %s may still hold its writes, the thaw failed: %s\n", where, said(h.Thaw.Error)))
		}
		if h.Quiesce.Error != "" {
			items = append(items, fmt.Sprintf("- %s was not quiesced: %s\n", where, said(h.Quiesce.Error)))
		}
	}
	return items
}

func reasons(d *release.Decision) block {
	if d.Outcome == release.Pass {
		return block{}
	}
	b := section("#### Why\n\n", rankProblems, 10, "reason")
	for _, reason := range whys(d) {
		b.items = append(b.items, "- "+said(reason)+"\n")
	}
	return b.orNothing()
}

var moreForm = regexp.MustCompile(`^and [0-9,]+ more$`)

// whys are the reasons of a decision but for those that only name a finding, which is shown by
// itself, or count more of them.
func whys(d *release.Decision) []string {
	shown := map[string]bool{}
	for _, j := range d.Judgements {
		if j.Finding.Tool != "" && j.Finding.Rule != "" {
			shown[j.Finding.Tool+" "+j.Finding.Rule] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(d.Reasons), func(reason string) bool {
		if len(shown) > 0 && moreForm.MatchString(reason) {
			return true
		}
		for finding := range shown {
			if strings.Contains(reason, finding) {
				return true
			}
		}
		return false
	})
}

// said is an error, a hint or a reason as prose; its lines are parted by semicolons.
func said(text string) string {
	return prose(oneLine(text), errorLength)
}

func oneLine(text string) string {
	if len(text) > longest {
		text = text[:longest]
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func (s story) skipped(most int) block {
	b := details("Passed over", rankNotes, most)
	for _, e := range s.record.Entries {
		var names []string
		if e.Protection != nil {
			names = e.Protection.Skipped
		}
		if e.TLS != nil {
			names = append(slices.Clone(names), e.TLS.Skipped...)
		}
		for _, name := range names {
			b.items = append(b.items, fmt.Sprintf("- %s: %s\n", prose(stepName(Clean(e.Step)), nameLength), said(name)))
		}
	}
	return b.orNothing()
}

func notes(texts []string) block {
	b := section("", rankNotes, 20, "note")
	b.close = "\n"
	for _, text := range texts {
		b.items = append(b.items, "- Note: "+said(text)+"\n")
	}
	return b.orNothing()
}

func (s story) foot(record string) block {
	var facts []string
	if record != "" {
		facts = append(facts, "record "+codeEnd(record, 200))
	}
	if n := len(s.record.Entries); n > 0 {
		last := s.record.Entries[n-1]
		facts = append(facts, moment(last.Ended))
		if last.Version != "" {
			facts = append(facts, "knowngood "+prose(last.Version, nameLength))
		}
	}
	if len(facts) == 0 {
		return block{}
	}
	return block{open: "<sub>" + strings.Join(facts, " · ") + "</sub>\n"}
}

// section is a block of list items under a heading.
func section(heading string, rank, most int, noun string) block {
	return block{open: heading, close: "\n", rank: rank, most: most, more: func(n int) string {
		return fmt.Sprintf("- and %s more, in the record\n", count(n, noun))
	}}
}

// details is a block of list items that is folded until a reader opens it. The title is ours.
func details(title string, rank, most int) block {
	return block{
		open:  "<details><summary>" + title + "</summary>\n\n",
		close: "\n</details>\n\n",
		rank:  rank,
		most:  most,
		more:  func(n int) string { return fmt.Sprintf("- and %s more, in the record\n", thousands(n)) },
	}
}

// table is a block whose items are rows. head is the row of headings and the row of dashes.
func table(open, head string, rank, most, width int) block {
	return block{open: open + head, close: "\n", rank: rank, most: most, more: func(n int) string {
		return fmt.Sprintf("| and %s more, in the record |%s\n", thousands(n), strings.Repeat(" |", width-1))
	}}
}

// orNothing leaves a block without items out altogether.
func (b block) orNothing() block {
	if len(b.items) == 0 {
		return block{}
	}
	return b
}
