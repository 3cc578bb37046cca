// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

const volumes = "persistentvolumes"

// A journal stands on a volume that is kept: all that is needed to finish the restore which
// keeps it, to go back, or to give it up.
type journal struct {
	// Restore is the name of the restore; Way is how it went about it.
	Restore string             `json:"restore"`
	Way     release.RestoreWay `json:"way"`
	Began   time.Time          `json:"began"`
	// Claim is the one whose data the volume holds, ClaimUID the object that had it bound.
	Namespace string    `json:"namespace"`
	Claim     string    `json:"claim"`
	ClaimUID  types.UID `json:"claim_uid"`
	// Policy is what was to become of the volume before it was kept.
	Policy corev1.PersistentVolumeReclaimPolicy `json:"policy"`
	// Bare is the claim as it was, without its data.
	Bare corev1.PersistentVolumeClaim `json:"bare"`
	// Source and From are where the new data comes from; empty where the volume is kept by an
	// undo.
	Source release.Lineage       `json:"source,omitzero"`
	From   release.RestoredClaim `json:"from"`
	// Staged is the volume that a backup was brought into; nil where the claim is made from a
	// snapshot.
	Staged *staged `json:"staged,omitempty"`
	// Done is true once the restore had come to its end.
	Done bool `json:"done,omitempty"`
	// Undo is the name of the undo that is under way, "" for none.
	Undo string `json:"undo,omitempty"`
}

// A kept volume is one with a journal.
type kept struct {
	journal
	volume string
	phase  corev1.PersistentVolumePhase
	policy corev1.PersistentVolumeReclaimPolicy
}

// mark is the value of the label on the volumes that are kept for a claim.
func mark(namespace, claim string) string { return kube.Name(namespace, claim) }

// keeping returns the volumes that are kept for claims of the namespace, oldest first. A
// journal that cannot be read is an error: what it says of is not known.
func (p *Plan) keeping(ctx context.Context) ([]kept, error) {
	list, err := p.cluster.Core.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{LabelSelector: release.LabelKept})
	if err != nil {
		return nil, p.cluster.Explain(ctx, kube.Call{Verb: "list", Resource: volumes}, err)
	}
	var all []kept
	for i := range list.Items {
		volume := &list.Items[i]
		k := kept{volume: volume.Name, phase: volume.Status.Phase, policy: volume.Spec.PersistentVolumeReclaimPolicy}
		if err := json.Unmarshal([]byte(volume.Annotations[release.AnnotationRestore]), &k.journal); err != nil {
			if ref := volume.Spec.ClaimRef; ref != nil && ref.Namespace != p.cluster.Namespace {
				continue // another namespace's
			}
			return nil, fault.Hint(fmt.Errorf("the journal on volume %s (annotation %s) cannot be read: %w", volume.Name, release.AnnotationRestore, err),
				"the volume is labelled as one that a restore keeps; look at what it holds, and take the label %s from it if nothing is to be restored there", release.LabelKept)
		}
		if k.Namespace == p.cluster.Namespace {
			all = append(all, k)
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.volume, b.volume)) < 0
	})
	return all, nil
}

// volume returns a volume.
func (p *Plan) volume(ctx context.Context, name string) (*corev1.PersistentVolume, error) {
	volume, err := p.cluster.Core.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	return volume, p.cluster.Explain(ctx, kube.Call{Verb: "get", Resource: volumes, Name: name}, err)
}

// change patches a volume as the function wants it, again when others' changes get between. No
// patch at all is wanted where it returns nil.
func (p *Plan) change(ctx context.Context, name string, want func(*corev1.PersistentVolume) (map[string]any, error)) error {
	for range tries {
		volume, err := p.volume(ctx, name)
		if err != nil {
			return err
		}
		body, err := want(volume)
		if err != nil || body == nil {
			return err
		}
		meta, _ := body["metadata"].(map[string]any)
		if meta == nil {
			meta = map[string]any{}
		}
		meta["resourceVersion"], body["metadata"] = volume.ResourceVersion, meta
		patch, err := json.Marshal(body)
		if err != nil {
			return err
		}
		_, err = p.cluster.Core.CoreV1().PersistentVolumes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		if !apierrors.IsConflict(err) {
			return p.cluster.Explain(ctx, kube.Call{Verb: "patch", Resource: volumes, Name: name}, err)
		}
	}
	return fmt.Errorf("change volume %s: %w", name, errContended)
}

// keep makes a volume stay when its claim goes, and writes the journal on it, in one request.
// One that is kept already stays as it is; one that another restore keeps is an error.
func (p *Plan) keep(ctx context.Context, name string, j journal) error {
	return p.change(ctx, name, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		if text := volume.Annotations[release.AnnotationRestore]; text != "" {
			var there journal
			if err := json.Unmarshal([]byte(text), &there); err != nil || there.Restore != j.Restore {
				return nil, fault.Hint(fmt.Errorf("volume %s is kept by another restore, %s", name, kube.OneLine(there.Restore)),
					"finish that one, or go back from it with knowngood restore --undo")
			}
			return nil, nil
		}
		if ref := volume.Spec.ClaimRef; ref == nil || ref.UID != j.ClaimUID {
			return nil, fmt.Errorf("volume %s is not bound to claim %s/%s (uid %s) any more", name, j.Namespace, j.Claim, j.ClaimUID)
		}
		text, err := json.Marshal(j)
		return map[string]any{
			"metadata": map[string]any{
				"labels":      map[string]any{release.LabelKept: mark(j.Namespace, j.Claim), release.LabelManagedBy: release.ManagedBy},
				"annotations": map[string]any{release.AnnotationRestore: string(text)},
			},
			"spec": map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimRetain},
		}, err
	})
}

// rewrite changes the journal of a kept volume.
func (p *Plan) rewrite(ctx context.Context, name string, edit func(*journal) error) error {
	return p.change(ctx, name, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		var j journal
		before := volume.Annotations[release.AnnotationRestore]
		if err := json.Unmarshal([]byte(before), &j); err != nil {
			return nil, fmt.Errorf("the journal on volume %s: %w", name, err)
		}
		if err := edit(&j); err != nil {
			return nil, err
		}
		after, err := json.Marshal(j)
		if err != nil || string(after) == before {
			return nil, err
		}
		return map[string]any{"metadata": map[string]any{"annotations": map[string]any{release.AnnotationRestore: string(after)}}}, nil
	})
}

// release ends the keeping of a volume: its journal goes, and it has its old policy again.
func (p *Plan) release(ctx context.Context, name string, policy corev1.PersistentVolumeReclaimPolicy) error {
	return p.change(ctx, name, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		if _, marked := volume.Labels[release.LabelKept]; !marked {
			return nil, nil
		}
		return map[string]any{
			"metadata": map[string]any{
				"labels":      map[string]any{release.LabelKept: nil, release.LabelManagedBy: nil},
				"annotations": map[string]any{release.AnnotationRestore: nil},
			},
			"spec": map[string]any{"persistentVolumeReclaimPolicy": policy},
		}, nil
	})
}

// released waits until a volume's controller has seen that its claim is gone, and left it.
func (p *Plan) released(ctx context.Context, name string) error {
	spec := kube.WaitSpec{
		What: fmt.Sprintf("volume %s to be released", name), Timeout: p.request.Timeout, Resource: volumes, Name: name,
		TimeoutHint: "its controller, in kube-controller-manager, has not seen that its claim is gone",
	}
	return kube.Wait(ctx, p.cluster, spec, p.cluster.Core.CoreV1().PersistentVolumes(), kube.Named(func(now *corev1.PersistentVolume) (kube.Progress, error) {
		if now == nil {
			return kube.Progress{}, fmt.Errorf("volume %s is gone, though it was to be kept", name)
		}
		return kube.Progress{Done: now.Status.Phase == corev1.VolumeReleased, State: "it is " + string(now.Status.Phase)}, nil
	}))
}

// free lets a kept volume be bound to its claim's name again.
func (p *Plan) free(ctx context.Context, k kept) error {
	return p.change(ctx, k.volume, func(volume *corev1.PersistentVolume) (map[string]any, error) {
		ref := volume.Spec.ClaimRef
		switch {
		case volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain:
			return nil, fmt.Errorf("volume %s has the policy %s, want %s: somebody changed it", k.volume, volume.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
		case ref != nil && (ref.Namespace != k.Namespace || ref.Name != k.Claim):
			return nil, fmt.Errorf("volume %s is bound to claim %s/%s now: somebody else uses it", k.volume, ref.Namespace, ref.Name)
		case ref != nil && ref.UID == "":
			return nil, nil
		case ref != nil && ref.UID != k.ClaimUID:
			now, err := p.claim(ctx, k.Claim)
			if err != nil {
				return nil, err
			}
			if now != nil && now.UID == ref.UID {
				return nil, nil // it is bound already
			}
		}
		return map[string]any{"spec": map[string]any{"claimRef": map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": k.Namespace, "name": k.Claim,
			"uid": nil, "resourceVersion": nil,
		}}}, nil
	})
}
