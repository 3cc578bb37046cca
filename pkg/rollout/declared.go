// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Annotations on pod templates (or on pods that have none) by which a workload tells how it
// is to be treated.
const (
	// AnnotationReload is the command that makes the running server read its certificate
	// anew: a JSON array of arguments, or words separated by spaces. No shell reads it.
	AnnotationReload = "knowngood.dev/reload"
	// AnnotationReloadContainer names the container in which it runs; without it, the only
	// one that gets the Secret.
	AnnotationReloadContainer = "knowngood.dev/reload-container"
	// AnnotationTLSPort lists the ports that serve the certificate: numbers or names, each
	// with "/postgresql" where PostgreSQL is spoken, separated by commas; or "none" where
	// nothing is served with it (a client's certificate).
	AnnotationTLSPort = "knowngood.dev/tls-port"
)

// noPort is the value of AnnotationTLSPort that says that nothing is served.
const noPort = "none"

// Protocols that an endpoint may name.
const (
	protocolTLS        = "tls"
	protocolPostgreSQL = "postgresql"
)

// An Endpoint is a port of each pod of a workload.
type Endpoint struct {
	Port     int
	Protocol string // "tls" or "postgresql"
	// Declared is true when the workload itself says that the certificate is served there;
	// otherwise the port is one that may serve it.
	Declared bool
}

// Endpoints returns where the pods may serve the Secret, lowest port first. Without the
// annotation these are the TCP ports that the containers declare which get the Secret, and
// the ports to which services send. served is false when the workload says that it serves
// nothing.
func Endpoints(template *corev1.PodTemplateSpec, secret string, services []corev1.Service) (all []Endpoint, served bool, err error) {
	if text, ok := template.Annotations[AnnotationTLSPort]; ok {
		if strings.TrimSpace(text) == noPort {
			return nil, false, nil
		}
		all, err = declared(&template.Spec, text)
		return all, true, err
	}
	for _, use := range Uses(&template.Spec, secret) {
		if use.Trust() {
			continue
		}
		for _, c := range running(&template.Spec) {
			if c.Name == use.Container {
				all = append(all, containerEndpoints(c)...)
			}
		}
	}
	for i := range services {
		if selects(&services[i], template.Labels) {
			all = append(all, serviceEndpoints(&services[i], &template.Spec)...)
		}
	}
	// Where two sources name a port, a guess that it speaks PostgreSQL has more to go by.
	slices.SortFunc(all, func(a, b Endpoint) int {
		return cmp.Or(a.Port-b.Port, strings.Compare(a.Protocol, b.Protocol))
	})
	return slices.CompactFunc(all, func(a, b Endpoint) bool { return a.Port == b.Port }), true, nil
}

func declared(pod *corev1.PodSpec, text string) ([]Endpoint, error) {
	var all []Endpoint
	for part := range strings.SplitSeq(text, ",") {
		name, protocol, _ := strings.Cut(strings.TrimSpace(part), "/")
		switch protocol {
		case "":
			protocol = protocolTLS
		case protocolTLS, protocolPostgreSQL:
		default:
			return nil, fmt.Errorf("annotation %s: protocol %q of %q: want %s or %s",
				AnnotationTLSPort, protocol, part, protocolTLS, protocolPostgreSQL)
		}
		port, err := strconv.Atoi(name)
		if err != nil {
			port = namedPort(pod, name)
		}
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("annotation %s: %q is neither a port nor the name of one of the pod's ports", AnnotationTLSPort, name)
		}
		all = append(all, Endpoint{port, protocol, true})
	}
	return all, nil
}

// namedPort returns the number of a container's port, 0 when there is none of that name.
func namedPort(pod *corev1.PodSpec, name string) int {
	for _, c := range running(pod) {
		for _, port := range c.Ports {
			if port.Name == name && port.Name != "" {
				return int(port.ContainerPort)
			}
		}
	}
	return 0
}

func containerEndpoints(c *corev1.Container) []Endpoint {
	var all []Endpoint
	for _, port := range c.Ports {
		if port.Protocol == "" || port.Protocol == corev1.ProtocolTCP {
			all = append(all, Endpoint{Port: int(port.ContainerPort), Protocol: guess(int(port.ContainerPort), port.Name)})
		}
	}
	return all
}

func serviceEndpoints(service *corev1.Service, pod *corev1.PodSpec) []Endpoint {
	var all []Endpoint
	for _, port := range service.Spec.Ports {
		if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
			continue
		}
		number := port.TargetPort.IntValue()
		if port.TargetPort.StrVal != "" {
			number = namedPort(pod, port.TargetPort.StrVal)
		}
		if number == 0 && port.TargetPort.StrVal == "" {
			number = int(port.Port) // an absent targetPort means the port itself
		}
		if number > 0 {
			all = append(all, Endpoint{Port: number, Protocol: guess(number, port.Name)})
		}
	}
	return all
}

// guess returns the protocol that a port most likely speaks.
func guess(port int, name string) string {
	if port == 5432 || strings.Contains(name, "postgres") || strings.Contains(name, "pgsql") {
		return protocolPostgreSQL
	}
	return protocolTLS
}

// selects tells whether a service sends to pods with the labels.
func selects(service *corev1.Service, labels map[string]string) bool {
	for key, value := range service.Spec.Selector {
		if labels[key] != value {
			return false
		}
	}
	return len(service.Spec.Selector) > 0
}

// A Recipe is how a running server is made to read its certificate anew.
type Recipe struct {
	Container string
	Command   []string
}

// Reloading returns the workload's recipe for the Secret, nil when it has none. It is an error
// when the command cannot be read, when the container is not clear, or when the container gets
// the Secret in a way that never changes while it runs.
func Reloading(template *corev1.PodTemplateSpec, secret string) (*Recipe, error) {
	text, ok := template.Annotations[AnnotationReload]
	if !ok {
		return nil, nil
	}
	command, err := words(text)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", AnnotationReload, err)
	}
	var users []string
	for _, use := range Uses(&template.Spec, secret) {
		switch {
		case use.Trust():
		case !use.Live():
			return nil, fmt.Errorf("annotation %s: container %s gets Secret %s by %s, which never changes while it runs: mount it as a volume without subPath, or remove the annotation",
				AnnotationReload, use.Container, secret, use.Way)
		case !slices.Contains(users, use.Container):
			users = append(users, use.Container)
		}
	}
	container := template.Annotations[AnnotationReloadContainer]
	switch {
	case container == "" && len(users) == 1:
		container = users[0]
	case container == "":
		return nil, fmt.Errorf("annotation %s: %d containers get Secret %s: name one in %s",
			AnnotationReload, len(users), secret, AnnotationReloadContainer)
	case !slices.ContainsFunc(running(&template.Spec), func(c *corev1.Container) bool { return c.Name == container }):
		return nil, fmt.Errorf("annotation %s: the pod has no container %q", AnnotationReloadContainer, container)
	}
	return &Recipe{container, command}, nil
}

// words reads a command: a JSON array, or words at spaces. Quotes outside of JSON are refused
// rather than taken for part of a word.
func words(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	var command []string
	switch {
	case strings.HasPrefix(text, "["):
		if err := json.Unmarshal([]byte(text), &command); err != nil {
			return nil, fmt.Errorf("%q is no JSON array of strings: %w", text, err)
		}
	case strings.ContainsAny(text, `"'`+"`\\$|&;<>"):
		return nil, fmt.Errorf("%q: no shell reads the command: write it as a JSON array, e.g. [\"sh\", \"-c\", \"…\"]", text)
	default:
		command = strings.Fields(text)
	}
	if len(command) == 0 || command[0] == "" {
		return nil, fmt.Errorf("%q holds no command", text)
	}
	return command, nil
}
