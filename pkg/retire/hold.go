// SPDX-License-Identifier: Apache-2.0

package retire

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// fieldManager owns what is written into objects that are there.
const fieldManager = "knowngood"

// tries is how often a change is repeated that others' changes get between.
const tries = 8

// holdsOf returns the holds on a snapshot. A text that is no list of holds is a person's, and one.
func holdsOf(s *snapshotv1.VolumeSnapshot) []release.Hold {
	text := strings.TrimSpace(s.Annotations[release.AnnotationHolds])
	if text == "" {
		return nil
	}
	var holds []release.Hold
	if json.Unmarshal([]byte(text), &holds) != nil {
		return []release.Hold{{Owner: "an annotation", Reason: kube.OneLine(text)}}
	}
	return holds
}

// told says who holds and why, in one line.
func told(holds []release.Hold) string {
	var all []string
	for _, h := range holds {
		all = append(all, kube.OneLine(strings.TrimSuffix(h.Owner+": "+h.Reason, ": ")))
	}
	return strings.Join(all, "; ")
}

// Hold keeps the VolumeSnapshots of a run that are there, whatever the rules of retention say, and
// returns their names. A hold of the same owner for the same reason is one.
func Hold(ctx context.Context, cluster *kube.Cluster, about release.Subject, h release.Hold) ([]string, error) {
	return change(ctx, cluster, about, func(holds []release.Hold) []release.Hold {
		if slices.ContainsFunc(holds, func(o release.Hold) bool { return o.Owner == h.Owner && o.Reason == h.Reason }) {
			return holds
		}
		return append(holds, h)
	})
}

// Unhold ends the holds of a run's VolumeSnapshots that have the reason, all of them for "".
func Unhold(ctx context.Context, cluster *kube.Cluster, about release.Subject, reason string) ([]string, error) {
	return change(ctx, cluster, about, func(holds []release.Hold) []release.Hold {
		return slices.DeleteFunc(holds, func(h release.Hold) bool { return reason == "" || h.Reason == reason })
	})
}

// change makes the holds of each snapshot of a run those that want returns.
func change(ctx context.Context, cluster *kube.Cluster, about release.Subject, want func([]release.Hold) []release.Hold) ([]string, error) {
	list, err := cluster.Snapshots.SnapshotV1().VolumeSnapshots(cluster.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: fmt.Sprintf("%s=%s,%s=%s", release.LabelManagedBy, release.ManagedBy, release.LabelRun, kube.LabelValue(about.Run)),
	})
	if err != nil {
		return nil, cluster.Explain(ctx, call(cluster, "list", ""), err)
	}
	var names []string
	for i := range list.Items {
		s := &list.Items[i]
		if s.Annotations[release.AnnotationRun] != about.Run || s.Annotations[release.AnnotationApp] != about.App ||
			about.Environment != "" && s.Annotations[release.AnnotationEnvironment] != about.Environment {
			continue
		}
		if err := patch(ctx, cluster, s, want); err != nil {
			return names, err
		}
		names = append(names, s.Name)
	}
	return names, nil
}

// patch writes the holds of one snapshot. The request names the version that was read, so that of
// two holds at once none is lost.
func patch(ctx context.Context, cluster *kube.Cluster, s *snapshotv1.VolumeSnapshot, want func([]release.Hold) []release.Hold) error {
	of := cluster.Snapshots.SnapshotV1().VolumeSnapshots(s.Namespace)
	for range tries {
		if s.DeletionTimestamp != nil {
			return fmt.Errorf("hold VolumeSnapshot %s/%s: it is being deleted", s.Namespace, s.Name)
		}
		before := s.Annotations[release.AnnotationHolds]
		var text any
		if holds := want(holdsOf(s)); len(holds) > 0 {
			data, err := json.Marshal(holds)
			if err != nil {
				return err
			}
			text = string(data)
		}
		if text == before || text == nil && before == "" {
			return nil
		}
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"resourceVersion": s.ResourceVersion, "uid": s.UID, "annotations": map[string]any{release.AnnotationHolds: text},
		}})
		if err != nil {
			return err
		}
		_, err = of.Patch(ctx, s.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
		if !apierrors.IsConflict(err) {
			return cluster.Explain(ctx, call(cluster, "patch", s.Name), err)
		}
		if s, err = of.Get(ctx, s.Name, metav1.GetOptions{}); err != nil {
			return cluster.Explain(ctx, call(cluster, "get", s.Name), err)
		}
	}
	return fmt.Errorf("hold VolumeSnapshot %s/%s: others change it all the time", s.Namespace, s.Name)
}

const (
	volumeSnapshots = "snapshot.storage.k8s.io/volumesnapshots"
	contents        = "snapshot.storage.k8s.io/volumesnapshotcontents"
	claims          = "persistentvolumeclaims"
)

// call is a request about a VolumeSnapshot of the namespace.
func call(cluster *kube.Cluster, verb, name string) kube.Call {
	return kube.Call{Verb: verb, Resource: volumeSnapshots, Namespace: cluster.Namespace, Name: name}
}
