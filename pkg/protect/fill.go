// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
)

// fill is the name of the container that brings a backup into a claim.
const fill = "restore"

// Filler returns Fill in a cluster; of the request it takes what that says when it is called.
func (q *Request) Filler(cluster *kube.Cluster) func(context.Context, *corev1.PersistentVolumeClaim, release.Backup) (release.Verification, error) {
	return func(ctx context.Context, claim *corev1.PersistentVolumeClaim, b release.Backup) (release.Verification, error) {
		return q.Fill(ctx, cluster, claim, b)
	}
}

// Fill brings a backup into a claim that is there and that nobody else mounts, and compares all
// that came with the backup's manifest. A repeated attempt of the same restore, which the claim
// names, finds the Job that is at work, or what an earlier one has left.
func (q Request) Fill(ctx context.Context, cluster *kube.Cluster, claim *corev1.PersistentVolumeClaim, b release.Backup) (release.Verification, error) {
	job, err := q.filling(ctx, cluster, claim, b)
	if err != nil {
		return release.Verification{}, err
	}
	ended, err := work.Run(ctx, cluster, job)
	message, told := ended.Messages[fill]
	if !told || len(message.Result) == 0 {
		return release.Verification{}, err
	}
	var found release.Verification
	if reading := message.Read(&found); reading != nil {
		return release.Verification{}, errors.Join(err, reading)
	}
	if found.Proved != (err == nil) || min(found.Files, found.Bytes) < 0 {
		return release.Verification{}, errors.Join(err, fmt.Errorf("the Job for claim %s hands back what cannot be: proved %v", claim.Name, found.Proved))
	}
	if err != nil {
		return found, err
	}
	found.Seconds = ended.Seconds
	cluster.Log.Info("backup restored", "claim", claim.Name, "backup", b.ID, "files", found.Files, "bytes", found.Bytes, "seconds", int(ended.Seconds))
	return found, nil
}

// filling is the Job that brings one backup into a claim.
func (q Request) filling(ctx context.Context, cluster *kube.Cluster, claim *corev1.PersistentVolumeClaim, b release.Backup) (work.Job, error) {
	if b.Device != rawClaim(claim) {
		return work.Job{}, fault.Usagef("backup %s is of %s, and claim %s is of the other kind", b.ID, kind(b), claim.Name)
	}
	nodes, err := nodesOfClaim(ctx, cluster, b.Volume)
	if err != nil {
		return work.Job{}, err
	}
	pods, err := mounts(ctx, cluster)
	if err != nil {
		return work.Job{}, err
	}
	about := release.Subject{App: b.App, Environment: b.Environment, Run: claim.Annotations[release.AnnotationRestore], Commit: b.Commit}
	mounted := mount(claim.Name, b.Device)
	restore := work.Program{
		Name: fill, Image: q.Image, Ours: true, Memory: q.Memory, Secrets: q.secrets(), Bundles: q.bundles(), Identity: handling(work.Restorer(), b.Device), Writes: true,
		Args: append([]string{"work", "restore", b.ID, "--to=" + mounted.Path, "--app=" + b.App, "--environment=" + b.Environment}, q.reach()...),
	}
	return work.Job{
		Name:    kube.Name(fill, claim.Name, b.ID, string(claim.UID)),
		Subject: about, About: claim.Name, Programs: []work.Program{restore},
		Mounts: []work.Mount{mounted}, Account: q.Account, Nodes: nodes, Tolerations: tolerations(pods[b.Volume]),
		Start: q.Start, Deadline: q.deadline(b.Bytes), Again: "what is there already is not brought again",
	}, nil
}

// kind says what a backup is of.
func kind(b release.Backup) string {
	if b.Device {
		return "a raw device"
	}
	return "files"
}

// nodesOfClaim returns the nodes that reach the volume which a claim has now: what takes its place
// must be within the reach of the same pods. Without the claim any node will do.
func nodesOfClaim(ctx context.Context, cluster *kube.Cluster, name string) (*corev1.NodeSelector, error) {
	claim, err := cluster.Core.CoreV1().PersistentVolumeClaims(cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && claim.Spec.VolumeName == "":
		return nil, nil //nolint:nilnil // every node will do
	case err != nil:
		return nil, cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "persistentvolumeclaims", Namespace: cluster.Namespace, Name: name}, err)
	}
	volume, err := volumeOf(ctx, cluster, claim)
	if err != nil {
		return nil, err
	}
	return nodesOf(volume), nil
}
