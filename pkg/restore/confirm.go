// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// planConfirm plans to give up what a restore has kept.
func (p *Plan) planConfirm(ctx context.Context) error {
	all, err := p.keeping(ctx)
	if err != nil {
		return err
	}
	group, err := p.meant(all)
	if err != nil {
		return err
	}
	p.commit = group[0].Source.Commit
	p.result.Claims = make([]release.RestoredClaim, len(group))
	for i, k := range group {
		into := &p.result.Claims[i]
		*into = release.RestoredClaim{Namespace: k.Namespace, Claim: k.Claim, Of: k.Claim, Kept: k.volume}
		now, err := p.claim(ctx, k.Claim)
		switch {
		case err != nil:
			return err
		case !k.Done || k.Undo != "":
			return fault.Hint(fault.Usagef("restore %s of claim %s is not finished", k.Restore, k.Claim), "repeat its command, or go back with --undo")
		case k.phase != corev1.VolumeReleased || now != nil && now.Spec.VolumeName == k.volume:
			return fault.Usagef("volume %s is %s and not released: it may be in use and is not deleted", k.volume, k.phase)
		case now == nil || now.Status.Phase != corev1.ClaimBound:
			return fault.Hint(fault.Usagef("claim %s has no volume now: what is kept of it is all there is", k.Claim), "go back with --undo, or restore it again")
		case now.Annotations[release.AnnotationRestore] == "":
			return fault.Hint(fault.Usagef("claim %s was made anew since, by somebody else: what is kept of it may be all there is", k.Claim),
				"look at what it holds; go back with --undo, or delete volume %s by hand", k.volume)
		}
		into.Volume = now.Spec.VolumeName
		p.actConfirm(k, into)
	}
	return nil
}

func (p *Plan) actConfirm(k kept, into *release.RestoredClaim) {
	if k.Policy != corev1.PersistentVolumeReclaimDelete {
		p.add(func(ctx context.Context) error { return p.release(ctx, k.volume, k.Policy) },
			"end the keeping of volume %s; its own policy %s leaves it where it is", k.volume, k.Policy)
		return
	}
	p.add(func(ctx context.Context) error {
		// The journal stays until the volume is gone, so that what is left of it can be found.
		return p.change(ctx, k.volume, func(volume *corev1.PersistentVolume) (map[string]any, error) {
			if ref := volume.Spec.ClaimRef; volume.Status.Phase == corev1.VolumeBound || ref == nil || ref.UID != k.ClaimUID {
				return nil, fmt.Errorf("volume %s is bound again by somebody: it is not deleted", k.volume)
			}
			if err := p.undone(volume); err != nil {
				return nil, fmt.Errorf("volume %s is not deleted: %w", k.volume, err)
			}
			return map[string]any{"spec": map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimDelete}}, nil
		})
	}, "delete volume %s, and with it what claim %s held before restore %s", k.volume, k.Claim, k.Restore)
	p.add(func(ctx context.Context) error { return p.gone(ctx, k.volume, into) }, "wait until volume %s is gone", k.volume)
}

// gone waits until the storage has deleted a volume.
func (p *Plan) gone(ctx context.Context, name string, into *release.RestoredClaim) error {
	of := p.cluster.Core.CoreV1().PersistentVolumes()
	if _, err := of.Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		into.Removed = true
		return nil
	}
	spec := kube.WaitSpec{
		What: fmt.Sprintf("volume %s to be gone", name), Timeout: p.request.Timeout, Resource: volumes, Name: name,
		TimeoutHint: "the storage deletes it: look at its events, kubectl describe persistentvolume " + name,
	}
	return kube.Wait(ctx, p.cluster, spec, of, kube.Named(func(now *corev1.PersistentVolume) (kube.Progress, error) {
		if now == nil {
			into.Removed = true
			return kube.Progress{Done: true}, nil
		}
		return kube.Progress{State: "it is " + string(now.Status.Phase)}, nil
	}))
}
