// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// Release runs the whole journey around a deploy command. Each step leaves its own entry, as
// if it had been run by itself.
type Release struct {
	subject    subject
	cluster    cluster
	gating     gating
	snapping   snapping
	protecting protecting
	preparing  preparing
	proving    proving
	reporting  reporting
	command    []string
	skip       []string
}

// Steps that a release can leave out.
const (
	skipSnapshot = "snapshot"
	skipRotate   = "rotate"
	skipReport   = "report"
)

// Declare implements Step.
func (r *Release) Declare(set *step.Set) {
	set.Name, set.Summary = "release", "Gate, snapshot, rotate, deploy, prove and report, in this order, around a deploy command."
	set.Long = "A failed gate stops before anything is touched. A snapshot, a backup, its proof or a\n" +
		"renewal that fails stops before the deploy. A failed deploy is still reported, with the way back, and exits 3."
	set.Example = "knowngood release --sarif 'reports/*.sarif' --namespace shop -- kubectl apply -f deploy/"
	set.Faces = []step.Face{step.CLI, step.Action}
	r.subject.declare(set)
	r.cluster.declare(set)
	r.gating.declare(set)
	r.snapping.declare(set)
	r.protecting.declare(set)
	r.preparing.declare(set)
	r.proving.declare(set)
	r.reporting.declare(set)
	set.List(&r.skip, "skip", "Step to leave out: snapshot, rotate or report. Can be given more than once.")
	set.Command(&r.command, "deploy", "The command that deploys the commit.")
}

// Run implements Step.
func (r *Release) Run(ctx context.Context, run *Run) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.name(ctx, run); err != nil {
		return err
	}
	inner := gather(run)
	err := r.journey(ctx, &inner.Run)
	if !r.skips(skipReport) && len(inner.record.Entries) > 0 {
		r.report(ctx, &inner.Run)
	}
	run.Result(inner.record)
	return errors.Join(err, inner.outputs.handOn())
}

// report tells the record. It outlives a cancelled release, since a person must read how that
// ended, and it never changes how the release ends.
func (r *Release) report(ctx context.Context, run *Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()
	err := r.subject.record(ctx, run, "report", func(ctx context.Context, e *release.Entry) error {
		_ = r.reporting.run(ctx, run, &r.subject, e) // it has said what it missed
		return nil
	})
	if err != nil {
		run.Log.Warn("the report is not in the record", "why", err)
	}
}

// name completes and checks what the run is about. An environment that is named after its
// cluster needs the cluster at once; one that was given lets the gate decide without it.
func (r *Release) name(ctx context.Context, run *Run) error {
	if _, err := r.subject.resolve(run); err != nil || r.subject.environment != "" {
		return err
	}
	connected, err := r.cluster.connect(ctx, run)
	if err != nil {
		return err
	}
	return r.subject.inCluster(ctx, connected.Namespace, connected.UID)
}

func (r *Release) check() error {
	for _, name := range r.skip {
		if !slices.Contains([]string{skipSnapshot, skipRotate, skipReport}, name) {
			return fault.Usagef("skip %q: want snapshot, rotate or report", name)
		}
	}
	if err := report.CheckLinkTemplate(r.reporting.link); err != nil {
		return err
	}
	if len(r.command) == 0 {
		return fault.Hint(fault.Usagef("release needs the command that deploys"),
			"write it after \"--\", e.g. knowngood release --sarif 'reports/*.sarif' -- kubectl apply -f deploy/")
	}
	return nil
}

func (r *Release) skips(name string) bool { return slices.Contains(r.skip, name) }

// journey runs the steps up to the proof and stops at the first that fails.
func (r *Release) journey(ctx context.Context, run *Run) error {
	var decision release.Decision
	stages := []stage{{name: "gate", work: func(ctx context.Context, e *release.Entry) error {
		err := r.gating.run(ctx, run, &r.subject, e)
		if e.Decision != nil {
			decision = *e.Decision
		}
		return err
	}}}
	if !r.skips(skipSnapshot) {
		stages = append(stages, r.keeping(run, &decision)...)
	}
	var prepared *release.TLS
	if !r.skips(skipRotate) {
		stages = append(stages, stage{name: "rotate-prepare", work: func(ctx context.Context, e *release.Entry) error {
			err := r.preparing.run(ctx, run, &r.cluster, e)
			prepared = e.TLS
			return err
		}})
	}
	stages = append(stages, stage{name: "deploy-start", work: func(_ context.Context, e *release.Entry) error {
		e.State, e.Deploy = release.Started, &release.Deploy{Command: strings.Join(r.command, " ")}
		return nil
	}}, stage{name: "deploy-finish", work: func(ctx context.Context, e *release.Entry) error {
		return deploy(ctx, run, &r.subject, r.command, e)
	}})
	if !r.skips(skipRotate) {
		stages = append(stages, stage{name: "rotate-prove", work: func(ctx context.Context, e *release.Entry) error {
			r.proving.certificates = r.preparing.certificates
			return r.proving.run(ctx, run, &r.cluster, prepared, e)
		}})
	}
	for _, s := range stages {
		if s.wanted != nil && !s.wanted() {
			continue
		}
		run.Log.Info("step", "name", s.name)
		if err := r.subject.record(ctx, run, s.name, s.work); err != nil {
			return r.explain(s.name, err)
		}
		if err := unprotected(decision); s.name == "gate" && r.skips(skipSnapshot) && err != nil {
			return err
		}
	}
	return nil
}

type stage struct {
	name string
	work func(context.Context, *release.Entry) error
	// wanted, where it is given, says whether the stage is one of this release.
	wanted func() bool
}

// keeping are the stages that keep the data as it is: snapshots, and what the decision wants
// beyond them.
func (r *Release) keeping(run *Run, decision *release.Decision) []stage {
	var taken *release.Protection
	var made *release.Copies
	return []stage{{name: "snapshot", work: func(ctx context.Context, e *release.Entry) error {
		r.snapping.decision = *decision
		err := r.snapping.run(ctx, run, &r.cluster, &r.protecting, e)
		r.subject.keepManifests(ctx, run, r.cluster.connected, e)
		taken = e.Protection
		return err
	}}, {name: "backup-save", work: func(ctx context.Context, e *release.Entry) error {
		err := r.protecting.run(ctx, run, &r.cluster, taken, e)
		made = e.Copies
		return err
	}, wanted: func() bool { return beyond(*decision) }}, {name: "backup-verify", work: func(ctx context.Context, e *release.Entry) error {
		return r.protecting.prove(ctx, run, &r.cluster, taken, made, e)
	}, wanted: func() bool { return decision.Protect == release.ProtectVerify }}}
}

// explain adds what stopping at this step means. Done in part is not good enough to deploy on.
func (r *Release) explain(name string, err error) error {
	switch name {
	case "gate":
		return fault.Hint(err, "nothing was touched: no snapshot, no renewal, no deploy")
	case "snapshot", "backup-save", "backup-verify", "rotate-prepare":
		return fault.Exit(stopStatus(err), fault.Hint(err, "the deploy was not started"))
	case "deploy-finish":
		return fault.Exit(stopStatus(err), fault.Hint(err, "the data as of before this deploy is in the snapshots of run %s; with this release's --app, --environment and --namespace, see how it is put back: knowngood restore --run %s --in-place --dry-run",
			r.subject.run, r.subject.run))
	default:
		return err
	}
}

func stopStatus(err error) fault.Status {
	if status := fault.StatusOf(err); status != fault.Partial {
		return status
	}
	return fault.Failed
}

var errDeploy = errors.New("the deploy command failed")

func deployError(command []string, status int) error {
	return fmt.Errorf("%w: %q exited with status %d", errDeploy, strings.Join(command, " "), status)
}
