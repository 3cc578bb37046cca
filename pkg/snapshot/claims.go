// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// ErrNothing means that a namespace has no claim at all.
var ErrNothing = errors.New("there is nothing to snapshot")

// AnnotationSkip on a claim, with the value "skip", leaves the claim out.
const AnnotationSkip = "knowngood.dev/snapshot"

func (t *taking) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := t.cluster.Core.CoreV1().Pods(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, t.cluster.Explain(ctx, t.call("list", "pods", ""), err)
	}
	return list.Items, nil
}

func (t *taking) call(verb, resource, name string) kube.Call {
	return kube.Call{Verb: verb, Resource: resource, Namespace: t.cluster.Namespace, Name: name}
}

// choose returns the claims to snapshot, sorted by name. Claims that hold no data or that
// nobody mounts are skipped and said so; a claim that has lost its volume is an error, for
// what it held is not known.
func (t *taking) choose(ctx context.Context, pods []corev1.Pod) ([]*corev1.PersistentVolumeClaim, error) {
	if _, err := labels.Parse(t.request.Claims); err != nil {
		return nil, fault.Hint(fault.Usagef("claims %q: %w", t.request.Claims, err), "write it as kubectl takes it, e.g. app=shop or app in (shop, db)")
	}
	list, err := t.cluster.Core.CoreV1().PersistentVolumeClaims(t.cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: t.request.Claims})
	if err != nil {
		return nil, t.cluster.Explain(ctx, t.call("list", "persistentvolumeclaims", ""), err)
	}
	if len(list.Items) == 0 {
		return nil, t.noClaims(ctx)
	}
	mounted := func(string) bool { return true }
	if t.request.Claims == "" {
		if mounted, err = t.mountedClaims(ctx, pods); err != nil {
			return nil, err
		}
	}
	var chosen []*corev1.PersistentVolumeClaim
	for i := range list.Items {
		claim := &list.Items[i]
		why, err := passOver(claim, mounted)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			t.skip("claim %s: %s", claim.Name, why)
		default:
			chosen = append(chosen, claim)
		}
	}
	if len(chosen) == 0 {
		return nil, fault.Hint(fault.Usagef("namespace %s has no claim to snapshot: %s", t.cluster.Namespace, strings.Join(t.skipped, "; ")),
			"choose claims by their labels with --claims, or leave the snapshot out for an application without volumes")
	}
	slices.SortFunc(chosen, func(a, b *corev1.PersistentVolumeClaim) int { return strings.Compare(a.Name, b.Name) })
	return chosen, nil
}

// noClaims is the error of a namespace, or a selector, without claims. A namespace that does
// not exist looks the same in a list, so it is asked for where that is allowed.
func (t *taking) noClaims(ctx context.Context) error {
	if _, err := t.cluster.Core.CoreV1().Namespaces().Get(ctx, t.cluster.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return fault.Hint(fault.Usagef("namespace %s does not exist on %s", t.cluster.Namespace, t.cluster.Host),
			"check --namespace, --context and --kubeconfig")
	}
	if t.request.Claims != "" {
		return fault.Hint(fault.Usagef("no claim in namespace %s has the labels %q", t.cluster.Namespace, t.request.Claims),
			"show the labels with: kubectl --namespace %s get persistentvolumeclaims --show-labels", t.cluster.Namespace)
	}
	return fault.Hint(fault.Usagef("namespace %s has no claims: %w", t.cluster.Namespace, ErrNothing),
		"check --namespace; leave the snapshot out for an application without volumes")
}

// passOver says why a claim is not snapshotted; "" when it is.
func passOver(claim *corev1.PersistentVolumeClaim, mounted func(string) bool) (string, error) {
	if value, ok := claim.Annotations[AnnotationSkip]; ok {
		if value != "skip" {
			return "", fault.Usagef("claim %s: annotation %s is %q: want skip", claim.Name, AnnotationSkip, kube.OneLine(value))
		}
		return "its annotation " + AnnotationSkip + " says skip", nil
	}
	if whole, ok := claim.Annotations[release.AnnotationFilled]; ok && whole == "" {
		return "a restore brings a backup into it, and has not ended", nil
	}
	switch {
	case !mounted(claim.Name):
		return "no workload mounts it", nil
	case claim.DeletionTimestamp != nil:
		return "it is being deleted", nil
	case claim.Status.Phase == corev1.ClaimLost:
		return "", fault.Hint(fmt.Errorf("claim %s/%s has lost its volume %s", claim.Namespace, claim.Name, claim.Spec.VolumeName),
			"repair or delete it, or annotate it with %s=skip", AnnotationSkip)
	case claim.Spec.VolumeName == "" || claim.Status.Phase != corev1.ClaimBound:
		return "it has no volume yet, so it holds no data", nil
	}
	return "", nil
}
