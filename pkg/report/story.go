// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// A mark is how something went, at a glance.
type mark int

const (
	good mark = iota
	pending
	caution
	bad
)

func (m mark) sign() string { return [...]string{"✅", "⏳", "⚠️", "❌"}[m] }

func markOf(state release.State) mark {
	switch state {
	case release.Done:
		return good
	case release.Started:
		return pending
	case release.Partial:
		return caution
	default:
		return bad
	}
}

// A story is what a record comes to, before it is written for any place.
type story struct {
	record release.Record
	gate   *release.Entry
	mark   mark
	// word is what the story comes to in one word or two; text goes on about the application
	// and the environment, whose names stand in it as %[1]s and %[2]s; no environment, no %[2]s.
	word, text string
	// note is what else the reader must know at once.
	note string
	// hearsay is true when nobody vouches for the record.
	hearsay bool
	// linkTemplate makes the addresses of backups.
	linkTemplate string
}

func tell(record release.Record) story {
	s := story{record: record, gate: record.Last("gate")}
	s.mark, s.word, s.text = s.headline()
	if s.mark == good && s.checkout() != nil {
		s.mark = caution
	}
	if e := record.Environment; e == "" || e == release.NoEnvironment {
		for _, words := range []string{" to %[2]s", " in %[2]s", " for %[2]s"} {
			s.text = strings.ReplaceAll(s.text, words, "")
		}
	}
	if s.mark == bad && s.nothingTouched() {
		s.note = "Nothing was touched: this run took no snapshot, renewed no certificate and deployed nothing."
	}
	return s
}

// unverified is the story as something that an untrusted run says.
func (s story) unverified() story {
	says := "gives no decision"
	if outcome := outcomeWord(s.outcome()); s.outcome() != "" {
		says = "says " + outcome
	}
	s.mark, s.word, s.hearsay = caution, "not verified", true
	s.text = "an untrusted run " + says + " of %[1]s"
	s.note = "Who wrote the pull request can have written this as well, so it makes no required check green: " +
		"a trusted run decides, in the merge queue or after the merge."
	return s
}

// failed names a step besides the gate that did not do all it should, or "".
func (s story) failed() string {
	for _, step := range []string{"snapshot", "backup-save", "backup-verify", "rotate-prepare", "deploy-finish", "rotate-prove", "release", "restore"} {
		if e := s.record.Last(step); e != nil && e.State != release.Done && e.State != release.Started {
			return stepName(step)
		}
	}
	return ""
}

// outcome is the gate's, or "" where there is no decision, which is never a pass.
func (s story) outcome() release.Outcome {
	if s.gate == nil || s.gate.Decision == nil {
		return ""
	}
	return s.gate.Decision.Outcome
}

func (s story) headline() (mark, string, string) {
	start, finish := s.record.Last("deploy-start"), s.record.Last("deploy-finish")
	switch {
	case finish != nil && (start == nil || !finish.Ended.Before(start.Began)):
		return s.deployed(finish)
	case start != nil:
		return pending, "deploying", "%[1]s to %[2]s, as far as this record goes"
	case s.outcome() == release.Fail:
		return bad, "fail", "%[1]s must not ship to %[2]s"
	case s.gate != nil && s.outcome() == "":
		return bad, "no decision", "the gate could not judge %[1]s for %[2]s, so it must not ship"
	}
	for _, step := range []string{"snapshot", "backup-save", "backup-verify", "rotate-prepare", "rotate-prove", "release", "restore"} {
		if e := s.record.Last(step); e != nil && e.State != release.Done && e.State != release.Started {
			return bad, stepName(step) + " " + shortState(e.State), "%[1]s is not deployed to %[2]s by this run"
		}
	}
	switch s.outcome() {
	case release.Pass:
		return good, "pass", "%[1]s may ship to %[2]s"
	case release.Warn:
		return caution, "warn", "%[1]s may ship to %[2]s"
	case "":
		switch {
		case s.gate != nil || !s.onlyBackups():
		case s.nothingKept():
			return caution, "given up", "%[1]s in %[2]s: a prune gave up every backup of this run"
		default:
			return good, "backed up", "%[1]s in %[2]s"
		}
		if restored := s.onlyRestored(); restored != "" {
			return good, restored, "%[1]s in %[2]s"
		}
	case release.Fail:
	}
	return caution, "no decision", "no gate has judged %[1]s for %[2]s in this run"
}

// onlyBackups tells whether the run did nothing but keep copies, which needs no gate.
func (s story) onlyBackups() bool {
	for _, e := range s.record.Entries {
		if !slices.Contains([]string{"backup-save", "backup-verify", "prune", "key-rotate", "report"}, e.Step) {
			return false
		}
	}
	return s.record.Last("backup-save") != nil
}

// nothingKept tells whether prunes gave up every backup of the last save.
func (s story) nothingKept() bool {
	gone, e := givenUp(s.record), s.record.Last("backup-save")
	return len(gone) > 0 && e.Copies != nil && !slices.ContainsFunc(e.Copies.Backups, func(b release.Backup) bool { return !gone[b.ID] })
}

// onlyRestored is what a run comes to that did nothing but restore, "" for another one.
func (s story) onlyRestored() string {
	for _, e := range s.record.Entries {
		if e.Step != "restore" && e.Step != "report" {
			return ""
		}
	}
	e := s.record.Last("restore")
	if e == nil || e.Restoration == nil {
		return ""
	}
	switch e.Restoration.Way {
	case release.RestoreUndo:
		return "put back"
	case release.RestoreConfirm:
		return "confirmed"
	case release.RestoreNew, release.RestoreInPlace:
	}
	return "restored"
}

func (s story) deployed(finish *release.Entry) (mark, string, string) {
	switch finish.State {
	case release.Done:
	case release.Cancelled:
		return bad, "deploy cancelled", "%[1]s in %[2]s is neither the old release nor surely the new one"
	default:
		text := "%[1]s in %[2]s"
		if finish.Deploy != nil && finish.Deploy.ExitStatus > 0 {
			text += fmt.Sprintf(" (exit status %d)", finish.Deploy.ExitStatus)
		}
		return bad, "deploy failed", text
	}
	if s.outcome() == release.Fail || s.gate != nil && s.outcome() == "" {
		return bad, "deployed against the gate", "%[1]s to %[2]s"
	}
	for _, step := range []string{"rotate-prove", "rotate-prepare", "backup-verify", "backup-save", "snapshot"} {
		if e := s.record.Last(step); e != nil && e.State != release.Done {
			return caution, "deployed", "%[1]s to %[2]s, but " + stepName(step) + " " + stateWord(e.State)
		}
	}
	if s.outcome() == "" {
		return caution, "deployed", "%[1]s to %[2]s, without a gate's decision"
	}
	if s.outcome() == release.Warn {
		return caution, "deployed", "%[1]s to %[2]s, with warnings"
	}
	return good, "deployed", "%[1]s to %[2]s"
}

func (s story) nothingTouched() bool {
	for _, e := range s.record.Entries {
		if e.Step != "gate" && e.Step != "report" && e.Step != "release" {
			return false
		}
	}
	return true
}

// stepName returns a step's id as its command is written.
func stepName(id string) string {
	switch {
	case strings.HasPrefix(id, "rotate-"), strings.HasPrefix(id, "deploy-"), strings.HasPrefix(id, "backup-"), strings.HasPrefix(id, "key-"):
		return strings.Replace(id, "-", " ", 1)
	}
	return id
}

// shortState is how a step failed, for a headline.
func shortState(state release.State) string {
	switch state {
	case release.Partial:
		return "incomplete"
	case release.Cancelled:
		return "cancelled"
	default:
		return "failed"
	}
}

func stateWord(state release.State) string {
	switch state {
	case release.Partial:
		return "was done in part"
	case release.Cancelled:
		return "was cancelled"
	case release.Failed:
		return "failed"
	case release.Started:
		return "has begun"
	case release.Done:
		return "is done"
	}
	return "ended in a way that is not known"
}
