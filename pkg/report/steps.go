// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A row is one step of the run in a few words of ours; names in it are clean, not escaped.
type row struct {
	mark  mark
	step  string
	words string
	took  time.Duration // negative: not known
}

// rows returns a row for each step, in the order in which the run came to them, with what the
// newest entry of each says. The two deploy events are one row.
func (s story) rows() []row {
	var rows []row
	seen := map[string]bool{"report": true}
	for _, e := range s.record.Entries {
		id := e.Step
		if id == "deploy-finish" && s.record.Last("deploy-start") != nil {
			id = "deploy-start"
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		rows = append(rows, s.row(id))
	}
	return rows
}

func (s story) row(id string) row {
	e := s.record.Last(id)
	r := row{mark: markOf(e.State), step: stepName(Clean(id)), words: plainState(e), took: e.Ended.Sub(e.Began)}
	switch {
	case id == "deploy-start" || id == "deploy-finish":
		return s.deployRow()
	case e.Decision != nil:
		r.mark, r.words = decisionWords(e.Decision)
	case e.Protection != nil:
		r.words = protectionWords(e)
	case e.Copies != nil:
		r.words = copiesWords(e.Copies)
	case e.Pruned != nil:
		r.words = prunedWords(e.Pruned)
	case e.TLS != nil:
		r.words = rotationWords(id, e)
	case e.Restoration != nil:
		r.words = restorationWords(e.Restoration)
	}
	return r
}

func (s story) deployRow() row {
	start, finish := s.record.Last("deploy-start"), s.record.Last("deploy-finish")
	if finish == nil {
		return row{mark: pending, step: "deploy", words: "began, and has not ended", took: -1}
	}
	r := row{mark: markOf(finish.State), step: "deploy", words: plainState(finish), took: finish.Ended.Sub(finish.Began)}
	if start != nil {
		r.took = finish.Ended.Sub(start.Began)
	}
	if finish.Deploy != nil && finish.Deploy.ExitStatus > 0 {
		r.words = fmt.Sprintf("exit status %d", finish.Deploy.ExitStatus)
	}
	return r
}

func plainState(e *release.Entry) string { return strings.TrimPrefix(stateWord(e.State), "is ") }

func decisionWords(d *release.Decision) (mark, string) {
	m := bad
	switch d.Outcome {
	case release.Pass:
		m = good
	case release.Warn:
		m = caution
	case release.Fail:
	}
	words := []string{outcomeWord(d.Outcome), count(len(d.Scans), "scan")}
	found := tallyOf(d).found
	if found == 0 {
		words = append(words, "no findings")
	} else {
		words = append(words, count(found, "finding"))
	}
	switch n := len(blocking(d)); {
	case n > 0 && d.Mode == release.Audit:
		words = append(words, fmt.Sprintf("%s would block (audit mode)", thousands(n)))
	case n == 1:
		words = append(words, "1 blocks")
	case n > 1:
		words = append(words, thousands(n)+" block")
	case found > 0:
		words = append(words, "none blocks")
	}
	return m, strings.Join(words, ", ")
}

func outcomeWord(o release.Outcome) string {
	switch o {
	case release.Pass, release.Warn, release.Fail:
		return string(o)
	}
	return "no decision"
}

func protectionWords(e *release.Entry) string {
	p := e.Protection
	ready := 0
	for _, s := range p.Snapshots {
		if s.Ready {
			ready++
		}
	}
	var words []string
	switch {
	case len(p.Snapshots) == 0:
		words = append(words, "no snapshot")
	case ready == len(p.Snapshots):
		words = append(words, count(ready, "snapshot")+" ready")
	default:
		words = append(words, fmt.Sprintf("%d of %s ready", ready, count(len(p.Snapshots), "snapshot")))
	}
	if ready > 0 {
		words = append(words, consistencyOf(p.Snapshots))
	}
	if p.FrozenSeconds > 0 {
		words = append(words, "writes held for "+seconds(p.FrozenSeconds))
	}
	return strings.Join(words, ", ")
}

// consistencyOf says what can be said of the ready snapshots: of all alike, or how many of each.
func consistencyOf(snapshots []release.Snapshot) string {
	var order []string
	counts := map[string]int{}
	for _, s := range snapshots {
		if !s.Ready {
			continue
		}
		word := consistencyWord(s.Consistency)
		if counts[word]++; counts[word] == 1 {
			order = append(order, word)
		}
	}
	if len(order) == 1 {
		return order[0]
	}
	for i, word := range order {
		order[i] = thousands(counts[word]) + " " + word
	}
	return strings.Join(order, ", ")
}

func consistencyWord(c release.Consistency) string {
	switch c {
	case release.ConsistencyApplication:
		return "application-consistent"
	case release.ConsistencyCrash:
		return "crash-consistent"
	default:
		return "consistency not proved"
	}
}

func rotationWords(id string, e *release.Entry) string {
	if id == "rotate-prove" {
		proved, asked := 0, 0
		for _, r := range e.TLS.Rotations {
			for _, p := range r.Proofs {
				asked++
				if p.Proved {
					proved++
				}
			}
		}
		if asked == 0 {
			return "no endpoint asked"
		}
		return fmt.Sprintf("%s of %s proved on the wire", thousands(proved), count(asked, "endpoint"))
	}
	renewed := 0
	for _, r := range e.TLS.Rotations {
		if r.Renewed {
			renewed++
		}
	}
	if len(e.TLS.Rotations) == 0 {
		return "no certificate"
	}
	return fmt.Sprintf("%s of %s renewed", thousands(renewed), count(len(e.TLS.Rotations), "certificate"))
}

func blocking(d *release.Decision) []release.Judgement {
	var block []release.Judgement
	for _, j := range d.Judgements {
		if j.Verb == release.Block {
			block = append(block, j)
		}
	}
	return block
}
