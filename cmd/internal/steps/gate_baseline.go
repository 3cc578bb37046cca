// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
)

// The words of the input baseline. Anything else is a file.
const (
	baselineReleased = "released"
	baselineNone     = "none"
	baselineRef      = "ref:"
)

// lineage is how far back from a ref a decision is looked for.
const lineage = 200

// A based is what the findings are compared with, or why with nothing.
type based struct {
	on  *policy.Baseline
	why string
}

// base finds the baseline. That there is none yet is no error: every finding is new then, which
// is the strictest answer. A baseline that was named and cannot be read is one.
func (g *gating) base(ctx context.Context, run *Run, s *subject, e *release.Entry, options sarif.Options) (based, error) {
	ref, isRef := strings.CutPrefix(g.baseline, baselineRef)
	switch {
	case g.baseline == baselineNone:
		return based{}, nil
	case g.baseline == "":
		found, err := released(ctx, s, e)
		if err != nil {
			return based{why: err.Error()}, nil //nolint:nilerr // nobody asked for it; the report says why there is none
		}
		if found.on == nil {
			return based{}, nil // nobody asked for one
		}
		return found, nil
	case g.baseline == baselineReleased:
		found, err := released(ctx, s, e)
		return found, hintBaseline(err)
	case isRef:
		found, err := atRef(ctx, run, s, e, ref)
		return found, hintBaseline(err)
	}
	found, err := g.fromFiles(ctx, run, options)
	return found, hintBaseline(err)
}

func hintBaseline(err error) error {
	if err == nil {
		return nil
	}
	return fault.Hint(fmt.Errorf("baseline: %w", err), "with --baseline none every finding counts as new")
}

// released is the record of the last release that deployed well.
func released(ctx context.Context, s *subject, e *release.Entry) (based, error) {
	if s.store == nil {
		return based{why: "there is no catalog"}, nil
	}
	found, err := s.store.Deployed(ctx, e.App, s.environment, e.Run)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return based{why: fmt.Sprintf("the catalog has no release of %s that deployed well after a gate's decision", where(e.App, s.environment))}, nil
	case err != nil:
		return based{}, err
	}
	name := fmt.Sprintf("the release of %s, deployed %s in run %s", found.Gate.Commit.Short(), day(found.Finish.Ended), found.Finish.Run)
	if found.Ungated > 0 {
		name += fmt.Sprintf(" (%d later without a gate)", found.Ungated)
	}
	return based{on: policy.BaselineOf(name, *found.Gate.Decision, found.Gate.Ended)}, nil
}

func where(app, environment string) string {
	if environment == "" {
		return app
	}
	return app + " to " + environment
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// atRef is the decision about the commit of a ref, or about the nearest commit before it on
// its line that a gate has decided about.
func atRef(ctx context.Context, run *Run, s *subject, e *release.Entry, ref string) (based, error) {
	commits, err := commitsOf(ctx, run, ref)
	switch {
	case err != nil:
		return based{}, err
	case s.store == nil:
		return based{why: "there is no catalog"}, nil
	}
	found, err := s.store.Decided(ctx, e.App, e.Run, commits)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		why := "no gate has decided about " + ref
		if before := len(commits) - 1; before > 0 {
			why += fmt.Sprintf(", nor about the %d commits before it", before)
		}
		return based{why: why}, nil
	case err != nil:
		return based{}, err
	}
	name := fmt.Sprintf("%s at %s, decided %s in run %s", ref, found.Commit.Short(), day(found.Ended), found.Run)
	return based{on: policy.BaselineOf(name, *found.Decision, found.Ended)}, nil
}

// commitsOf lists the commits of a ref, newest first. A full id needs no checkout.
func commitsOf(ctx context.Context, run *Run, ref string) ([]release.Commit, error) {
	id, notAnID := release.ParseCommit(ref)
	checkout, err := git.Open(ctx, run.Dir, run.Environ)
	if err == nil {
		var commits []release.Commit
		if commits, err = checkout.Lineage(ctx, ref, lineage); err == nil {
			return commits, nil
		}
	}
	if notAnID == nil {
		return []release.Commit{id}, nil
	}
	return nil, fault.Exit(fault.Usage, fmt.Errorf("%s%s: %w", baselineRef, ref, err))
}

// fromFiles reads the SARIF files that the input names. All of them must be whole: what is
// missing in a baseline looks new, and a scan that yields nothing is a mistake here, too.
func (g *gating) fromFiles(ctx context.Context, run *Run, options sarif.Options) (based, error) {
	files, err := expand(run.Dir, []string{g.baseline})
	if err != nil {
		return based{}, err
	}
	folder, err := os.MkdirTemp("", "knowngood-baseline-")
	if err != nil {
		return based{}, err
	}
	defer os.RemoveAll(folder)
	if files, err = run.Config.settle(ctx, files, folder); err != nil {
		return based{}, err
	}
	options.Source = nil // the checkout is not what the baseline was made of
	scans, err := readScans(ctx, run, files, options)
	if err != nil {
		return based{}, err
	}
	for i := range scans {
		if c := scans[i].Completeness; c == release.ScanUnusable || c == release.ScanAbsent {
			return based{}, fault.Usagef("%s holds no results: %s", scans[i].File, cmp.Or(strings.Join(scans[i].Notes, "; "), "they are absent"))
		}
	}
	name := g.baseline
	if len(files) == 1 && len(scans) > 0 {
		name += " (" + scans[0].Digest + ")"
	}
	return based{on: policy.BaselineFrom(name, scans, time.Time{})}, nil
}

// thereIn tells of files whether a checkout has them. A path that leads out of it is not there.
func thereIn(checkout *os.Root) func(path string) bool {
	return func(path string) bool {
		_, err := checkout.Lstat(path)
		return err == nil
	}
}
