// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// History shows the records of an application.
type History struct {
	place       place
	environment string
	commit      string
	run         string
	limit       int
	config      string
}

// Declare implements Step.
func (h *History) Declare(set *step.Set) {
	set.Name, set.Summary = "history", "Show what the runs of an application left, newest first."
	set.Long = "With --run it shows one record whole, and checks that no entry of it was removed\nor altered."
	set.Example = "knowngood history --app shop --environment production --limit 5"
	set.Faces = []step.Face{step.CLI}
	h.place.declare(set)
	set.Text(&h.environment, "environment", "", "Name of the environment, e.g. production; empty shows all.")
	set.Text(&h.commit, "commit", "", "Only runs of this commit: its id, or the first digits of it.")
	set.Text(&h.run, "run", "", "Only this run.")
	set.Int(&h.limit, "limit", 20, "How many runs to show; 0 shows all.")
	set.Text(&h.config, "config", "", "Path of the configuration; empty uses .knowngood.yaml where it exists.")
}

var digits = regexp.MustCompile(`^[0-9a-f]{4,64}$`)

// Run implements Step.
func (h *History) Run(ctx context.Context, run *Run) error {
	commit := strings.ToLower(h.commit)
	switch {
	case commit != "" && !digits.MatchString(commit):
		return fault.Usagef("commit %.80q: want the first 4 to 64 hexadecimal digits of its id", h.commit)
	case h.limit < 0:
		return fault.Usagef("limit %d: want 0 or above", h.limit)
	}
	app := h.place.application()
	if err := named(app); err != nil {
		return err
	}
	url, err := h.place.url(run)
	if err != nil {
		return err
	}
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	if errors.Is(err, catalog.ErrNotFound) && h.place.catalog == "" && h.run == "" {
		return h.show(run, []release.Record{}) // nobody has stored anything in the default place yet
	} else if err != nil {
		return err
	}
	defer store.Close()
	records, err := store.Records(ctx, catalog.Query{
		App: app, Environment: h.environment, Run: h.run, Commit: commit, Limit: h.limit,
	})
	if h.run != "" && err == nil {
		if err = store.Verify(ctx, app, h.environment, h.run); err != nil {
			err = fmt.Errorf("check the record of run %q in %s: %w", h.run, bucket.Redact(url), err)
			if errors.Is(err, catalog.ErrNotFound) {
				err = fault.Hint(err, "history without --run lists the runs of an application")
			}
		}
	}
	return errors.Join(err, h.show(run, records))
}

func (h *History) show(run *Run, records []release.Record) error {
	run.Result(records)
	if h.run != "" {
		for _, record := range records {
			run.Show(report.Text(record, report.Options{}))
		}
		return nil
	}
	run.Show(report.History(records))
	return nil
}
