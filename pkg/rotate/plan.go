// SPDX-License-Identifier: Apache-2.0

package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rollout"
)

// A prover carries one call of Prove.
type prover struct {
	cluster *kube.Cluster
	request Request
	survey  *rollout.Survey
	targets []*target
	plans   []*plan
	// views are what the last look at each plan saw.
	views map[*plan][]view
}

// A plan is one workload and the certificates that it has to serve.
type plan struct {
	workload *rollout.Workload
	duties   []*duty
	change   release.WorkloadChange
	// err says why the plan was not carried out; its targets know it too.
	err error
}

// A duty is one certificate of a plan.
type duty struct {
	target    *target
	endpoints []rollout.Endpoint
	// served is false when the workload says that it serves nothing with it.
	served bool
	recipe *rollout.Recipe
}

// expect computes who has to serve what.
func (p *prover) expect(ctx context.Context) (passed []string, err error) {
	if p.survey, err = rollout.Take(ctx, p.cluster); err != nil {
		return nil, err
	}
	p.plans = nil
	known := map[string]*plan{}
	for _, t := range p.targets {
		t.unclear = nil
		if t.wanted.Leaf == nil {
			continue // it is not known what is wanted
		}
		found, err := p.survey.Consumers(ctx, t.rotation.Secret)
		if err != nil {
			return nil, err
		}
		passed = append(passed, found.Passed...)
		if len(found.Workloads) == 0 && len(found.Passed) == 0 {
			passed = append(passed, fmt.Sprintf("Certificate %s: nobody in namespace %s uses its Secret %s", t.rotation.Name, p.cluster.Namespace, t.rotation.Secret))
		}
		for _, w := range found.Workloads {
			key := string(w.UID)
			if known[key] == nil {
				known[key] = &plan{workload: w, change: release.WorkloadChange{Kind: w.Kind, Name: w.Name, Action: "none"}}
				p.plans = append(p.plans, known[key])
			}
			duty, err := p.duty(w, t)
			if err != nil {
				t.unclear = errors.Join(t.unclear, fault.Exit(fault.Usage, err))
				continue
			}
			known[key].duties = append(known[key].duties, duty)
			if !duty.served {
				passed = append(passed, fmt.Sprintf("%s: says that it serves nothing with Secret %s (annotation %s)", w, t.rotation.Secret, rollout.AnnotationTLSPort))
			}
		}
	}
	return passed, nil
}

func (p *prover) duty(w *rollout.Workload, t *target) (*duty, error) {
	endpoints, served, err := p.survey.Endpoints(w, t.rotation.Secret)
	if err != nil {
		return nil, err
	}
	recipe, err := rollout.Reloading(&w.Template, t.rotation.Secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w, err)
	}
	return &duty{target: t, endpoints: endpoints, served: served, recipe: recipe}, nil
}

// A view is what one pod was seen to serve for one duty.
type view struct {
	pod  *corev1.Pod
	duty *duty
	seen []sighting
}

// look looks at every ready pod of a plan. It returns fewer views when the context ends.
func (p *prover) look(ctx context.Context, plan *plan) ([]view, error) {
	pods, err := p.survey.Ready(ctx, plan.workload)
	if err != nil {
		return nil, err
	}
	var views []view
	for i := range pods {
		for _, duty := range plan.duties {
			views = append(views, view{pod: &pods[i], duty: duty, seen: make([]sighting, len(duty.endpoints))})
		}
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, v := range views {
		for i, endpoint := range v.duty.endpoints {
			group.Go(func() error {
				v.seen[i] = p.see(ctx, v.pod, v.duty.target, endpoint)
				return nil
			})
		}
	}
	_ = group.Wait() // what went wrong is in the sightings
	return views, ctx.Err()
}

// lookAll looks at all plans and keeps what it saw. One plan follows the other; within a plan
// the looks are parallel.
func (p *prover) lookAll(ctx context.Context) error {
	p.views = map[*plan][]view{}
	for _, plan := range p.plans {
		found, err := p.look(ctx, plan)
		p.views[plan] = found
		if err != nil {
			return err
		}
	}
	return nil
}

// stale tells whether the pod has to be brought up to date for the duty.
func (v view) stale() bool {
	if !v.duty.served {
		started := v.pod.Status.StartTime
		return started == nil || started.Time.Before(v.duty.target.wanted.Asked)
	}
	return slices.ContainsFunc(v.seen, sighting.stale)
}

// wrong returns nil when the pod is proved to serve what its duty wants.
func (v view) wrong() error {
	if !v.duty.served {
		if v.stale() {
			return fmt.Errorf("pod %s has run since before the certificate was issued", v.pod.Name)
		}
		return nil
	}
	proved := 0
	var errs []error
	var ports []string
	for _, s := range v.seen {
		ports = append(ports, s.say())
		switch {
		case s.like == cert.Same && s.err == nil:
			proved++
		case s.passable():
		default:
			errs = append(errs, s.flaw(v.pod.Name))
		}
	}
	if proved == 0 && len(errs) == 0 {
		return fault.Hint(fmt.Errorf("pod %s serves it at none of its ports (%s)", v.pod.Name, strings.Join(ports, ", ")),
			"name the ports that serve it in the annotation %s of the pod's template, or \"none\"", rollout.AnnotationTLSPort)
	}
	return errors.Join(errs...)
}

// say tells what was seen at a port, in a word or two.
func (s sighting) say() string {
	switch {
	case s.like != "":
		return fmt.Sprintf("%d: %s certificate", s.endpoint.Port, s.like)
	case errors.Is(s.err, cert.ErrPlain):
		return fmt.Sprintf("%d: no TLS", s.endpoint.Port)
	case errors.Is(s.err, kube.ErrRefused):
		return fmt.Sprintf("%d: refused", s.endpoint.Port)
	default:
		return fmt.Sprintf("%d: not known", s.endpoint.Port)
	}
}

func (s sighting) flaw(pod string) error {
	err := fmt.Errorf("pod %s port %d: %w", pod, s.endpoint.Port, s.err)
	if s.endpoint.Declared || s.like != "" {
		return err
	}
	return fault.Hint(err, "if port %d does not serve the certificate, name those that do in the annotation %s of the pod's template",
		s.endpoint.Port, rollout.AnnotationTLSPort)
}

// fail marks the plan as not carried out and tells its targets.
func (plan *plan) fail(err error) {
	plan.err = err
	plan.change.Event.Error = kube.OneLine(err.Error())
	for _, duty := range plan.duties {
		duty.target.fail(err)
	}
}

// reloads tells whether the workload says how it reloads every certificate it has. What is
// served nowhere cannot be seen to have been reloaded.
func (plan *plan) reloads() bool {
	return len(plan.duties) > 0 && !slices.ContainsFunc(plan.duties, func(d *duty) bool { return d.recipe == nil || !d.served })
}

// stale tells whether a pod of the plan has to be brought up to date.
func (p *prover) stale(plan *plan) bool { return slices.ContainsFunc(p.views[plan], view.stale) }

// A flaw is why a target is not proved.
type flaw struct {
	target *target
	err    error
}

// flaws returns what the last look found wrong with a plan.
func (p *prover) flaws(plan *plan) []flaw {
	var all []flaw
	pods := map[string]bool{}
	for _, v := range p.views[plan] {
		pods[v.pod.Name] = true
		if err := v.wrong(); err != nil {
			all = append(all, flaw{v.duty.target, err})
		}
	}
	if len(pods) >= plan.workload.Replicas {
		return all
	}
	for _, duty := range plan.duties {
		all = append(all, flaw{duty.target, fmt.Errorf("%d of %d pods are ready", len(pods), plan.workload.Replicas)})
	}
	return all
}
