// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// On a terminal less is shown than on a pull request: the record has the rest.
const (
	textFindings = 10
	textNotices  = 5
	textItems    = 20
)

// Text returns the record as plain text for a terminal or a log: at most 80 columns wide, the
// worst first, without control characters or workflow commands.
func Text(record release.Record, options Options) string {
	s := options.tell(record)
	p := &page{}
	p.line(s.mark.letter() + " " + s.word + ": " + fmt.Sprintf(s.text, name(record.App), name(record.Environment)))
	p.text(strings.Join(s.facts(), ", "))
	if s.note != "" {
		p.text(s.note)
	}
	if words := s.checkoutWords(func(name string) string { return cutFront(Clean(name), pathLength) }); words != "" {
		p.text(words)
	}
	if words := s.configWords(func(name string) string { return cutFront(Clean(name), pathLength) }); words != "" {
		p.text(words)
	}
	if rows := s.rows(); len(rows) > 1 {
		p.blank()
		for _, r := range rows {
			p.row(r)
		}
	}
	p.problems(s.record.Entries)
	if s.gate != nil && s.gate.Decision != nil {
		p.decision(s.gate.Decision, options)
	}
	if e := s.record.Last("snapshot"); e != nil && e.Protection != nil {
		p.snapshots(e.Protection, record.Commit, snapshotsGone(record))
	}
	for i, e := range record.Entries {
		p.copies(untold(e.Copies, record.Entries[i+1:]), givenUp(record), copied(record))
	}
	if e := s.record.Last("restore"); e != nil {
		p.restoration(e.Restoration)
	}
	p.certificates(s.rotations())
	p.blank()
	for _, note := range options.Notes {
		p.field("  note", Clean(oneLine(note)))
	}
	if options.Record != "" {
		p.field("  record", Clean(options.Record))
	}
	return p.String()
}

// Entry returns what one step left as plain text, in the same form.
func Entry(entry release.Entry) string {
	if entry.Decision != nil {
		return Text(release.Record{Subject: entry.Subject, Entries: []release.Entry{entry}}, Options{})
	}
	s := tell(release.Record{Subject: entry.Subject, Entries: []release.Entry{entry}})
	p := &page{}
	r := s.row(entry.Step)
	r.step = stepName(Clean(entry.Step))
	if entry.State == release.Started {
		r.words = "begun"
	}
	p.row(r)
	p.problems(s.record.Entries)
	if entry.Protection != nil {
		p.snapshots(entry.Protection, entry.Commit, nil)
	}
	p.copies(entry.Copies, nil, nil)
	p.restoration(entry.Restoration)
	p.certificates(s.rotations())
	return p.String()
}

func name(text string) string { return cutFront(Clean(text), nameLength/2) }

func (m mark) letter() string { return [...]string{"✓", "…", "!", "✗"}[m] }

func (s story) facts() []string {
	facts := []string{"commit " + name(s.record.Commit.Short())}
	if s.gate != nil && s.gate.Decision != nil {
		facts = append(facts, "decision "+outcomeWord(s.gate.Decision.Outcome))
		if risk := s.gate.Decision.Risk; risk != "" {
			facts = append(facts, "risk "+Clean(string(risk)))
		}
	}
	return append(facts, "run "+name(s.record.Run))
}

func (p *page) row(r row) {
	const words = pageWidth - 18 - 10
	lines := wrap(Clean(r.words), words)
	for i, line := range lines {
		label, time := "", ""
		if i == 0 {
			label, time = r.mark.letter()+" "+r.step, took(r.took)
		}
		p.line(pad(label, 17) + " " + pad(line, words) + strings.Repeat(" ", max(0, 10-columns(time))) + time)
	}
}

func (p *page) problems(entries []release.Entry) {
	p.blank()
	for _, e := range entries {
		if e.Error != "" && (e.Decision == nil || e.Decision.Outcome != release.Fail) {
			for line := range strings.Lines(cut(e.Error, longest)) {
				if line = Clean(line); line != "" {
					p.field("✗ "+stepName(Clean(e.Step)), cut(line, errorLength))
				}
			}
			if e.Hint != "" {
				p.field("  hint", cut(Clean(oneLine(e.Hint)), errorLength))
			}
		}
		if e.Protection == nil {
			continue
		}
		for _, h := range e.Protection.Hooks {
			where := Clean(h.Pod + "/" + h.Container)
			if h.Thaw.Error != "" {
				p.field("✗ not thawed", where+" may still hold its writes: "+cut(Clean(oneLine(h.Thaw.Error)), errorLength))
			}
			if h.Quiesce.Error != "" {
				p.field("! not quiesced", where+": "+cut(Clean(oneLine(h.Quiesce.Error)), errorLength))
			}
		}
	}
}

func (p *page) snapshots(protection *release.Protection, commit release.Commit, gone map[string]string) {
	p.blank()
	taken := protection.Snapshots
	for i, t := range taken {
		if i == textItems {
			p.field("", fmt.Sprintf("and %s more, in the record", count(len(taken)-i, "snapshot")))
			break
		}
		label, words := "  way back", []string{"claim " + Clean(t.Claim)}
		why := gone[t.Namespace+"/"+t.Name]
		switch {
		case t.Ready && why != "":
			label, words = "! no way back", append(words, why)
		case !t.Ready && t.Error != "":
			label, words = "✗ no way back", append(words, "not ready: "+Clean(oneLine(t.Error)))
		case !t.Ready:
			label, words = "✗ no way back", append(words, "not ready")
		default:
			words = append(words, consistencyWord(t.Consistency), "taken "+moment(t.Cut))
			if bytes := size(t.RestoreBytes); bytes != "" {
				words = append(words, bytes)
			}
		}
		p.field(label, Clean(t.Namespace+"/"+t.Name))
		p.field("", strings.Join(words, ", "))
	}
	p.look(taken, commit)
	if words := manifestsWords(protection.Manifests); words != "" {
		p.field("  manifests", words)
	}
	for _, note := range protection.Notes {
		p.field("  note", cut(Clean(oneLine(note)), errorLength))
	}
	for _, skipped := range protection.Skipped {
		p.field("  passed over", cut(Clean(oneLine(skipped)), errorLength))
	}
}

// look tells the command that shows the snapshots, where its names are such as Kubernetes has.
func (p *page) look(taken []release.Snapshot, commit release.Commit) {
	if len(taken) == 0 || !nameForm.MatchString(taken[0].Namespace) || !nameForm.MatchString(commit.Label()) {
		return
	}
	p.field("  look", "kubectl -n "+taken[0].Namespace+` get volumesnapshots \`)
	p.line(fmt.Sprintf("      -l %s=%s", release.LabelCommit, commit.Label()))
}

func (p *page) certificates(rotations []release.Rotation) {
	p.blank()
	for i, r := range rotations {
		if i == textItems {
			p.field("", fmt.Sprintf("and %s more, in the record", count(len(rotations)-i, "certificate")))
			return
		}
		p.certificate(r)
	}
}

func (p *page) certificate(r release.Rotation) {
	words := "renewed, serial " + cut(Clean(r.Before.Serial), 12) + " → " + cut(Clean(r.After.Serial), 12)
	if r.Before.Serial == "" {
		words = "issued, serial " + cut(Clean(r.After.Serial), 12)
	}
	if !r.Renewed {
		words = "not renewed"
		if r.Why != "" {
			words += ": " + cut(Clean(oneLine(r.Why)), messageLength)
		}
	}
	if !r.After.NotAfter.IsZero() {
		words += ", valid until " + day(r.After.NotAfter)
	}
	p.field("  certificate", Clean(r.Namespace+"/"+r.Name)+": "+words)
	if len(r.Proofs) > 0 {
		p.field("", strings.TrimLeft(proofWords(r.Proofs), "✅❌ ")+" endpoints proved")
	}
	for _, proof := range r.Proofs {
		if !proof.Proved {
			p.field("✗ not proved", fmt.Sprintf("%s:%d: %s", Clean(proof.Pod), proof.Port, cut(Clean(oneLine(proof.Error)), errorLength)))
		}
	}
	if r.Error != "" {
		p.field("✗ certificate", cut(Clean(oneLine(r.Error)), errorLength))
	}
}
