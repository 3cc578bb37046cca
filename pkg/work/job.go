// SPDX-License-Identifier: Apache-2.0

package work

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/release"
)

// Labels and annotations of a Job, its pods and its claims, beside those of package release.
const (
	// LabelJob is the name of the Job.
	LabelJob = "knowngood.dev/job"
	// AnnotationClaims are the temporary claims of a Job, separated by commas.
	AnnotationClaims = "knowngood.dev/claims"
)

// A Job is programs that run one after the other in one pod.
type Job struct {
	// Name is the same for the same work of the same run, and for nothing else (kube.Name): by it
	// a repeated attempt finds the Job that is at work already.
	Name    string
	Subject release.Subject
	// About is what the work is about, for people: the claim.
	About string
	// Programs run in their order; the first that fails ends the Job.
	Programs []Program
	// Claims are temporary: they are made for the Job and go with it.
	Claims []*corev1.PersistentVolumeClaim
	// Mounts are what each program may mount, claims of the Job's own or others, by a name.
	Mounts []Mount

	// Account is the service account of the pod, "" the namespace's default one. Its token is
	// not given to the pod.
	Account string
	// Nodes limit where the pod may run; nil does not. Tolerations let it go where others may not.
	Nodes       *corev1.NodeSelector
	Tolerations []corev1.Toleration

	// Start is how long it may take until the first program runs; Deadline how long the Job may
	// take in all.
	Start, Deadline time.Duration
	// Again is what a further attempt finds, for hints: e.g. that it uses what was uploaded.
	Again string
}

// A Mount is a claim in the pod.
type Mount struct {
	Claim string
	// Path is where a file system is mounted, or the name of a raw block device.
	Path   string
	Device bool
}

// A Program is one container.
type Program struct {
	Name string
	// Image and Args are what runs. Command, where it is given, stands for the image's own.
	Image         string
	Command, Args []string
	// Ours is true of knowngood itself, which hands a Message back. Of others the exit status counts.
	Ours bool
	Env  map[string]string
	// Secrets give single variables, Bundles all that a Secret holds.
	Secrets []Secret
	Bundles []string
	// Writes is true where the mounts may be written.
	Writes bool
	// Identity is as whom it runs.
	Identity Identity
	// Memory is the most that it may use, as Kubernetes writes it, e.g. 1Gi; "" does not limit.
	Memory string
}

// A Secret is one key of a Secret of the namespace, as a variable of the environment.
type Secret struct{ Variable, Name, Key string }

// An Identity is as whom a program runs. The zero value is the image's own user.
type Identity struct {
	// User and Group are numbers; nil leaves them to the image.
	User, Group *int64
	// Capabilities are kept; all others are dropped.
	Capabilities []corev1.Capability
}

// Scratch is a folder in which the programs of a Job that are ours keep what they hand on to each
// other; the others have one of their own there.
const Scratch = "/tmp"

// Keeper returns the identity that reads every file of a volume which is mounted read-only: root
// with DAC_OVERRIDE. DAC_READ_SEARCH would say less and mean more: it lets a process open any
// file of the node by its handle (open_by_handle_at), so Pod Security forbids it even at its level
// baseline, and allows the other.
func Keeper() Identity {
	root := int64(0)
	return Identity{User: &root, Group: &root, Capabilities: []corev1.Capability{"DAC_OVERRIDE"}}
}

// Restorer returns the identity that puts files back as they were, owners, modes, special files
// and file capabilities: root with what that takes, all of it within Pod Security's baseline.
func Restorer() Identity {
	keeper := Keeper()
	keeper.Capabilities = append(keeper.Capabilities, "CHOWN", "FOWNER", "FSETID", "MKNOD", "SETFCAP")
	return keeper
}

// Opener returns the identity that reads and writes raw block devices: root, whose their nodes are,
// without any capability.
func Opener() Identity {
	root := int64(0)
	return Identity{User: &root, Group: &root}
}

// User returns the identity of a user without any privilege.
func User(user, group int64) Identity { return Identity{User: &user, Group: &group} }
