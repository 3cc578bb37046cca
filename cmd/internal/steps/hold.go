// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"

	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// BackupHold keeps a backup whatever the rules of retention say.
type BackupHold struct {
	choice choice
	reason string
	end    bool
}

// Declare implements Step.
func (h *BackupHold) Declare(set *step.Set) {
	set.Name, set.Summary = "backup hold", "Keep a backup whatever the rules of retention say, or end that."
	set.Example = "knowngood backup hold 6f1d2c --app shop --repository s3://backups/shop --reason 'audit of 2026'"
	set.Faces = []step.Face{step.CLI}
	h.choice.declare(set)
	h.choice.wanted.declareReach(set)
	set.Text(&h.reason, "reason", "", "Why it is kept, for those who find it.")
	set.Bool(&h.end, "end", false, "End the holds of the reason that is given, without one all of them.")
}

// Run implements Step.
func (h *BackupHold) Run(ctx context.Context, run *Run) error {
	if err := h.choice.check(); err != nil {
		return err
	}
	repository, err := h.choice.wanted.open(ctx, run)
	if err != nil {
		return err
	}
	defer leave(ctx, run, repository)
	chosen, err := h.choice.find(ctx, repository)
	if err != nil {
		return err
	}
	if h.end {
		chosen.Hold, err = repository.Unhold(ctx, chosen.ID, h.reason)
	} else {
		hold, holding := repository.Hold(ctx, chosen.ID, h.reason)
		err, chosen.Hold = holding, &hold
	}
	if err != nil {
		return err
	}
	run.Result(chosen)
	switch {
	case h.end && chosen.Hold == nil:
		run.Tell(report.Note("backup " + chosen.ID + " is no longer on hold"))
	case h.end:
		run.Tell(report.Note("backup " + chosen.ID + " is still on hold: " + chosen.Hold.Reason))
	default:
		run.Tell(report.Note("backup " + chosen.ID + " is on hold: no prune gives it up until backup hold --end"))
	}
	return nil
}
