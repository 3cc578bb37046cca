// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"fmt"

	"github.com/knowngood/knowngood/pkg/artifact"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

// handing holds the inputs by which a run that may not write to GitHub hands its record to one
// that may, and by which that one takes it.
type handing struct {
	to, from string
	// taken is the record that was taken; nil where the catalog's is told.
	taken *release.Record
}

func (h *handing) declareTo(set *step.Set) {
	set.Text(&h.to, "artifact", "",
		"File to write the gate's record to, for a later run that may write to GitHub where this one may not. Empty writes none.", step.Fact())
	set.Output("artifact", "Path of the file in which the record is handed on; to be uploaded.")
}

func (h *handing) declareFrom(set *step.Set) {
	set.Text(&h.from, "from-artifact", "",
		"File that a run nobody vouches for, such as a fork's, left by artifact. It is told instead of the catalog's record, of --commit alone, and turns nothing green.")
}

// take reads the artifact where one is given. What it is about is told by this step's inputs,
// which the run that made it could not choose; what it is not to be believed is taken away.
func (r *Report) take(run *Run) error {
	h := &r.reporting.handing
	if h.from == "" {
		return nil
	}
	h.to, r.reporting.untrusted = "", true
	about, err := r.subject.resolve(run)
	if err != nil {
		return err
	}
	record, err := artifact.Read(within(run.Dir, h.from))
	if err != nil {
		return err
	}
	if record.Commit != about.Commit {
		return fault.Hint(fmt.Errorf("artifact %s: it is about commit %.12s, and the run that it comes from was about %.12s",
			h.from, record.Commit, about.Commit), "it is to come from the run that started this one; nothing of it is told")
	}
	about.Head, about.Tree, about.PullRequest = "", "", 0
	record.Subject = about
	for i := range record.Entries {
		record.Entries[i].Subject = about
		record.Entries[i].Checkout = nil
	}
	h.taken = &record
	return nil
}

// record returns what is to be told.
func (r *reporting) record(ctx context.Context, run *Run, s *subject) (release.Record, error) {
	if r.handing.taken != nil {
		return *r.handing.taken, nil
	}
	return s.read(ctx, run)
}

// handOver writes the record for a later run, and returns what went wrong.
func (r *reporting) handOver(run *Run, record release.Record) []error {
	if r.handing.to == "" || record.Last("gate") == nil {
		return nil
	}
	path := within(run.Dir, r.handing.to)
	err := artifact.Write(path, record)
	if err == nil {
		err = run.Host.Output("artifact", path)
	}
	if err != nil {
		run.Log.Warn("the record is not handed on", "why", err.Error())
		return []error{err}
	}
	return nil
}
