// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Way is how a container gets a Secret.
type Way string

// Ways.
const (
	// Volume: the kubelet brings a new content into the running container.
	Volume Way = "volume"
	// SubPath: the content is that of the container's start for ever (Kubernetes 50345).
	SubPath Way = "subPath"
	// Environment: the same.
	Environment Way = "environment"
)

// A Use is one way in which one container gets a Secret.
type Use struct {
	Container string
	Way       Way
	// Keys of the Secret that arrive; nil means all of them.
	Keys []string
}

// Live tells whether a running container sees a new content of the Secret.
func (u Use) Live() bool { return u.Way == Volume }

// Trust tells whether the container gets authorities alone (ca.crt and its keystore forms):
// it can serve nothing with them.
func (u Use) Trust() bool {
	for _, key := range u.Keys {
		if key != "ca.crt" && key != "truststore.p12" && key != "truststore.jks" {
			return false
		}
	}
	return u.Keys != nil
}

// Uses returns how the containers of a pod get the Secret, in the containers' order. Init
// containers count only when they keep running beside the others (restartPolicy Always): the
// rest has ended before the pod serves.
func Uses(pod *corev1.PodSpec, secret string) []Use {
	volumes := map[string][]string{}
	for i := range pod.Volumes {
		if keys, ok := volumeKeys(&pod.Volumes[i], secret); ok {
			volumes[pod.Volumes[i].Name] = keys
		}
	}
	var uses []Use
	for _, c := range running(pod) {
		uses = append(uses, containerUses(c, secret, volumes)...)
	}
	return uses
}

// running returns the containers that run while the pod serves.
func running(pod *corev1.PodSpec) []*corev1.Container {
	var all []*corev1.Container
	for i := range pod.InitContainers {
		c := &pod.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	for i := range pod.Containers {
		all = append(all, &pod.Containers[i])
	}
	return all
}

// volumeKeys returns which keys of the Secret a volume brings (nil: all), and whether any.
func volumeKeys(volume *corev1.Volume, secret string) ([]string, bool) {
	if s := volume.Secret; s != nil {
		return itemKeys(s.Items), s.SecretName == secret
	}
	if volume.Projected == nil {
		return nil, false
	}
	keys, found := []string{}, false
	for _, source := range volume.Projected.Sources {
		if source.Secret == nil || source.Secret.Name != secret {
			continue
		}
		found = true
		some := itemKeys(source.Secret.Items)
		if some == nil {
			return nil, true
		}
		keys = append(keys, some...)
	}
	return keys, found
}

func itemKeys(items []corev1.KeyToPath) []string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}

func containerUses(c *corev1.Container, secret string, volumes map[string][]string) []Use {
	var uses []Use
	for _, mount := range c.VolumeMounts {
		keys, ok := volumes[mount.Name]
		if !ok {
			continue
		}
		use := Use{Container: c.Name, Way: Volume, Keys: keys}
		if mount.SubPath != "" || mount.SubPathExpr != "" {
			use.Way = SubPath
			if keys == nil && mount.SubPath != "" {
				use.Keys = []string{mount.SubPath}
			}
		}
		uses = append(uses, use)
	}
	var variables []string
	for _, variable := range c.Env {
		if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil && from.SecretKeyRef.Name == secret {
			variables = append(variables, from.SecretKeyRef.Key)
		}
	}
	if len(variables) > 0 {
		uses = append(uses, Use{Container: c.Name, Way: Environment, Keys: variables})
	}
	if slices.ContainsFunc(c.EnvFrom, func(from corev1.EnvFromSource) bool {
		return from.SecretRef != nil && from.SecretRef.Name == secret
	}) {
		uses = append(uses, Use{Container: c.Name, Way: Environment})
	}
	return uses
}
