// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// Kinds of workloads that can be scaled.
const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
)

// A workload is scaled down while its claims are made anew.
type workload struct {
	kind, name string
	uid        types.UID
	replicas   int
	meta       metav1.ObjectMeta
	// scaled is true when it is, or is going to be, scaled down.
	scaled bool
}

func (w *workload) String() string { return w.kind + " " + w.name }

func (w *workload) resource() string { return "apps/" + strings.ToLower(w.kind) + "s" }

// remembered returns how many replicas the workload had before a restore scaled it down, by
// which restore; ok is false where none did.
func remembered(meta *metav1.ObjectMeta) (replicas int, by string, ok bool) {
	text, ok := meta.Annotations[release.AnnotationReplicas]
	if !ok {
		return 0, "", false
	}
	n, err := strconv.Atoi(text)
	return n, meta.Annotations[release.AnnotationRestore], err == nil && n >= 0
}

// claimed checks that no other restore holds the workload down, by what stands on it now.
func (w *workload) claimed(meta *metav1.ObjectMeta, restores []string) error {
	if _, by, ok := remembered(meta); ok && !slices.Contains(restores, by) {
		return fault.Hint(fault.Usagef("%s was scaled down by restore %s, which is not finished", w, kube.OneLine(by)),
			"finish that restore by its own command, or go back from it with knowngood restore --undo --run %s", word(by))
	}
	return nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$`)

// word is a name as it may stand in a command that people copy: whoever may annotate a workload
// writes no command of theirs.
func word(name string) string {
	if plainWord.MatchString(name) {
		return name
	}
	return "NAME"
}

// get reads the workload as it is now.
func (p *Plan) get(ctx context.Context, w *workload) (meta metav1.ObjectMeta, replicas, ready int, seen bool, err error) {
	apps := p.cluster.Core.AppsV1()
	switch w.kind {
	case kindDeployment:
		var d *appsv1.Deployment
		if d, err = apps.Deployments(p.cluster.Namespace).Get(ctx, w.name, metav1.GetOptions{}); err == nil {
			meta, replicas = d.ObjectMeta, orOne(d.Spec.Replicas)
			ready, seen = readyDeployment(d)
		}
	default:
		var s *appsv1.StatefulSet
		if s, err = apps.StatefulSets(p.cluster.Namespace).Get(ctx, w.name, metav1.GetOptions{}); err == nil {
			meta, replicas = s.ObjectMeta, orOne(s.Spec.Replicas)
			ready, seen = readyStatefulSet(s)
		}
	}
	return meta, replicas, ready, seen, p.cluster.Explain(ctx, p.call("get", w.resource(), w.name), err)
}

// scale sets replicas and annotations in one request, again when others' changes get between.
// want returns nil annotations where nothing is to be done.
func (p *Plan) scale(ctx context.Context, w *workload, want func(meta *metav1.ObjectMeta, replicas int) (annotations map[string]any, to int, err error)) error {
	for range tries {
		meta, replicas, _, _, err := p.get(ctx, w)
		if err != nil {
			return err
		}
		annotations, to, err := want(&meta, replicas)
		if err != nil || annotations == nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": meta.ResourceVersion, "annotations": annotations},
			"spec":     map[string]any{"replicas": to},
		})
		if err != nil {
			return err
		}
		options := metav1.PatchOptions{FieldManager: fieldManager}
		if w.kind == kindDeployment {
			_, err = p.cluster.Core.AppsV1().Deployments(p.cluster.Namespace).Patch(ctx, w.name, types.MergePatchType, patch, options)
		} else {
			_, err = p.cluster.Core.AppsV1().StatefulSets(p.cluster.Namespace).Patch(ctx, w.name, types.MergePatchType, patch, options)
		}
		if !apierrors.IsConflict(err) {
			return p.cluster.Explain(ctx, p.call("patch", w.resource(), w.name), err)
		}
	}
	return fmt.Errorf("scale %s: %w", w, errContended)
}

// down scales a workload to nothing and notes on it how many replicas it had. The note of an
// earlier attempt stays, whatever the number is now.
func (p *Plan) down(ctx context.Context, w *workload) error {
	return p.scale(ctx, w, func(meta *metav1.ObjectMeta, replicas int) (map[string]any, int, error) {
		had, by, noted := remembered(meta)
		if err := w.claimed(meta, p.own); err != nil {
			return nil, 0, err
		}
		switch {
		case noted && replicas == 0, !noted && replicas == 0:
			return nil, 0, nil
		case !noted:
			had, by = replicas, p.Name
		}
		return map[string]any{release.AnnotationReplicas: strconv.Itoa(had), release.AnnotationRestore: by}, 0, nil
	})
}

// up gives a workload the replicas back that it had.
func (p *Plan) up(ctx context.Context, w *workload) error {
	return p.scale(ctx, w, func(meta *metav1.ObjectMeta, _ int) (map[string]any, int, error) {
		had, _, noted := remembered(meta)
		if !noted {
			return nil, 0, nil
		}
		if err := w.claimed(meta, p.own); err != nil {
			return nil, 0, err
		}
		return map[string]any{release.AnnotationReplicas: nil, release.AnnotationRestore: nil}, had, nil
	})
}

// ready waits until all replicas of a workload are. How its rollout is judged otherwise, e.g. a
// deadline for progress that was met before the restore, says nothing here.
func (p *Plan) ready(ctx context.Context, into *release.HeldWorkload) error {
	w := &workload{kind: into.Kind, name: into.Name}
	spec := kube.WaitSpec{
		What: w.String() + " to be ready", Timeout: p.request.Timeout, Resource: w.resource(), Namespace: p.cluster.Namespace, Name: w.name,
		TimeoutHint: fmt.Sprintf("its claims hold the restored data; look at its pods: kubectl -n %s describe pods", p.cluster.Namespace),
	}
	judge := func(there bool, want, ready int, seen bool) (kube.Progress, error) {
		switch {
		case !there:
			return kube.Progress{}, fmt.Errorf("%s was deleted while it was awaited", w)
		case seen && ready >= want:
			into.Ready = true
			return kube.Progress{Done: true}, nil
		}
		return kube.Progress{State: fmt.Sprintf("%d of %d pods are ready", ready, want)}, nil
	}
	apps := p.cluster.Core.AppsV1()
	if w.kind == kindDeployment {
		return kube.Wait(ctx, p.cluster, spec, apps.Deployments(p.cluster.Namespace), kube.Named(func(d *appsv1.Deployment) (kube.Progress, error) {
			if d == nil {
				return judge(false, 0, 0, false)
			}
			ready, seen := readyDeployment(d)
			return judge(true, orOne(d.Spec.Replicas), ready, seen)
		}))
	}
	return kube.Wait(ctx, p.cluster, spec, apps.StatefulSets(p.cluster.Namespace), kube.Named(func(s *appsv1.StatefulSet) (kube.Progress, error) {
		if s == nil {
			return judge(false, 0, 0, false)
		}
		ready, seen := readyStatefulSet(s)
		return judge(true, orOne(s.Spec.Replicas), ready, seen)
	}))
}

func readyDeployment(d *appsv1.Deployment) (ready int, seen bool) {
	return int(d.Status.ReadyReplicas), d.Status.ObservedGeneration >= d.Generation
}

func readyStatefulSet(s *appsv1.StatefulSet) (ready int, seen bool) {
	return int(s.Status.ReadyReplicas), s.Status.ObservedGeneration >= s.Generation
}

func orOne(replicas *int32) int {
	if replicas == nil {
		return 1
	}
	return int(*replicas)
}

func jobFailed(conditions []batchv1.JobCondition) bool {
	return slices.ContainsFunc(conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue
	})
}

// claimWords names claims: "claim db" or "claims db, media".
func claimWords(names []string) string { return nameWords("claim", names) }

func nameWords(what string, names []string) string {
	if len(names) != 1 {
		what += "s"
	}
	return what + " " + strings.Join(names, ", ")
}
