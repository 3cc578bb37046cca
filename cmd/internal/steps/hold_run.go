// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/retire"
	"github.com/knowngood/knowngood/pkg/step"
)

// Hold keeps all copies of a run whatever the rules of retention say.
type Hold struct {
	wanted      wanted
	run, reason string
	end         bool
	snapshots   bool
}

// Declare implements Step.
func (h *Hold) Declare(set *step.Set) {
	set.Name, set.Summary = "hold", "Keep the copies of a run, backups and VolumeSnapshots, whatever the rules of retention say, or end that."
	set.Long = "Backups are held where --repository is given, snapshots where --volume-snapshots is.\n" +
		"Holds add up: each reason ends by itself. A person can hold a VolumeSnapshot as well,\n" +
		"by the annotation knowngood.dev/holds with any text."
	set.Example = "knowngood hold --app shop --run 4711 --reason 'audit of 2026' --repository s3://backups/shop --volume-snapshots"
	set.Faces = []step.Face{step.CLI}
	h.wanted.declareWhose(set)
	h.wanted.declareConfig(set)
	h.wanted.declareReach(set)
	set.Text(&h.run, "run", "", "Run whose copies are meant.", step.Required())
	set.Text(&h.reason, "reason", "", "Why it is kept, for those who find it.")
	set.Bool(&h.end, "end", false, "End the holds of the reason that is given, without one all of them.")
	set.Bool(&h.snapshots, "volume-snapshots", false, "Look at the VolumeSnapshots of the namespace as well.")
	set.Needs("get,list,patch", "snapshot.storage.k8s.io/volumesnapshots", "find the snapshots of the run, and note on them who holds them")
}

// heldCopies is what the step prints as JSON.
type heldCopies struct {
	Run       string   `json:"run"`
	Backups   []string `json:"backups,omitempty"`
	Snapshots []string `json:"snapshots,omitempty"`
	Ended     bool     `json:"ended,omitempty"`
}

// Run implements Step. What was held of a part is told also where another could not be.
func (h *Hold) Run(ctx context.Context, run *Run) error {
	query, err := h.wanted.query()
	if err != nil {
		return err
	}
	if h.wanted.repository == "" && !h.snapshots {
		return fault.Hint(fault.Usagef("where the copies are is not clear"), "give --repository, --volume-snapshots, or both")
	}
	if err := named(query.App); err != nil {
		return err
	}
	held := heldCopies{Run: h.run, Ended: h.end}
	var errs [2]error
	if h.wanted.repository != "" {
		held.Backups, errs[0] = h.backups(ctx, run, query)
	}
	if h.snapshots {
		held.Snapshots, errs[1] = h.inCluster(ctx, run, query)
	}
	found := len(held.Backups) + len(held.Snapshots)
	err = fault.Together(ctx, found > 0, errs[:])
	if found == 0 {
		if err == nil {
			err = fault.Hint(fmt.Errorf("no copy of run %.80q of %q is there", h.run, query.App), "see what there is with knowngood history")
		}
		return err
	}
	run.Result(held)
	words := "is on hold: no prune gives its copies up until hold --end"
	if h.end {
		words = "is not on hold any more for that reason"
	}
	run.Tell(report.Note(fmt.Sprintf("run %s %s (backups: %d, VolumeSnapshots: %d)", h.run, words, len(held.Backups), len(held.Snapshots))))
	return err
}

func (h *Hold) backups(ctx context.Context, run *Run, query backup.Query) ([]string, error) {
	repository, err := h.wanted.open(ctx, run)
	if err != nil {
		return nil, err
	}
	defer leave(ctx, run, repository)
	all, err := repository.List(ctx, query)
	errs := []error{err}
	var ids []string
	for _, b := range all {
		if b.Run != h.run {
			continue
		}
		if h.end {
			_, err = repository.Unhold(ctx, b.ID, h.reason)
		} else {
			_, err = repository.Hold(ctx, b.ID, h.reason)
		}
		if errs = append(errs, err); err == nil {
			ids = append(ids, b.ID)
		}
	}
	return ids, errors.Join(errs...)
}

func (h *Hold) inCluster(ctx context.Context, run *Run, query backup.Query) ([]string, error) {
	connected, err := h.wanted.from.connect(ctx, run)
	if err != nil {
		return nil, err
	}
	about := release.Subject{App: query.App, Environment: query.Environment, Run: h.run}
	if h.end {
		return retire.Unhold(ctx, connected, about, h.reason)
	}
	owner := cmp.Or(variable(run.Environ, "USER"), "somebody")
	return retire.Hold(ctx, connected, about, release.Hold{At: run.Now().UTC(), Owner: owner, Reason: h.reason})
}
