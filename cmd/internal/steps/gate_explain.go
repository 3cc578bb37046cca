// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// explaining holds the inputs of a gate that a person asks by hand.
type explaining struct {
	explain bool
	dry     bool
}

func (x *explaining) declare(set *step.Set) {
	set.Bool(&x.explain, "explain", false, "Show every finding with the line of the policy that decided about it, and by which sign it was known again.")
	set.Bool(&x.dry, "dry-run", false, "Decide as ever, and write no record: the same scans, configuration and baseline give the same answer on a laptop as in a pipeline.")
}

// tell shows the decision and, where it was asked for, all that led to it.
func (x *explaining) tell(ctx context.Context, run *Run, e release.Entry, err error) {
	if e.Decision == nil {
		return
	}
	conclude(&e, err, run.Now())
	run.Tell(report.Text(recordOf(e), report.Options{Source: sourceOf(ctx, run)}))
	if x.explain {
		run.Tell(report.Explain(*e.Decision))
	}
}

// rehearse does the work of a step and keeps nothing. The catalog is read where there is one,
// and neither made nor written to.
func (s *subject) rehearse(ctx context.Context, run *Run, id string, work func(context.Context, *release.Entry) error) error {
	about, err := s.resolve(run)
	if err != nil {
		return err
	}
	url, err := s.url(run)
	if err != nil {
		return err
	}
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	switch {
	case err == nil:
		s.store = store
		defer func() { s.store = nil }()
		defer store.Close()
	case !errors.Is(err, catalog.ErrNotFound):
		return err
	}
	entry := release.Entry{
		Subject: about, Step: id, Began: run.Now(), Version: run.Version, Checkout: checkedOut(ctx, run, about.Commit),
	}
	err = work(ctx, &entry)
	conclude(&entry, err, run.Now())
	run.Result(entry)
	return err
}
