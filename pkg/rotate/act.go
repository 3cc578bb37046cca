// SPDX-License-Identifier: Apache-2.0

package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/rollout"
)

// act brings the stale plans up to date: first those that reload, which takes nothing away.
// The first failure ends it, so that one bad certificate does not take down everything; that
// the others were not reached is then seen by their proofs.
func (p *prover) act(ctx context.Context) error {
	for _, reload := range []bool{true, false} {
		for _, plan := range p.plans {
			if !p.stale(plan) || plan.reloads() != reload {
				continue
			}
			err := p.actOn(ctx, plan, reload)
			if ctx.Err() != nil {
				return err
			}
			if err != nil {
				plan.fail(err)
				return nil
			}
		}
	}
	return nil
}

func (p *prover) actOn(ctx context.Context, plan *plan, reload bool) error {
	plan.change.Event.Began = p.cluster.Now().UTC()
	defer func() { plan.change.Event.Ended = p.cluster.Now().UTC() }()
	if reload {
		plan.change.Action = "reload"
		return p.reload(ctx, plan)
	}
	plan.change.Action = "restart"
	return p.restart(ctx, plan)
}

const (
	// restarts is how often a workload is restarted: a new pod may read the old Secret from
	// the kubelet's cache (Kubernetes 129645).
	restarts     = 3
	restartPause = time.Second
)

func (p *prover) restart(ctx context.Context, plan *plan) error {
	w := plan.workload
	for attempt := 1; ; attempt++ {
		p.cluster.Log.Info("restarting", "workload", w.String(), "attempt", attempt)
		stamp, err := rollout.Restart(ctx, p.cluster, w)
		if err != nil {
			return err
		}
		if err := rollout.Settle(ctx, p.cluster, w, stamp, p.request.Timeout); err != nil {
			return err
		}
		if err := p.lookAgain(ctx, plan); err != nil {
			return err
		}
		if !p.stale(plan) {
			return nil // what else may be wrong is for the proof
		}
		if attempt == restarts {
			return fmt.Errorf("%s: new pods serve an older certificate after %d restarts", w, restarts)
		}
		p.cluster.Log.Warn("new pods have read the old Secret", "workload", w.String())
		if !pause(ctx, time.Duration(attempt)*restartPause) {
			return ctx.Err()
		}
	}
}

// lookAgain looks at the plan's pods as they are by now.
func (p *prover) lookAgain(ctx context.Context, plan *plan) error {
	if err := p.survey.Refresh(ctx); err != nil {
		return err
	}
	views, err := p.look(ctx, plan)
	p.views[plan] = views
	return err
}

// reload has every stale pod of the plan reload.
func (p *prover) reload(ctx context.Context, plan *plan) error {
	var stale []view
	for _, v := range p.views[plan] {
		if v.stale() {
			stale = append(stale, v)
		}
	}
	for _, v := range stale {
		if err := p.reloadPod(ctx, plan.workload, v); err != nil {
			return err
		}
	}
	return nil
}

// The kubelet brings a new content within its sync period and its cache's, a minute or two.
// No watch tells when it has; the wire does.
const (
	firstReload = time.Second
	lastReload  = 8 * time.Second
	nudgeAgain  = 30 * time.Second
	// flops is how often the command may fail in a row: it may be met in the middle of the
	// kubelet's exchange of the files.
	flops = 3
)

// reloadPod nudges the kubelet and runs the recipe until the pod serves what it should.
func (p *prover) reloadPod(ctx context.Context, w *rollout.Workload, v view) error {
	defer p.cluster.Waiting()()
	waiting, cancel := context.WithTimeout(ctx, p.request.Timeout)
	defer cancel()
	var nudged time.Time
	failed := 0
	for wait := firstReload; ; wait = min(2*wait, lastReload) {
		if now := p.cluster.Now(); now.Sub(nudged) >= nudgeAgain {
			p.nudge(waiting, v.pod)
			nudged = now
		}
		err := rollout.Reload(waiting, p.cluster, v.pod, *v.duty.recipe)
		if err == nil {
			failed = 0
			if v = p.lookPod(waiting, v); !v.stale() && v.wrong() == nil {
				return nil
			}
		} else if failed++; waiting.Err() == nil && (failed == flops || hopeless(err)) {
			return fault.Hint(fmt.Errorf("%s: reload of pod %s: %w", w, v.pod.Name, err),
				"the command is that of the annotation %s", rollout.AnnotationReload)
		}
		state := v.wrong()
		p.cluster.Log.Info("waiting", "what", "pod "+v.pod.Name+" to serve the new certificate", "state", kube.OneLine(fmt.Sprint(errors.Join(err, state))))
		if pause(waiting, wait) {
			continue
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for pod %s to serve the new certificate: %w", v.pod.Name, ctx.Err())
		}
		return fault.Hint(fmt.Errorf("%s: pod %s does not serve the new certificate: %w of %s met: %s", w, v.pod.Name, kube.ErrTimeout, p.request.Timeout,
			kube.OneLine(fmt.Sprint(errors.Join(err, state)))),
			"does %q make it read the file anew? the kubelet may need two minutes to bring it: give a longer --timeout", v.duty.recipe.Command)
	}
}

// nudge makes the kubelet look earlier. Without it the wait is longer, that is all.
func (p *prover) nudge(ctx context.Context, pod *corev1.Pod) {
	if err := rollout.Nudge(ctx, p.cluster, pod); err != nil && ctx.Err() == nil {
		p.cluster.Log.Warn("the kubelet was not nudged", "pod", pod.Name, "error", err)
	}
}

// lookPod looks at one pod again.
func (p *prover) lookPod(ctx context.Context, v view) view {
	v.seen = slices.Clone(v.seen)
	for i, endpoint := range v.duty.endpoints {
		v.seen[i] = p.see(ctx, v.pod, v.duty.target, endpoint)
	}
	return v
}

// hopeless tells whether a command can never succeed: it is not there, or may not be run.
func hopeless(err error) bool {
	var exit *kube.ExitError
	return errors.As(err, &exit) && (exit.Status == 126 || exit.Status == 127) || errors.Is(err, kube.ErrForbidden)
}
