// SPDX-License-Identifier: Apache-2.0

package action

import (
	"strconv"
	"sync"
)

// Levels of annotations.
const (
	failure = "failure"
	warning = "warning"
)

// annotationLimit is how many annotations of one level the runner keeps of a step. It drops the
// later ones.
const annotationLimit = 10

// An Annotation is one finding at its place in the source, in plain text.
type Annotation struct {
	Path           string
	Line, EndLine  int
	Level          string // failure or warning
	Title, Message string
}

// A tally counts the annotations of the step, by level.
type tally struct {
	mu    sync.Mutex
	shown map[string]int
}

// take counts one more, unless there are as many as allowed.
func (t *tally) take(level string, most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shown[level] >= most {
		return false
	}
	if t.shown == nil {
		t.shown = map[string]int{}
	}
	t.shown[level]++
	return true
}

// Annotate points a finding out by a workflow command. It shows nothing and returns false where
// the runner would drop it; the last error is left to Fail, which says how the step ends.
func (h *Host) Annotate(a Annotation) bool {
	most := annotationLimit
	if a.Level == failure {
		most--
	}
	if !h.tally.take(a.Level, most) {
		return false
	}
	at := h.action.WithFieldsMap(map[string]string{
		"file": a.Path, "line": strconv.Itoa(a.Line), "endLine": strconv.Itoa(a.EndLine), "title": a.Title,
	})
	if a.Level == failure {
		at.Errorf("%s", a.Message)
	} else {
		at.Warningf("%s", a.Message)
	}
	return true
}
