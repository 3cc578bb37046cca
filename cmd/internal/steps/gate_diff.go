// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/sarif"
	"github.com/knowngood/knowngood/pkg/step"
)

// GateDiff compares the findings of two commits or of two files.
type GateDiff struct {
	place         place
	before, after string
	out           out
	config        string
}

// Declare implements Step.
func (g *GateDiff) Declare(set *step.Set) {
	set.Name, set.Summary = "gate diff", "Compare the findings of two commits or of two SARIF files."
	set.Long = "A side is a SARIF file or a glob of them, or else a git ref or a commit about which a\n" +
		"gate has decided: then its record is taken from the catalog. Findings are paired as\n" +
		"the gate pairs them with a baseline. What is not found any more counts as gone only\n" +
		"where a whole scan says that it looked. It exits 0 whatever the difference is."
	set.Example = "knowngood gate diff main HEAD --app shop --out sarif=diff.sarif"
	set.Faces = []step.Face{step.CLI}
	set.Text(&g.before, "before", "", "The earlier side: a SARIF file, a git ref or a commit.", step.Required(), step.Word())
	set.Text(&g.after, "after", "", "The later side: a SARIF file, a git ref or a commit.", step.Required(), step.Word())
	g.place.declare(set)
	set.Text(&g.config, "config", "", "Path of the configuration; empty uses .knowngood.yaml where it exists.")
	g.out.declare(set, "File to write the comparison to, as FORMAT=FILE with the format sarif (with baselineState), json or text; "+
		"can be given more than once.")
}

// Run implements Step.
func (g *GateDiff) Run(ctx context.Context, run *Run) error {
	outs, err := prepareOut(run.Dir, g.out, []string{g.before, g.after}, diffFormats)
	if err != nil {
		return err
	}
	before, errBefore := g.side(ctx, run, g.before)
	after, errAfter := g.side(ctx, run, g.after)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return err
	}
	c := policy.Compare(before, after)
	run.Result(c)
	run.Show(report.Comparison(c))
	return writeOut(outs, c)
}

// diffFormats are the forms that a comparison is written in.
func diffFormats(name string) (func(release.Comparison) ([]byte, error), bool) {
	form, ok := map[string]func(release.Comparison) ([]byte, error){
		"sarif": func(c release.Comparison) ([]byte, error) {
			return written(release.Decision{Baseline: c.Before, Scans: c.Scans, Judgements: c.Judgements}, sarif.Comparison)
		},
		"json": func(c release.Comparison) ([]byte, error) { return indented(c) },
		"text": func(c release.Comparison) ([]byte, error) { return []byte(report.Comparison(c)), nil },
	}[name]
	return form, ok
}

// side finds one side. A file wins over a ref of the same name.
func (g *GateDiff) side(ctx context.Context, run *Run, given string) (*policy.Baseline, error) {
	if found, err := match(run.Dir, given); err != nil || len(found) > 0 {
		rules := run.Config.rules()
		files := gating{baseline: given}
		read, err := files.fromFiles(ctx, run, sarif.Options{Root: run.Dir, Limits: limits(rules)})
		return read.on, err
	}
	commits, err := commitsOf(ctx, run, given)
	if err != nil {
		return nil, fault.Hint(fault.Exit(fault.Usage, fmt.Errorf("%q is neither a file nor a commit: %w", given, err)),
			"give a SARIF file, a ref of the checkout, or a whole commit id")
	}
	return g.decided(ctx, run, given, commits[:1])
}

// decided takes a side from the catalog.
func (g *GateDiff) decided(ctx context.Context, run *Run, given string, commit []release.Commit) (*policy.Baseline, error) {
	app := g.place.application()
	if err := named(app); err != nil {
		return nil, err
	}
	url, err := g.place.url(run)
	if err != nil {
		return nil, err
	}
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	found, err := store.Decided(ctx, app, "", commit)
	if err != nil {
		return nil, fault.Hint(err, "run the gate on %s, or give SARIF files", given)
	}
	name := given
	if name != string(commit[0]) {
		name += " at " + commit[0].Short()
	}
	return policy.BaselineOf(fmt.Sprintf("%s, decided %s in run %s", name, day(found.Ended), found.Run), *found.Decision, found.Ended), nil
}
