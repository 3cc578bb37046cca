// SPDX-License-Identifier: Apache-2.0

package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rollout"
)

// Prove sees to it that every ready pod that uses a selected certificate serves its present
// version, and proves it on the wire. Workloads that serve an older one reload, where they say
// how, or are restarted, one after the other, each once for all its certificates. Nothing is
// touched when one of them could not be, or only with an interruption that the request does
// not allow. What was done is returned with the error.
func Prove(ctx context.Context, c *kube.Cluster, request Request) (release.TLS, error) {
	all, skipped, err := targets(ctx, c, request)
	if err != nil {
		return release.TLS{}, err
	}
	p := &prover{cluster: c, request: request, targets: all}
	passed, err := p.run(ctx)
	p.keep()
	left, unproved := conclude(all, append(skipped, passed...))
	return left, errors.Join(err, unproved)
}

// run returns errors that concern no single target; the others are with their targets.
func (p *prover) run(ctx context.Context) (passed []string, err error) {
	if passed, err = p.expect(ctx); err != nil {
		return passed, err
	}
	settled, err := p.settle(ctx)
	if err != nil {
		return passed, err
	}
	if settled {
		// A rollout that has ended meanwhile has left other pods, and perhaps other users.
		if passed, err = p.expect(ctx); err != nil {
			return passed, err
		}
	}
	if err := p.lookAll(ctx); err != nil {
		return passed, err
	}
	if !settled || p.refuse() {
		p.judge()
		return passed, nil
	}
	if err := p.act(ctx); err != nil {
		return passed, err
	}
	return passed, p.proveAll(ctx)
}

// settle waits until nothing is rolling out any more. Where that does not come, false is
// returned: nothing is to be touched then.
func (p *prover) settle(ctx context.Context) (bool, error) {
	settled := true
	for _, plan := range p.plans {
		if err := rollout.Settle(ctx, p.cluster, plan.workload, "", p.request.Timeout); ctx.Err() != nil {
			return false, err
		} else if err != nil {
			settled = false
			plan.fail(err)
		}
	}
	return settled, nil
}

// refuse tells whether a plan that is needed cannot be carried out; its targets then know why.
func (p *prover) refuse() bool {
	refused := false
	for _, plan := range p.plans {
		if !p.stale(plan) || plan.reloads() {
			continue
		}
		if err := p.refusal(plan); err != nil {
			refused = true
			plan.fail(err)
		}
	}
	return refused
}

func (p *prover) refusal(plan *plan) error {
	w := plan.workload
	if w.Stuck != "" {
		return fmt.Errorf("%s serves an older certificate and cannot be restarted: %s", w, w.Stuck)
	}
	if p.request.AllowDowntime {
		return nil
	}
	var hazards []string
	for _, duty := range plan.duties {
		for _, hazard := range p.survey.Hazards(w, duty.target.rotation.Secret) {
			if !slices.Contains(hazards, hazard) {
				hazards = append(hazards, hazard)
			}
		}
	}
	if len(hazards) == 0 {
		return nil
	}
	return fault.Hint(fmt.Errorf("%s serves an older certificate, and a restart could interrupt it: %s", w, strings.Join(hazards, "; ")),
		"mend that, or give --allow-downtime")
}

// rounds is how often the proof is begun again when pods come and go under it.
const (
	rounds     = 3
	roundPause = 2 * time.Second
)

// proveAll asks every ready pod of every plan.
func (p *prover) proveAll(ctx context.Context) error {
	for round := 1; ; round++ {
		if err := p.refresh(ctx); err != nil {
			return err
		}
		if err := p.lookAll(ctx); err != nil {
			return err
		}
		if round == rounds || p.whole() || p.failed() {
			p.judge()
			return nil
		}
		p.cluster.Log.Info("proving again, since pods changed or did not answer", "round", round+1)
		if !pause(ctx, roundPause) {
			return ctx.Err()
		}
	}
}

// refresh surveys again, and learns how many pods each workload of a plan wants by now.
func (p *prover) refresh(ctx context.Context) error {
	survey, err := rollout.Take(ctx, p.cluster)
	if err != nil {
		return err
	}
	p.survey = survey
	for _, plan := range p.plans {
		if replicas, ok := survey.Replicas(plan.workload); ok {
			plan.workload.Replicas = replicas
		}
	}
	return nil
}

// whole tells whether every plan that was carried out is proved.
func (p *prover) whole() bool {
	return !slices.ContainsFunc(p.plans, func(plan *plan) bool {
		return plan.err == nil && len(p.flaws(plan)) > 0
	})
}

// failed tells whether a plan was not carried out, so that its proof cannot come.
func (p *prover) failed() bool {
	return slices.ContainsFunc(p.plans, func(plan *plan) bool { return plan.err != nil })
}

// judge fails the targets that are not proved.
func (p *prover) judge() {
	for _, plan := range p.plans {
		if plan.err != nil {
			continue
		}
		for _, flaw := range p.flaws(plan) {
			flaw.target.fail(fmt.Errorf("certificate %s: %s: %w", flaw.target.rotation.Name, plan.workload, flaw.err))
		}
	}
	for _, t := range p.targets {
		if t.err == nil {
			p.cluster.Log.Info("certificate proved", "certificate", t.rotation.Name, "serial", t.rotation.After.Serial)
		}
	}
}

// keep writes changes and proofs into the targets' rotations.
func (p *prover) keep() {
	for _, plan := range p.plans {
		for _, duty := range plan.duties {
			rotation := &duty.target.rotation
			rotation.Workloads = append(rotation.Workloads, plan.change)
		}
		for _, v := range p.views[plan] {
			for _, s := range v.seen {
				if !s.passable() {
					rotation := &v.duty.target.rotation
					rotation.Proofs = append(rotation.Proofs, s.proof(v.pod.Name))
				}
			}
		}
	}
}
