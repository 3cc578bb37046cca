// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// stagedName is that of the claim which a backup is brought into before it takes the place of
// another.
func stagedName(claim, backup string) string {
	return kube.Name(claim, "filling", backup[:min(8, len(backup))])
}

// isStaged tells whether a restore in place has made a claim to bring a backup into.
func isStaged(claim *corev1.PersistentVolumeClaim) bool {
	_, fills := claim.Annotations[release.AnnotationFilled]
	return fills && claim.Annotations[release.AnnotationRestore] != "" &&
		claim.Name == stagedName(claim.Annotations[release.AnnotationClaim], claim.Annotations[release.AnnotationSource])
}

// leftovers are the claims that restores have made to bring backups into, and of which no journal
// tells: these restores ended, or were killed, before anything in use was touched.
func (p *Plan) leftovers(ctx context.Context, all []kept) ([]*corev1.PersistentVolumeClaim, error) {
	list, err := p.cluster.Core.CoreV1().PersistentVolumeClaims(p.cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: release.LabelManagedBy + "=" + release.ManagedBy})
	if err != nil {
		return nil, p.cluster.Explain(ctx, p.call("list", claims, ""), err)
	}
	var left []*corev1.PersistentVolumeClaim
	for i := range list.Items {
		claim := &list.Items[i]
		named := slices.ContainsFunc(all, func(k kept) bool { return k.Staged != nil && k.Staged.Claim == claim.Name })
		if isStaged(claim) && claim.DeletionTimestamp == nil && !named {
			left = append(left, claim)
		}
	}
	return left, nil
}

// meantLeft are the leftovers that an undo means where no restore that is meant keeps a volume.
func (p *Plan) meantLeft(left []*corev1.PersistentVolumeClaim) []*corev1.PersistentVolumeClaim {
	return slices.DeleteFunc(slices.Clone(left), func(claim *corev1.PersistentVolumeClaim) bool {
		earlier, of := p.request.Earlier, p.request.Claims
		return earlier != "" && claim.Annotations[release.AnnotationRestore] != earlier ||
			len(of) > 0 && !slices.Contains(of, claim.Annotations[release.AnnotationClaim])
	})
}

// actLeft plans to delete leftovers. One that a pod is writing to belongs to a restore under way.
func (p *Plan) actLeft(ctx context.Context, left []*corev1.PersistentVolumeClaim) error {
	if len(left) == 0 {
		return nil
	}
	pods, err := p.cluster.Core.CoreV1().Pods(p.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return p.cluster.Explain(ctx, p.call("list", "pods", ""), err)
	}
	for _, claim := range left {
		for i := range pods.Items {
			if pod := &pods.Items[i]; using(pod, []string{claim.Name}) {
				return fault.Hint(fault.Usagef("pod %s brings a backup into claim %s for restore %s", pod.Name, claim.Name, claim.Annotations[release.AnnotationRestore]),
					"end that restore, or where it was killed delete its Job, then give the command again")
			}
		}
		p.add(func(ctx context.Context) error { return p.remove(ctx, claim.Name, claim.UID) },
			"delete claim %s, into which restore %s had begun to bring backup %s; claim %s was not touched",
			claim.Name, claim.Annotations[release.AnnotationRestore], claim.Annotations[release.AnnotationSource], claim.Annotations[release.AnnotationClaim])
	}
	return nil
}
