// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/knowngood/knowngood/pkg/release"
)

// descriptionLimit is GitHub's limit for the description of a commit status, in characters.
const descriptionLimit = 140

// A Status is one concern of a record as a commit status shows it.
type Status struct {
	Context string // e.g. knowngood/gate
	// State is success, pending, failure (the answer is no) or error (there is no answer).
	State       string
	Description string // one line of at most 140 characters
}

// Statuses returns a status for each concern that the record knows something of: PREFIX/gate,
// PREFIX/snapshot and PREFIX/tls. A step that did not run has none: it must not look fine.
func Statuses(record release.Record, prefix string) []Status {
	s := tell(record)
	var all []Status
	add := func(concern string, state, words string) {
		all = append(all, Status{prefix + "/" + concern, state, cut(Clean(words), descriptionLimit)})
	}
	if s.gate != nil {
		state, words := s.gateStatus()
		add("gate", state, words)
	}
	if e := record.Last("snapshot"); e != nil {
		state, words := stateOf(e.State), plainState(e)
		if e.Protection != nil {
			words = protectionWords(e)
		}
		add("snapshot", state, withError(words, e))
	}
	prepare, prove := record.Last("rotate-prepare"), record.Last("rotate-prove")
	switch {
	case prove != nil:
		state := stateOf(prove.State)
		if prepare != nil && prepare.State != release.Done {
			state = stateOf(prepare.State)
		}
		add("tls", state, withError(s.row("rotate-prove").words, prove))
	case prepare != nil && prepare.State != release.Done:
		add("tls", stateOf(prepare.State), withError(s.row("rotate-prepare").words, prepare))
	case prepare != nil:
		add("tls", "pending", s.row("rotate-prepare").words+", not proved yet")
	}
	return all
}

func (s story) gateStatus() (state, words string) {
	d := s.gate.Decision
	if d == nil {
		return "error", withError("no decision", s.gate)
	}
	switch d.Outcome {
	case release.Pass, release.Warn:
		state = "success"
	case release.Fail:
		state = "failure"
	default:
		return "error", "no decision"
	}
	_, words = decisionWords(d)
	if d.Risk != "" {
		words += ", risk " + string(d.Risk)
	}
	if d.Outcome != release.Pass && len(blocking(d)) == 0 && len(d.Reasons) > 0 {
		words = fmt.Sprintf("%s: %s", outcomeWord(d.Outcome), oneLine(d.Reasons[0]))
	}
	return state, words
}

// stateOf is the status of a step that acts: what is done in part is not done.
func stateOf(state release.State) string {
	switch state {
	case release.Done:
		return "success"
	case release.Started:
		return "pending"
	case release.Partial:
		return "failure"
	default:
		return "error"
	}
}

func withError(words string, e *release.Entry) string {
	if e.Error == "" {
		return words
	}
	return words + ": " + oneLine(e.Error)
}
