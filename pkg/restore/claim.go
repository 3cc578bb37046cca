// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

const claims = "persistentvolumeclaims"

// claim returns a claim, nil where there is none.
func (p *Plan) claim(ctx context.Context, name string) (*corev1.PersistentVolumeClaim, error) {
	claim, err := p.cluster.Core.CoreV1().PersistentVolumeClaims(p.cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return claim, p.cluster.Explain(ctx, p.call("get", claims, name), err)
}

// bare returns what a claim is by its owner's will: what Kubernetes and its storage added, and
// where its data came from, is left out.
func bare(claim *corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaim {
	made := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: claim.Namespace, Name: claim.Name, Labels: maps.Clone(claim.Labels), Annotations: map[string]string{},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: slices.Clone(claim.Spec.AccessModes), Resources: *claim.Spec.Resources.DeepCopy(),
			StorageClassName: claim.Spec.StorageClassName, VolumeMode: claim.Spec.VolumeMode,
			VolumeAttributesClassName: claim.Spec.VolumeAttributesClassName,
		},
	}
	for key, value := range claim.Annotations {
		if !ofTheStorage(key) {
			made.Annotations[key] = value
		}
	}
	return made
}

func ofTheStorage(annotation string) bool {
	return strings.HasPrefix(annotation, "pv.kubernetes.io/") || strings.HasPrefix(annotation, "volume.kubernetes.io/") ||
		strings.HasPrefix(annotation, "volume.beta.kubernetes.io/") ||
		annotation == release.AnnotationRestore || annotation == release.AnnotationSource || annotation == release.AnnotationFilled
}

// recorded returns a claim as its snapshot's record describes it.
func recorded(s release.Snapshot, name string) corev1.PersistentVolumeClaim {
	made := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(s.ClaimBytes, resource.BinarySI)},
		}},
	}
	if s.StorageClass != "" {
		made.Spec.StorageClassName = &s.StorageClass
	}
	if s.VolumeMode != "" {
		mode := corev1.PersistentVolumeMode(s.VolumeMode)
		made.Spec.VolumeMode = &mode
	}
	for _, mode := range s.AccessModes {
		made.Spec.AccessModes = append(made.Spec.AccessModes, corev1.PersistentVolumeAccessMode(mode))
	}
	return made
}

// cloned returns the claim so that it is made from a snapshot, with room for all of it.
func cloned(claim corev1.PersistentVolumeClaim, from release.RestoredClaim, restore string) *corev1.PersistentVolumeClaim {
	made := claim.DeepCopy()
	group := "snapshot.storage.k8s.io"
	made.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: from.Snapshot}
	return tagged(roomy(made, from.Bytes), restore, from.SnapshotUID)
}

// bound returns the claim so that it gets a volume that is there.
func bound(claim corev1.PersistentVolumeClaim, volume, restore string) *corev1.PersistentVolumeClaim {
	made := claim.DeepCopy()
	made.Spec.VolumeName = volume
	return tagged(made, restore, volume)
}

// tagged returns the claim with what says who made it, and from what. A claim that was read from
// a journal has no map where it had nothing to say.
func tagged(claim *corev1.PersistentVolumeClaim, restore, source string) *corev1.PersistentVolumeClaim {
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	claim.Annotations[release.AnnotationRestore] = restore
	claim.Annotations[release.AnnotationSource] = source
	return claim
}

// describe says what a claim will be, in a few words.
func describe(claim *corev1.PersistentVolumeClaim) string {
	words := []string{claim.Spec.Resources.Requests.Storage().String()}
	if claim.Spec.StorageClassName != nil {
		words = append(words, "class "+*claim.Spec.StorageClassName)
	}
	for _, mode := range claim.Spec.AccessModes {
		words = append(words, string(mode))
	}
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != corev1.PersistentVolumeFilesystem {
		words = append(words, string(*claim.Spec.VolumeMode))
	}
	return strings.Join(words, ", ")
}

// create makes a claim, unless this restore had made it.
func (p *Plan) create(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	_, err := p.cluster.Core.CoreV1().PersistentVolumeClaims(p.cluster.Namespace).Create(ctx, claim, metav1.CreateOptions{FieldManager: fieldManager})
	if !apierrors.IsAlreadyExists(err) {
		return p.cluster.Explain(ctx, p.call("create", claims, claim.Name), err)
	}
	there, err := p.claim(ctx, claim.Name)
	switch {
	case err != nil:
		return err
	case there == nil:
		return fmt.Errorf("claim %s/%s was there and is gone again: somebody else works on it", claim.Namespace, claim.Name)
	case !madeBy(there, claim.Annotations[release.AnnotationRestore], claim.Annotations[release.AnnotationSource]):
		return foreign(there)
	}
	return nil
}

// madeBy tells whether a claim is the one that a restore has made.
func madeBy(claim *corev1.PersistentVolumeClaim, restore, source string) bool {
	return claim != nil && claim.DeletionTimestamp == nil &&
		claim.Annotations[release.AnnotationRestore] == restore && claim.Annotations[release.AnnotationSource] == source
}

func foreign(claim *corev1.PersistentVolumeClaim) error {
	return fault.Hint(fmt.Errorf("claim %s/%s was made by somebody else, with uid %s: it is not touched", claim.Namespace, claim.Name, claim.UID),
		"find out who made it and what it holds (a StatefulSet makes missing claims when it is scaled up); delete it, then repeat the command")
}

// remove deletes a claim of that uid and waits until it is gone. What it holds is kept by the
// caller.
func (p *Plan) remove(ctx context.Context, name string, uid types.UID) error {
	of := p.cluster.Core.CoreV1().PersistentVolumeClaims(p.cluster.Namespace)
	err := of.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return p.cluster.Explain(ctx, p.call("delete", claims, name), err)
	}
	spec := kube.WaitSpec{
		What: fmt.Sprintf("claim %s to be gone", name), Timeout: p.request.Timeout,
		Resource: claims, Namespace: p.cluster.Namespace, Name: name,
		TimeoutHint: "a claim goes when no pod uses it any more: look for pods that still do",
	}
	return kube.Wait(ctx, p.cluster, spec, of, kube.Named(func(now *corev1.PersistentVolumeClaim) (kube.Progress, error) {
		if now == nil || now.UID != uid {
			return kube.Progress{Done: true}, nil
		}
		return kube.Progress{State: "its finalizers: " + strings.Join(now.Finalizers, ", ")}, nil
	}))
}

// askEvents is how often a wait for a volume looks for the reason why there is none.
const askEvents = 5 * time.Second

// await waits until a claim has its volume and notes which.
func (p *Plan) await(ctx context.Context, into *release.RestoredClaim) error {
	of := p.cluster.Core.CoreV1().PersistentVolumeClaims(p.cluster.Namespace)
	spec := kube.WaitSpec{
		What: fmt.Sprintf("claim %s to have its volume", into.Claim), Timeout: p.request.Timeout,
		Resource: claims, Namespace: p.cluster.Namespace, Name: into.Claim,
		TimeoutHint: fmt.Sprintf("look at its events: kubectl -n %s describe persistentvolumeclaim %s", p.cluster.Namespace, into.Claim),
	}
	return kube.Wait(ctx, p.cluster, spec, of, kube.Named(func(now *corev1.PersistentVolumeClaim) (kube.Progress, error) {
		switch {
		case now == nil:
			return kube.Progress{}, fmt.Errorf("claim %s/%s was deleted while its volume was awaited", p.cluster.Namespace, into.Claim)
		case now.Status.Phase == corev1.ClaimLost:
			return kube.Progress{}, fmt.Errorf("claim %s/%s has lost its volume %s", now.Namespace, now.Name, now.Spec.VolumeName)
		case now.Status.Phase == corev1.ClaimBound:
			into.Volume = now.Spec.VolumeName
			return kube.Progress{Done: true}, nil
		}
		return kube.Progress{State: p.trouble(ctx, now), Recheck: askEvents}, nil
	}))
}

// trouble is what the newest warning about a claim says.
func (p *Plan) trouble(ctx context.Context, claim *corev1.PersistentVolumeClaim) string {
	list, err := p.cluster.Core.CoreV1().Events(p.cluster.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": "PersistentVolumeClaim", "involvedObject.name": claim.Name}.String(),
	})
	if err != nil {
		return "it has none yet, and its events could not be read"
	}
	text, newest := "it has none yet", time.Time{}
	for i := range list.Items {
		e := &list.Items[i]
		at := e.LastTimestamp.Time
		if e.Type == corev1.EventTypeWarning && e.InvolvedObject.UID == claim.UID && !at.Before(newest) {
			text, newest = fmt.Sprintf("%s: %s", e.Reason, kube.OneLine(e.Message)), at
		}
	}
	return text
}

// fieldManager owns what knowngood writes into other people's objects.
const fieldManager = "knowngood"

// tries is how often a change is repeated that others' changes get between.
const tries = 8

var errContended = errors.New("others change it all the time")
