// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Fill brings a backup into a claim that is there and that nobody else mounts, and compares all
// that came. A repeated one goes on where the one before was cut short.
type Fill func(ctx context.Context, claim *corev1.PersistentVolumeClaim, b release.Backup) (release.Verification, error)

// filled tells whether a backup was brought into a claim whole, and what the comparison said.
func filled(claim *corev1.PersistentVolumeClaim) (release.Verification, bool) {
	var v release.Verification
	text, ok := claim.Annotations[release.AnnotationFilled]
	return v, ok && json.Unmarshal([]byte(text), &v) == nil && v.Proved
}

// unfilled returns the claim with the mark of one that does not hold all of its backup yet.
func unfilled(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim.Annotations[release.AnnotationFilled] = ""
	return claim
}

// fillable tells whether a claim was made to bring a backup into: nothing else may be lost there.
func fillable(claim *corev1.PersistentVolumeClaim) bool {
	_, marked := claim.Annotations[release.AnnotationFilled]
	return marked
}

// fill brings a backup into a claim that this restore has made, unless all of it is there, and
// notes on the claim that it is.
func (p *Plan) fill(ctx context.Context, name, restore string, b release.Backup, into *release.RestoredClaim) error {
	claim, err := p.claim(ctx, name)
	switch {
	case err != nil:
		return err
	case claim == nil:
		return fmt.Errorf("claim %s/%s was deleted before backup %s was in it", p.cluster.Namespace, name, b.ID)
	case !madeBy(claim, restore, b.ID) || !fillable(claim):
		return foreign(claim)
	}
	v, there := filled(claim)
	if !there {
		if err := p.unmounted(ctx, name); err != nil { // a pod may have come since the plan was made
			return err
		}
		if v, err = p.request.Fill(ctx, claim, b); err != nil {
			return err
		}
		if err := p.mark(ctx, claim, v); err != nil {
			return err
		}
	}
	into.Verified = &v
	return nil
}

// whole is what a claim says that holds all of a backup.
func whole(v *release.Verification) (string, error) {
	if v == nil {
		return "", errors.New("it is not known that all of the backup came")
	}
	noted := *v
	noted.Differences = nil
	text, err := json.Marshal(noted)
	return string(text), err
}

// mark notes on a claim that all of a backup is in it.
func (p *Plan) mark(ctx context.Context, claim *corev1.PersistentVolumeClaim, v release.Verification) error {
	text, err := whole(&v)
	if err != nil {
		return err
	}
	// The uid lets the request fail where the claim is another one by now.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": claim.UID, "annotations": map[string]any{release.AnnotationFilled: text},
	}})
	if err != nil {
		return err
	}
	_, err = p.cluster.Core.CoreV1().PersistentVolumeClaims(p.cluster.Namespace).
		Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsConflict(err) {
		return foreign(claim)
	}
	return p.cluster.Explain(ctx, p.call("patch", claims, claim.Name), err)
}

// unmounted makes sure that no pod mounts the name of a claim that is to be filled, or waits for it:
// it would start on half of the data.
func (p *Plan) unmounted(ctx context.Context, name string) error {
	list, err := p.cluster.Core.CoreV1().Pods(p.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return p.cluster.Explain(ctx, p.call("list", "pods", ""), err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Labels[release.LabelManagedBy] != release.ManagedBy && using(pod, []string{name}) {
			return fault.Hint(fault.Usagef("pod %s mounts claim %s, and would start before the data is there", pod.Name, name),
				"scale down what makes that pod, and up again when the restore is done; or give another name with --new-claim")
		}
	}
	return nil
}
