// SPDX-License-Identifier: Apache-2.0

package retire

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/work"
)

// lease is the name of the Lease that a prune holds in the namespace.
const lease = "knowngood-prune"

// page is how many objects are asked for at once.
const page = 500

// Look returns what a prune would do. It changes nothing.
func Look(ctx context.Context, cluster *kube.Cluster, q Request) (Plan, error) {
	if err := q.Rules.Check(); err != nil {
		return Plan{}, err
	}
	s, err := look(ctx, cluster, q)
	if err != nil {
		return Plan{}, fmt.Errorf("plan which snapshots are pruned: %w", err)
	}
	return Judge(q, s), nil
}

// look reads what the cluster has. What cannot be read is an error: what is not known is not free
// to go.
func look(ctx context.Context, cluster *kube.Cluster, q Request) (State, error) {
	s := State{Namespace: cluster.Namespace, Now: cluster.Now()}
	var err error
	if s.Cluster, err = cluster.UID(ctx); err != nil {
		return s, err
	}
	if s.Needed, err = q.Uses(ctx); err != nil {
		return s, err
	}
	options := metav1.ListOptions{Limit: page}
	for {
		list, err := cluster.Snapshots.SnapshotV1().VolumeSnapshots(cluster.Namespace).List(ctx, options)
		if err != nil {
			return s, cluster.Explain(ctx, call(cluster, "list", ""), err)
		}
		s.Snapshots = append(s.Snapshots, list.Items...)
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	for {
		list, err := cluster.Snapshots.SnapshotV1().VolumeSnapshotContents().List(ctx, options)
		if err != nil {
			return s, cluster.Explain(ctx, kube.Call{Verb: "list", Resource: contents}, err)
		}
		s.Contents = append(s.Contents, list.Items...)
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	// Last, so that a claim which begins to read is seen rather than not.
	list, err := cluster.Core.CoreV1().PersistentVolumeClaims(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, cluster.Explain(ctx, kube.Call{Verb: "list", Resource: claims, Namespace: cluster.Namespace}, err)
	}
	s.Claims = list.Items
	s.Jobs, err = work.Leftovers(ctx, cluster)
	return s, err
}

// A Done is what a prune did.
type Done struct {
	Plan Plan `json:"plan"`
	// Done is true once all that the plan gives up is gone.
	Done bool `json:"done"`
	// Deleted are the names of the snapshots and contents that are gone.
	Deleted []string `json:"deleted,omitempty"`
}

// Retire makes a plan, and carries out exactly that, while no other prune is at work in the
// namespace. What was done comes back also with an error, whose status is fault.Partial when some
// of it was done.
//
// It may be killed at any moment: the next prune goes on from what is there.
func Retire(ctx context.Context, cluster *kube.Cluster, q Request) (Done, error) {
	var did Done
	err := cluster.Alone(ctx, lease, q.Wait, func(ctx context.Context) error {
		var err error
		if did.Plan, err = Look(ctx, cluster, q); err != nil {
			return err
		}
		if q.Plan != "" && q.Plan != did.Plan.Digest {
			return fault.Hint(fault.Exit(fault.Usage, fmt.Errorf("%w: that of the snapshots is %s, and was to be %.40q", ErrPlan, did.Plan.Digest, q.Plan)),
				"look at the plan again: knowngood prune without --dry-run=false")
		}
		if err := q.Before(ctx, did.Plan); err != nil {
			return err
		}
		return q.carryOut(ctx, cluster, &did)
	})
	if err != nil {
		return did, fmt.Errorf("prune snapshots in namespace %s: %w", cluster.Namespace, err)
	}
	return did, nil
}

// carryOut deletes what the plan gives up. A failure keeps nothing else from going.
func (q Request) carryOut(ctx context.Context, cluster *kube.Cluster, did *Done) error {
	needed, err := q.Uses(ctx) // a restore may have begun while the plan was noted
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	deletions := did.Plan.deletions()
	errs, gone := make([]error, len(deletions)), make([][]string, len(deletions))
	for i, d := range deletions {
		if why := needed[d.uid]; why != "" {
			errs[i] = fmt.Errorf("%w: VolumeSnapshot %s: %s", ErrPlan, d.name, why)
			continue
		}
		all.Go(func() { gone[i], errs[i] = q.delete(ctx, cluster, d) })
	}
	all.Wait()
	did.Deleted = slices.Concat(gone...)
	_, err = work.Sweep(ctx, cluster)
	err = fault.Together(ctx, len(did.Deleted) > 0, append(errs, err))
	did.Done = err == nil
	return err
}

// A deletion is of a snapshot, of its content, or of both, in this order: a snapshot that is not
// let go keeps what the storage has of it.
type deletion struct {
	name, uid, version  string
	content, contentUID string
}

func (p Plan) deletions() []deletion {
	var all []deletion
	for _, f := range p.Given() {
		d := deletion{name: f.Snapshot.Name, uid: f.Snapshot.UID, version: f.version}
		if f.Stored {
			d.content, d.contentUID = f.content, f.contentUID
		}
		all = append(all, d)
	}
	for _, o := range p.Orphans {
		switch {
		case !o.Goes:
		case o.Kind == OrphanSnapshot:
			all = append(all, deletion{name: o.Name, uid: o.uid, version: o.version})
		case o.Kind == OrphanContent:
			all = append(all, deletion{content: o.Name, contentUID: o.uid})
		}
	}
	return all
}

// delete returns the names of what is gone.
func (q Request) delete(ctx context.Context, cluster *kube.Cluster, d deletion) (gone []string, err error) {
	if d.name != "" {
		if err := q.snapshot(ctx, cluster, d); err != nil {
			return nil, err
		}
		gone = append(gone, cluster.Namespace+"/"+d.name)
	}
	if d.content != "" {
		if err := q.content(ctx, cluster, d); err != nil {
			return gone, err
		}
		gone = append(gone, d.content)
	}
	return gone, nil
}

// snapshot deletes the very VolumeSnapshot that was judged: one that changed since, by a hold or
// otherwise, stays.
func (q Request) snapshot(ctx context.Context, cluster *kube.Cluster, d deletion) error {
	of := cluster.Snapshots.SnapshotV1().VolumeSnapshots(cluster.Namespace)
	id := types.UID(d.uid)
	err := of.Delete(ctx, d.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &id, ResourceVersion: &d.version}})
	switch {
	case apierrors.IsConflict(err):
		return fault.Hint(fmt.Errorf("%w: VolumeSnapshot %s/%s was changed meanwhile, and stays", ErrPlan, cluster.Namespace, d.name), "run the prune again")
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return cluster.Explain(ctx, call(cluster, "delete", d.name), err)
	}
	spec := kube.WaitSpec{
		What: fmt.Sprintf("VolumeSnapshot %s to be gone", d.name), Timeout: q.Timeout,
		Resource: volumeSnapshots, Namespace: cluster.Namespace, Name: d.name,
		TimeoutHint: "snapshot-controller takes its finalizers away once the storage has answered: look at its log, and that the class is there",
	}
	return kube.Wait(ctx, cluster, spec, of, kube.Named(func(now *snapshotv1.VolumeSnapshot) (kube.Progress, error) {
		if now == nil || now.UID != id {
			return kube.Progress{Done: true}, nil
		}
		return kube.Progress{State: "its finalizers: " + strings.Join(now.Finalizers, ", ")}, nil
	}))
}

// content lets what the storage has go: the content's policy becomes Delete, then it is deleted.
func (q Request) content(ctx context.Context, cluster *kube.Cluster, d deletion) error {
	of := cluster.Snapshots.SnapshotV1().VolumeSnapshotContents()
	ask := func(verb string) kube.Call { return kube.Call{Verb: verb, Resource: contents, Name: d.content} }
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": d.contentUID}, "spec": map[string]any{"deletionPolicy": snapshotv1.VolumeSnapshotContentDelete},
	})
	if err != nil {
		return err
	}
	_, err = of.Patch(ctx, d.content, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return cluster.Explain(ctx, ask("patch"), err)
	}
	id := types.UID(d.contentUID)
	err = of.Delete(ctx, d.content, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &id}})
	if err != nil && !apierrors.IsNotFound(err) {
		return cluster.Explain(ctx, ask("delete"), err)
	}
	spec := kube.WaitSpec{What: fmt.Sprintf("VolumeSnapshotContent %s to be gone", d.content), Timeout: q.Timeout, Resource: contents, Name: d.content}
	return kube.Wait(ctx, cluster, spec, of, kube.Named(func(there *snapshotv1.VolumeSnapshotContent) (kube.Progress, error) {
		if there == nil || there.UID != id {
			return kube.Progress{Done: true}, nil
		}
		return kube.Progress{State: stays(there.Finalizers, there.Status)}, nil
	}))
}

func stays(finalizers []string, status *snapshotv1.VolumeSnapshotContentStatus) string {
	words := "its finalizers: " + strings.Join(finalizers, ", ")
	if status != nil && status.Error != nil && status.Error.Message != nil {
		words += "; the storage says: " + kube.OneLine(*status.Error.Message)
	}
	return words
}
