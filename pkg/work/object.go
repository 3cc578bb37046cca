// SPDX-License-Identifier: Apache-2.0

package work

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

const (
	// keptFor is how long an ended Job is kept for its caller, should that live.
	keptFor = 2 * time.Minute
	// grace is how long a program may take to end, in which a save keeps what it has uploaded.
	grace = 45 * time.Second
	// resultPath is where the kubelet reads a termination message.
	resultPath = "/dev/termination-log"
	// requested is what a program of ours asks for; a save takes less, whatever the tree.
	requestedMemory, requestedCPU = "256Mi", "100m"
)

// annotationPod is the digest of what the Job runs: a repeated attempt with other inputs does not
// take over the Job of the one before.
const annotationPod = "knowngood.dev/pod"

// object is the Job to create.
func (j Job) object(namespace string) (*batchv1.Job, error) {
	meta := j.meta(namespace, j.Name)
	var claims []string
	for _, claim := range j.Claims {
		claims = append(claims, claim.Name)
	}
	meta.Annotations[AnnotationClaims] = strings.Join(claims, ",")
	pod, err := j.pod()
	if err != nil {
		return nil, err
	}
	template := metav1.ObjectMeta{Labels: maps.Clone(meta.Labels), Annotations: maps.Clone(meta.Annotations)}
	// A proxy put beside the programs would outlive them, and the Job would never end.
	template.Annotations["sidecar.istio.io/inject"], template.Annotations["linkerd.io/inject"] = "false", "disabled"
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	meta.Annotations[annotationPod] = fmt.Sprintf("%x", sha256.Sum256(text))
	none, ttl, deadline := int32(0), int32(keptFor.Seconds()), int64(j.Deadline.Seconds())
	return &batchv1.Job{
		ObjectMeta: meta,
		Spec: batchv1.JobSpec{
			BackoffLimit: &none, TTLSecondsAfterFinished: &ttl, ActiveDeadlineSeconds: &deadline,
			// A pod that its node loses is made anew, and goes on from what was uploaded.
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action:          batchv1.PodFailurePolicyActionIgnore,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
			}}},
			Template: corev1.PodTemplateSpec{ObjectMeta: template, Spec: pod},
		},
	}, nil
}

// meta are the labels by which leftovers are known, and whole names where labels are too short.
func (j Job) meta(namespace, name string) metav1.ObjectMeta {
	about := j.Subject
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels: map[string]string{
			release.LabelManagedBy: release.ManagedBy, LabelJob: j.Name,
			release.LabelApp:         kube.LabelValue(about.App),
			release.LabelCommit:      about.Commit.Label(),
			release.LabelEnvironment: kube.LabelValue(about.Environment),
			release.LabelRun:         kube.LabelValue(about.Run),
			release.LabelClaim:       kube.LabelValue(j.About),
		},
		Annotations: map[string]string{
			release.AnnotationApp: about.App, release.AnnotationEnvironment: about.Environment,
			release.AnnotationRun: about.Run, release.AnnotationCommit: string(about.Commit),
			release.AnnotationClaim: j.About,
		},
	}
}

// skipped is the annotation by which a claim is left out of snapshots (package snapshot): the
// claims of a run that was killed are mounted still when the next one looks.
const skipped = "knowngood.dev/snapshot"

// claim is a temporary claim as it is created, owned by the Job.
func (j Job) claim(of *corev1.PersistentVolumeClaim, owner *batchv1.Job) *corev1.PersistentVolumeClaim {
	meta := j.meta(owner.Namespace, of.Name)
	meta.Annotations[skipped] = "skip"
	meta.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Name: owner.Name, UID: owner.UID,
	}}
	return &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: of.Spec}
}

func (j Job) pod() (corev1.PodSpec, error) {
	no, seconds := false, int64(grace.Seconds())
	spec := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &seconds,
		AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
		ServiceAccountName: j.Account, Tolerations: j.Tolerations,
		SecurityContext: &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Volumes:         []corev1.Volume{scratch(ours)},
	}
	if j.Nodes != nil {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: j.Nodes}}
	}
	for i, mount := range j.Mounts {
		// Read-only is the mount in the container, not the claim: a driver must be able to replay
		// the journal of a volume that was cut while it was in use.
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: volumeName(i), VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: mount.Claim},
		}})
	}
	for i, program := range j.Programs {
		if !program.Ours {
			spec.Volumes = append(spec.Volumes, scratch(program.Name))
		}
		container, err := j.container(program)
		if err != nil {
			return spec, err
		}
		if i < len(j.Programs)-1 {
			spec.InitContainers = append(spec.InitContainers, container)
		} else {
			spec.Containers = []corev1.Container{container}
		}
	}
	return spec, nil
}

// ours names the scratch folder of programs of ours.
const ours = "knowngood"

func scratch(of string) corev1.Volume {
	return corev1.Volume{Name: "tmp-" + of, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func volumeName(i int) string { return fmt.Sprintf("claim-%d", i) }

func (j Job) container(p Program) (corev1.Container, error) {
	no, locked, tmp := false, p.Ours, ours
	if !p.Ours {
		tmp = p.Name
	}
	security := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &locked,
		RunAsUser: p.Identity.User, RunAsGroup: p.Identity.Group,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: p.Identity.Capabilities},
	}
	if user := p.Identity.User; user != nil {
		plain := *user != 0
		security.RunAsNonRoot = &plain
	}
	c := corev1.Container{
		Name: p.Name, Image: p.Image, Command: p.Command, Args: p.Args, SecurityContext: security,
		VolumeMounts:             []corev1.VolumeMount{{Name: "tmp-" + tmp, MountPath: Scratch}},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceMemory: resource.MustParse(requestedMemory), corev1.ResourceCPU: resource.MustParse(requestedCPU),
		}},
	}
	if p.Memory != "" {
		limit, err := resource.ParseQuantity(p.Memory)
		if err != nil {
			return c, fault.Usagef("memory %q: want it as Kubernetes writes it, e.g. 1Gi", p.Memory)
		}
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: limit}
		if requested := c.Resources.Requests[corev1.ResourceMemory]; limit.Cmp(requested) < 0 {
			c.Resources.Requests[corev1.ResourceMemory] = limit
		}
	}
	if p.Ours {
		c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
		c.Env = append(c.Env, corev1.EnvVar{Name: ResultVariable, Value: resultPath})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: p.Env[name]})
	}
	for _, secret := range p.Secrets {
		c.Env = append(c.Env, corev1.EnvVar{Name: secret.Variable, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret.Name}, Key: secret.Key,
		}}})
	}
	for _, name := range p.Bundles {
		c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: name},
		}})
	}
	j.mount(&c, p.Writes)
	return c, nil
}

func (j Job) mount(c *corev1.Container, writes bool) {
	for i, mount := range j.Mounts {
		if mount.Device {
			c.VolumeDevices = append(c.VolumeDevices, corev1.VolumeDevice{Name: volumeName(i), DevicePath: mount.Path})
			continue
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volumeName(i), MountPath: mount.Path, ReadOnly: !writes})
	}
}
