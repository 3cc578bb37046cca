// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/sarif"
	"github.com/knowngood/knowngood/pkg/step"
)

// Gate decides by what scanners found whether the commit may ship.
type Gate struct {
	subject    subject
	gating     gating
	explaining explaining
}

// Declare implements Step.
func (g *Gate) Declare(set *step.Set) {
	set.Name, set.Summary = "gate", "Decide by what scanners found whether the commit may ship."
	set.Long = "Reads SARIF 2.1.0 of any tools and decides pass, warn or fail by the policy under\n" +
		"\"gate:\" in .knowngood.yaml. Without one it fails at a security-severity of 7.0, or\n" +
		"at level error where a tool gives no score. A scan that is missing, empty, cut off\n" +
		"or of another commit fails in every mode: it is never taken for a clean one."
	set.Example = "knowngood gate --app shop --sarif 'reports/**/*.sarif'"
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	g.subject.declare(set)
	g.gating.declare(set)
	g.explaining.declare(set)
}

// Run implements Step.
func (g *Gate) Run(ctx context.Context, run *Run) error {
	keep := g.subject.record
	if g.explaining.dry {
		keep = g.subject.rehearse
	}
	return keep(ctx, run, "gate", func(ctx context.Context, e *release.Entry) error {
		err := g.gating.run(ctx, run, &g.subject, e)
		g.explaining.tell(ctx, run, *e, err)
		return err
	})
}

// gating holds the inputs of the decision alone.
type gating struct {
	sarif    []string
	baseline string
	mode     string
	out      out
}

func (g *gating) declare(set *step.Set) {
	set.List(&g.sarif, "sarif", "SARIF file of a scanner, or a glob as in reports/**/*.sarif; can be given more than once.", step.Required())
	set.Text(&g.baseline, "baseline", "",
		"What findings are compared with: released (the last release that deployed well to this environment), ref:NAME (what a gate decided about a git ref, as in ref:main or ref:HEAD^), a SARIF file, or none; empty uses released where the catalog has one.")
	set.Text(&g.mode, "mode", "",
		"enforce, or audit, in which findings only warn; empty uses the policy's, which is enforce unless it says otherwise.",
		step.Choices(string(release.Enforce), string(release.Audit)))
	g.out.declare(set, outDoc)
	set.Output("decision", "pass, warn or fail.")
	set.Output("risk", "How much is at stake when the commit ships: none, low, medium, high or critical.")
	set.Output("findings", "How many findings the scans hold.")
	set.Output("blocking", "How many of them close the gate.")
}

// run decides, and leaves the decision in the entry. A closed gate is an error of status
// fault.GateClosed; everything else that goes wrong with a file makes the decision fail, so
// that the record shows it. Wrong globs and policies are errors of usage without a decision.
func (g *gating) run(ctx context.Context, run *Run, s *subject, e *release.Entry) error {
	outs, err := prepareOut(run.Dir, g.out, append([]string{g.baseline}, g.sarif...), gateFormats)
	if err != nil {
		return err
	}
	rules := run.Config.rules()
	files, err := expand(run.Dir, g.sarif)
	if err != nil {
		return err
	}
	checkout, err := os.OpenRoot(run.Dir)
	if err != nil {
		return err
	}
	defer checkout.Close()
	options := sarif.Options{Root: run.Dir, Source: checkout.FS(), Limits: limits(rules)}
	base, err := g.base(ctx, run, s, e, options)
	if err != nil {
		return err
	}
	if base.why != "" {
		run.Log.Warn("no baseline: every finding counts as new", "why", base.why)
	}
	scans, err := readScans(ctx, run, files, options)
	if err != nil {
		return err
	}
	decision := rules.Decide(policy.Request{
		Scans: scans, Baseline: base.on, Unbased: base.why, There: thereIn(checkout),
		Commit: e.Commit, Head: e.Head, Now: run.Now(), Mode: release.Mode(g.mode),
	})
	e.Decision = &decision
	err = closed(decision)
	shown := *e
	shown.Format = release.Format
	conclude(&shown, err, run.Now())
	return errors.Join(err, handOn(run, decision), writeOut(outs, shown))
}

func limits(p *policy.Policy) sarif.Limits {
	l := p.Limits()
	return sarif.Limits{File: l.File, Value: l.Value, Kept: l.Kept, Findings: l.Findings, Members: l.Members}
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// closed returns the error of a decision that fails, nil for others. It names the worst of what
// closed the gate; the record and the page hold all of it.
func closed(d release.Decision) error {
	if d.Outcome == release.Pass || d.Outcome == release.Warn {
		return nil
	}
	what := "the gate is closed"
	blocking, first := count(d, release.Block), firstBlocking(d)
	join := ": "
	if first != 0 && len(d.Reasons) > 0 {
		what += join + report.Line(d.Reasons[0], 300)
		join = "; and "
	}
	switch {
	case blocking == 1:
		what += join + "1 finding blocks"
	case blocking > 1:
		what += fmt.Sprintf("%s%d findings block, the first of them", join, blocking)
	}
	if first >= 0 {
		what += ": " + report.Line(d.Reasons[first], 300)
	}
	err := fault.Exit(fault.GateClosed, errors.New(what))
	if blocking == 0 {
		return err
	}
	return fault.Hint(err, "mend it, or accept it for a time under gate.waivers in %s", StandardConfig)
}

// firstBlocking is the place among the reasons of the first finding that blocks, -1 where there
// is none. What closes the gate whatever was found stands before it.
func firstBlocking(d release.Decision) int {
	for i := range d.Judgements {
		if j := &d.Judgements[i]; j.Verb == release.Block {
			return slices.IndexFunc(d.Reasons, func(reason string) bool { return strings.HasPrefix(reason, j.Because+": ") })
		}
	}
	return -1
}

func count(d release.Decision, verb release.Verb) (n int) {
	for i := range d.Judgements {
		if d.Judgements[i].Verb == verb {
			n++
		}
	}
	return n
}

// handOn gives the outputs.
func handOn(run *Run, d release.Decision) error {
	findings := 0
	for _, scan := range d.Scans {
		findings += scan.Findings
	}
	return errors.Join(
		run.Host.Output("decision", string(d.Outcome)),
		run.Host.Output("risk", string(d.Risk)),
		run.Host.Output("findings", strconv.Itoa(findings)),
		run.Host.Output("blocking", strconv.Itoa(count(d, release.Block))),
	)
}
