// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// What a backup holds comes into a claim of its own first, beside the one in use, whose pods go on
// meanwhile. Only then are they stopped, and the volume of the one becomes that of the other: an
// empty claim never stands under a name that a workload mounts.

// A staged volume is one that a backup was brought into, until it is its claim's.
type staged struct {
	// Claim had the volume made, ClaimUID is that object.
	Claim    string    `json:"claim"`
	ClaimUID types.UID `json:"claim_uid"`
	Volume   string    `json:"volume"`
	// Policy is what is to become of the volume once it is in use.
	Policy corev1.PersistentVolumeReclaimPolicy `json:"policy"`
}

// stage plans the claim beside the one in use, and what comes into it. One of an earlier attempt
// is taken up again.
func (p *Plan) stage(ctx context.Context, w *swap, b release.Backup) error {
	claim := w.Bare.DeepCopy()
	claim.Name = stagedName(w.Claim, b.ID)
	claim.Labels, claim.Annotations = p.labels(w.Claim), map[string]string{}
	made := unfilled(tagged(claim, p.Name, b.ID))
	made.Annotations[release.AnnotationClaim] = w.Claim
	if _, err := p.class(ctx, made, ""); err != nil {
		return err
	}
	w.Staged = &staged{Claim: made.Name}
	there, err := p.claim(ctx, made.Name)
	switch {
	case err != nil:
		return err
	case there != nil && (there.Annotations[release.AnnotationSource] != b.ID || there.DeletionTimestamp != nil):
		return fault.Hint(fault.Usagef("there is a claim %s already, and it was not made from backup %s", made.Name, b.ID), "delete it if nobody needs it")
	case there != nil:
		p.Resumed, made = true, there
	default:
		w.filling = append(w.filling, act{
			fmt.Sprintf("make claim %s (%s) for what backup %s holds", made.Name, describe(made), b.ID),
			func(ctx context.Context) error { return p.create(ctx, made) },
		})
	}
	if err := p.unmounted(ctx, made.Name); err != nil {
		return err
	}
	if v, whole := filled(made); whole {
		w.From.Verified = &v
		return nil
	}
	p.fills = b.ID
	name, restore := made.Name, made.Annotations[release.AnnotationRestore]
	w.filling = append(w.filling, act{
		fmt.Sprintf("bring backup %s (%d files, %s) into claim %s, and compare all of it", b.ID, b.Files, megabytes(b.Bytes), name),
		func(ctx context.Context) error { return p.fill(ctx, name, restore, b, w.into) },
	})
	return nil
}

// settle notes which volume a backup was brought into.
func (p *Plan) settle(ctx context.Context, w *swap) error {
	claim, err := p.claim(ctx, w.Staged.Claim)
	if err != nil {
		return err
	}
	if claim == nil || claim.Spec.VolumeName == "" || claim.Annotations[release.AnnotationSource] != w.From.Backup {
		return fmt.Errorf("claim %s, into which backup %s was brought, is gone or another one", w.Staged.Claim, w.From.Backup)
	}
	v, whole := filled(claim)
	if !whole {
		return fmt.Errorf("claim %s does not hold all of backup %s", claim.Name, w.From.Backup)
	}
	volume, err := p.volume(ctx, claim.Spec.VolumeName)
	if err != nil {
		return err
	}
	w.From.Verified = &v
	w.Staged.ClaimUID, w.Staged.Volume, w.Staged.Policy = claim.UID, volume.Name, volume.Spec.PersistentVolumeReclaimPolicy
	return nil
}

// lent makes a staged volume stay when its claim goes.
func (p *Plan) lent(ctx context.Context, s *staged) error {
	return p.change(ctx, s.Volume, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		if volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
			return nil, nil
		}
		return map[string]any{"spec": map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimRetain}}, nil
	})
}

// handOver makes a claim anew with the volume that a backup was brought into. Each step finds out
// whether it was done.
func (p *Plan) handOver(ctx context.Context, w *swap) error {
	s := w.Staged
	volume, err := p.volume(ctx, s.Volume)
	if err != nil {
		return err
	}
	if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		return fmt.Errorf("claim %s is not deleted: its volume %s has the policy %s: somebody changed it", s.Claim, s.Volume, volume.Spec.PersistentVolumeReclaimPolicy)
	}
	if ref := volume.Spec.ClaimRef; ref != nil && ref.UID == s.ClaimUID {
		if err := p.remove(ctx, s.Claim, s.ClaimUID); err != nil {
			return err
		}
		if err := p.released(ctx, s.Volume); err != nil {
			return err
		}
	}
	if err := p.reserve(ctx, w); err != nil {
		return err
	}
	made := w.Bare.DeepCopy()
	made.Spec.VolumeName, made.Spec.StorageClassName = s.Volume, &volume.Spec.StorageClassName
	made = tagged(made, w.Restore, w.From.Backup)
	if made.Annotations[release.AnnotationFilled], err = whole(w.From.Verified); err != nil {
		return err // without it a later restore would take the claim for one that waits for its data
	}
	return p.create(ctx, made)
}

// reserve lets a staged volume be bound by the claim that it is for, and by no other.
func (p *Plan) reserve(ctx context.Context, w *swap) error {
	return p.change(ctx, w.Staged.Volume, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		switch ref := volume.Spec.ClaimRef; {
		case ref != nil && ref.Namespace == w.Namespace && ref.Name == w.Claim:
			return nil, nil
		case ref == nil || ref.UID != w.Staged.ClaimUID:
			return nil, fmt.Errorf("volume %s, into which backup %s was brought, is bound to somebody else's claim", volume.Name, w.From.Backup)
		}
		return map[string]any{"spec": map[string]any{"claimRef": map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": w.Namespace, "name": w.Claim, "uid": nil, "resourceVersion": nil,
		}}}, nil
	})
}

// returned gives a staged volume, which is its claim's by now, its policy again.
func (p *Plan) returned(ctx context.Context, w *swap) error {
	if err := p.belongs(ctx, w.Claim, w.Staged.Volume); err != nil {
		return err
	}
	return p.change(ctx, w.Staged.Volume, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		if _, kept := volume.Labels[release.LabelKept]; kept || volume.Spec.PersistentVolumeReclaimPolicy == w.Staged.Policy {
			return nil, nil
		}
		return map[string]any{"spec": map[string]any{"persistentVolumeReclaimPolicy": w.Staged.Policy}}, nil
	})
}

// dropped gives a staged volume up that never came to be its claim's: an undo has come before.
func (p *Plan) dropped(ctx context.Context, s *staged, of kept) error {
	_, err := p.cluster.Core.CoreV1().PersistentVolumes().Get(ctx, s.Volume, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	err = p.change(ctx, s.Volume, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		ref := map[string]any{}
		switch now := volume.Spec.ClaimRef; {
		case now == nil || now.Namespace != of.Namespace || now.Name != s.Claim && (now.Name != of.Claim || now.UID != ""):
			return nil, nil // it is somebody's
		case now.Name == of.Claim: // reserved, and bound by nobody: its own claim is gone
			maps.Copy(ref, map[string]any{"name": s.Claim, "uid": s.ClaimUID})
		}
		return map[string]any{"spec": map[string]any{"persistentVolumeReclaimPolicy": s.Policy, "claimRef": ref}}, nil
	})
	if err != nil {
		return err
	}
	return p.remove(ctx, s.Claim, s.ClaimUID)
}
