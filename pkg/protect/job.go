// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
)

const (
	// program is the name of the container that saves, volume where the claim is mounted.
	program = "save"
	volume  = "/volume"
)

// job is the Job that saves one snapshot.
func (q Request) job(ctx context.Context, cluster *kube.Cluster, s release.Snapshot, users []corev1.Pod) (work.Job, error) {
	cut, err := volumeCut(ctx, cluster, s)
	if err != nil {
		return work.Job{}, err
	}
	if err := q.tellTwin(ctx, cluster, s, cut); err != nil {
		return work.Job{}, err
	}
	about := q.Subject
	name := kube.Name(program, s.Claim, about.Commit.Short(), about.App, about.Environment, about.Run, s.UID)
	mounted := mount(name, raw(s))
	args := append([]string{
		"work", "save", mounted.Path, "--app=" + about.App, "--environment=" + about.Environment,
		"--commit=" + string(about.Commit), "--run=" + about.Run, "--volume=" + s.Claim,
	}, append(q.reach(), q.locks()...)...)
	save := work.Program{
		Name: program, Image: q.Image, Args: args, Ours: true, Identity: handling(q.As, raw(s)), Memory: q.Memory,
		Secrets: q.secrets(), Bundles: q.bundles(),
	}
	return work.Job{
		Name: name, Subject: about, About: s.Claim, Programs: []work.Program{save},
		Claims:  []*corev1.PersistentVolumeClaim{q.claim(name, s)},
		Mounts:  []work.Mount{mounted},
		Account: q.Account, Nodes: nodesOf(cut), Tolerations: tolerations(users),
		Start: q.Start, Deadline: q.deadline(max(s.RestoreBytes, s.ClaimBytes)), Again: "what was uploaded is used by the next attempt",
	}, nil
}

// reach are the arguments by which a program of ours reaches the repository; secrets and bundles
// what it needs for it and nobody reads here. An address among them goes before the argument.
func (q Request) reach() []string {
	args := []string{"--place=" + q.Repository}
	if q.AllowHTTP {
		args = append(args, "--allow-http=true")
	}
	return args
}

// locks are the arguments that say how long the bucket keeps what is written.
func (q Request) locks() []string {
	if q.LockDays == 0 {
		return nil
	}
	return []string{fmt.Sprintf("--lock-days=%d", q.LockDays), fmt.Sprintf("--lock-strict=%t", q.LockStrict)}
}

func (q Request) secrets() []work.Secret {
	return []work.Secret{{Variable: "KNOWNGOOD_REPOSITORY_PASSWORD", Name: q.KeySecret, Key: KeyName}}
}

func (q Request) bundles() []string {
	if q.BucketSecret == "" {
		return nil
	}
	return []string{q.BucketSecret}
}

// claim is the temporary claim that is made of a snapshot.
func (q Request) claim(name string, s release.Snapshot) *corev1.PersistentVolumeClaim {
	class, group := q.classOf(s), "snapshot.storage.k8s.io"
	mode := corev1.PersistentVolumeFilesystem
	if raw(s) {
		mode = corev1.PersistentVolumeBlock
	}
	size := resource.NewQuantity(max(s.RestoreBytes, s.ClaimBytes), resource.BinarySI)
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{accessMode(s)}, StorageClassName: &class, VolumeMode: &mode,
			DataSource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: s.Name},
			Resources:  corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *size}},
		},
	}
}

// accessMode is ReadWriteOnce, which every driver knows and which lets it replay a journal, unless
// the volumes of the claim can only be read.
func accessMode(s release.Snapshot) corev1.PersistentVolumeAccessMode {
	only := func(mode string) bool { return mode == string(corev1.ReadOnlyMany) }
	if len(s.AccessModes) > 0 && !slices.ContainsFunc(s.AccessModes, func(mode string) bool { return !only(mode) }) {
		return corev1.ReadOnlyMany
	}
	return corev1.ReadWriteOnce
}

// volumeCut returns the volume of which the snapshot was taken.
func volumeCut(ctx context.Context, cluster *kube.Cluster, s release.Snapshot) (*corev1.PersistentVolume, error) {
	claim, err := cluster.Core.CoreV1().PersistentVolumeClaims(cluster.Namespace).Get(ctx, s.Claim, metav1.GetOptions{})
	if err != nil {
		return nil, cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "persistentvolumeclaims", Namespace: cluster.Namespace, Name: s.Claim}, err)
	}
	return volumeOf(ctx, cluster, claim)
}

// volumeOf returns the volume of a claim.
func volumeOf(ctx context.Context, cluster *kube.Cluster, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, error) {
	found, err := cluster.Core.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", claim.Name, cluster.Explain(ctx, kube.Call{Verb: "get", Resource: "persistentvolumes", Name: claim.Spec.VolumeName}, err))
	}
	return found, nil
}

// nodesOf returns the nodes that reach a volume, nil where all do: what is made of its snapshot
// lies in the same zone, or on the same node.
func nodesOf(volume *corev1.PersistentVolume) *corev1.NodeSelector {
	if volume.Spec.NodeAffinity == nil {
		return nil
	}
	return volume.Spec.NodeAffinity.Required
}

// mounts returns the pods that mount each claim.
func mounts(ctx context.Context, cluster *kube.Cluster) (map[string][]corev1.Pod, error) {
	list, err := cluster.Core.CoreV1().Pods(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, cluster.Explain(ctx, kube.Call{Verb: "list", Resource: "pods", Namespace: cluster.Namespace}, err)
	}
	found := map[string][]corev1.Pod{}
	for _, pod := range list.Items {
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				found[v.PersistentVolumeClaim.ClaimName] = append(found[v.PersistentVolumeClaim.ClaimName], pod)
			}
		}
	}
	return found, nil
}

// tolerations are those of the pods that use the volume, so that the Job can go where they are.
func tolerations(users []corev1.Pod) []corev1.Toleration {
	var all []corev1.Toleration
	for i := range users {
		for _, one := range users[i].Spec.Tolerations {
			known := slices.ContainsFunc(all, func(t corev1.Toleration) bool { return t.MatchToleration(&one) })
			// Those that every pod gets say for how long it stays on a node that has failed.
			if !known && one.TolerationSeconds == nil {
				all = append(all, one)
			}
		}
	}
	return all
}
