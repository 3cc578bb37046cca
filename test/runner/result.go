// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A line is one line of act's JSON log.
type line struct {
	Stage, StepResult, JobResult, Command, Name, Arg, Content, Msg string
	StepID                                                         []string
	KvPairs                                                        map[string]string // of a command
}

// A Result is what a run left.
type Result struct {
	Log     string
	Outputs map[string]string // "step.output", of the workflow's own steps
	Steps   map[string]string // step -> success, failure
	Summary string
	Marks   []string // annotations, each with its command before it
	Places  []string // of the annotations in the source, as path:line
	Job     string   // success or failure
	Exit    int      // of the runner
}

func read(log string) Result {
	r := Result{Outputs: map[string]string{}, Steps: map[string]string{}}
	for text := range strings.Lines(log) {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil {
			continue // act says some things in plain text
		}
		r.Log += strings.Join(l.StepID, "/") + "  " + strings.TrimRight(l.Msg, "\n") + "\n"
		r.take(l)
	}
	return r
}

func (r *Result) take(l line) {
	step := strings.Join(l.StepID, "/")
	switch {
	case l.JobResult != "":
		r.Job = l.JobResult
	case l.StepResult != "" && l.Stage == "Main":
		r.Steps[step] = l.StepResult
	case l.Command == "set-output":
		r.Outputs[step+"."+l.Name] = l.Arg
	case l.Command == "summary":
		r.Summary += l.Content
	case slices.Contains([]string{"error", "warning", "notice"}, l.Command):
		r.Marks = append(r.Marks, l.Command+": "+l.Arg)
		if path := l.KvPairs["file"]; path != "" {
			r.Places = append(r.Places, path+":"+l.KvPairs["line"])
		}
	}
}

// Check asserts outputs and results of steps. A step's outputs are known as the workflow sees
// them, under the step's own id.
func (r *Result) Check(t testing.TB, steps, outputs map[string]string) {
	t.Helper()
	for name, want := range steps {
		if r.Steps[name] != want {
			t.Errorf("step %s: %q, want %q", name, r.Steps[name], want)
		}
	}
	for name, want := range outputs {
		if got := r.Outputs[name]; got != want {
			t.Errorf("output %s is %q, want %q", name, got, want)
		}
	}
}
