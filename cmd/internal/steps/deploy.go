// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

// DeployStart says in the record that the deploy begins.
type DeployStart struct{ subject subject }

// Declare implements Step.
func (d *DeployStart) Declare(set *step.Set) {
	set.Name, set.Summary = "deploy start", "Say in the record that the deploy begins."
	set.Long = "For pipelines that deploy by themselves. Data written from here on has met the\n" +
		"commit, so that what was kept before it is what a way back leads to."
	set.Example = "knowngood deploy start --app shop --run \"$RUN\""
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	d.subject.declare(set)
}

// Run implements Step.
func (d *DeployStart) Run(ctx context.Context, run *Run) error {
	return d.subject.record(ctx, run, "deploy-start", func(_ context.Context, e *release.Entry) error {
		e.State, e.Deploy = release.Started, &release.Deploy{ExitStatus: release.ExitUnknown}
		return nil
	})
}

// DeployFinish says in the record how the deploy ended.
type DeployFinish struct {
	subject subject
	outcome string
	status  string
}

// Declare implements Step.
func (d *DeployFinish) Declare(set *step.Set) {
	set.Name, set.Summary = "deploy finish", "Say in the record how the deploy ended."
	set.Long = "Saying so is all that it does: it succeeds for a deploy that failed, too."
	set.Example = "knowngood deploy finish --app shop --run \"$RUN\" --exit-status $?"
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	d.subject.declare(set)
	set.Text(&d.outcome, "outcome", "", "How the deploy ended: success, failure or cancelled, as GitHub's job.status and Tekton's task status write it.")
	set.Text(&d.status, "exit-status", "", "Exit status of the deploy's command; 0 means success. One of outcome and exit-status is needed.")
}

// Run implements Step.
func (d *DeployFinish) Run(ctx context.Context, run *Run) error {
	state, status, err := d.ended()
	if err != nil {
		return err
	}
	return d.subject.record(ctx, run, "deploy-finish", func(ctx context.Context, e *release.Entry) error {
		e.State, e.Deploy = state, &release.Deploy{ExitStatus: status}
		if state == release.Failed {
			e.Error = "the deploy failed"
			if status > 0 {
				e.Error = fmt.Sprintf("the deploy ended with exit status %d", status)
			}
		}
		return d.pair(ctx, run, e)
	})
}

// pair gives the entry the beginning of its deploy. A deploy that nobody saw begin is noted:
// the moment from which data has met the commit is then not known.
func (d *DeployFinish) pair(ctx context.Context, run *Run, e *release.Entry) error {
	record, err := d.subject.read(ctx, run)
	if began := record.Last("deploy-start"); began != nil {
		e.Began = began.Began
		e.Deploy.Command = deployCommand(began)
		return nil
	}
	run.Log.Warn("no deploy start is in the record of this run", "run", e.Run, "cure", "run deploy start before the deploy, with the same --run")
	if err != nil {
		return fault.Exit(fault.Partial, fmt.Errorf("look for the start of the deploy: %w", err))
	}
	return nil
}

func deployCommand(e *release.Entry) string {
	if e.Deploy == nil {
		return ""
	}
	return e.Deploy.Command
}

// outcomeOf reads the words of the pipelines that say how a job or a task ended.
func outcomeOf(word string) (state release.State, known bool) {
	switch strings.ToLower(word) {
	case "success", "succeeded", "completed", "done":
		return release.Done, true
	case "failure", "failed":
		return release.Failed, true
	case "cancelled", "canceled":
		return release.Cancelled, true
	}
	return "", false
}

// ended returns how the deploy ended and its exit status.
func (d *DeployFinish) ended() (release.State, int, error) {
	status, state := release.ExitUnknown, release.State("")
	if d.status != "" {
		n, err := strconv.Atoi(d.status)
		if err != nil || n < 0 {
			return "", 0, fault.Usagef("exit-status %q: want a whole number, 0 or above", d.status)
		}
		if status, state = n, release.Done; n != 0 {
			state = release.Failed
		}
	}
	if d.outcome == "" && d.status == "" {
		return "", 0, fault.Hint(fault.Usagef("deploy finish needs to know how the deploy ended"), "give --exit-status or --outcome")
	}
	if d.outcome == "" {
		return state, status, nil
	}
	said, known := outcomeOf(d.outcome)
	switch {
	case !known:
		return "", 0, fault.Usagef("outcome %.80q: want success, failure or cancelled", d.outcome)
	case d.status != "" && (said == release.Done) != (state == release.Done):
		return "", 0, fault.Usagef("outcome %s and exit-status %d contradict each other", d.outcome, status)
	}
	return said, status, nil
}
