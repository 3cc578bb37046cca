// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/kube"
)

// A Plan is what Take would do as things are now.
type Plan struct {
	// Claims are those of which it would take snapshots.
	Claims []string
	// Notes and Skipped are as a Protection has them.
	Notes, Skipped []string
	// Databases are the workloads that seem to be PostgreSQL, on those claims, and are not held
	// still while their claims are cut: no pod of theirs has a hook.
	Databases []kube.Workload
}

// Look finds out what Take would do, touching nothing. The error is the one that Take would
// come back with before it touched anything. Of the request only Claims and Class count.
func Look(ctx context.Context, cluster *kube.Cluster, request Request) (Plan, error) {
	t := &taking{cluster: cluster, request: request}
	pods, err := t.pods(ctx)
	if err != nil {
		return Plan{}, err
	}
	claims, err := t.choose(ctx, pods)
	if err == nil {
		err = t.survey(ctx, claims)
	}
	if err == nil {
		err = t.planHooks(pods)
	}
	plan := Plan{Notes: t.notes, Skipped: t.skipped}
	for _, target := range t.targets {
		plan.Claims = append(plan.Claims, target.claim.Name)
	}
	if err != nil {
		return plan, err
	}
	plan.Databases, err = t.unheld(ctx, pods)
	return plan, err
}

// unheld returns the owners of the pods without a hook that seem to be PostgreSQL.
func (t *taking) unheld(ctx context.Context, pods []corev1.Pod) ([]kube.Workload, error) {
	var all []kube.Workload
	for i := range pods {
		pod := &pods[i]
		mounted := podClaims(pod)
		bare := slices.ContainsFunc(t.targets, func(target *target) bool {
			_, ok := mounted[target.claim.Name]
			return ok && slices.Contains(t.unhooked[target.claim.Name], pod.Name)
		})
		if !bare || !slices.ContainsFunc(pod.Spec.Containers, postgreSQL) {
			continue
		}
		owner, err := t.cluster.Owner(ctx, pod)
		if err != nil {
			return all, err
		}
		if !slices.Contains(all, owner) {
			all = append(all, owner)
		}
	}
	return all, nil
}

// postgreSQL tells by the names of the image and of the variables whether a container seems to
// be a PostgreSQL server.
func postgreSQL(container corev1.Container) bool {
	name, _, _ := strings.Cut(path.Base(container.Image), ":")
	name, _, _ = strings.Cut(name, "@")
	for _, known := range []string{"postgres", "postgresql", "postgis", "timescaledb"} {
		if name == known {
			return true
		}
	}
	return slices.ContainsFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == "PGDATA" })
}
