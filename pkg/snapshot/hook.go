// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// Annotations of pods that say how to quiesce them.
const (
	// AnnotationHold names the recipe of a held hook: "postgresql".
	AnnotationHold = "knowngood.dev/hold"
	// AnnotationHoldContainer names its container; needed when the pod has several.
	AnnotationHoldContainer = "knowngood.dev/hold-container"
	// AnnotationHoldUser names the database's user, where its own defaults do not fit.
	AnnotationHoldUser = "knowngood.dev/hold-user"
	// AnnotationHoldTimeout is how long the pod may be quiesced, e.g. "90s". When it is over
	// the pod is thawed whether its claims are cut or not.
	AnnotationHoldTimeout = "knowngood.dev/hold-timeout"
	// AnnotationHooks with the value "skip" passes over all hooks of the pod.
	AnnotationHooks = "knowngood.dev/hooks"
)

// Limits of AnnotationHoldTimeout.
const (
	defaultHold = 60 * time.Second
	longestHold = 10 * time.Minute
)

// A hook is what will be done to one pod around the cut.
type hook struct {
	pod    *corev1.Pod
	claims []*target // those of its claims that will be cut now
	// hold is how long it may be quiesced.
	hold time.Duration
	// exactly one of these is set
	held *recipe
	pair *pair
}

// A recipe is a held hook that this package knows how to run.
type recipe struct {
	container string
	user      string // "" leaves it to the container
}

// planHooks reads the hooks of the pods that mount what will be cut. Mistakes in them are
// errors of configuration, found before anything is touched.
func (t *taking) planHooks(pods []corev1.Pod) error {
	t.unhooked = map[string][]string{}
	for i := range pods {
		pod := &pods[i]
		claims := t.cutFor(pod)
		if len(claims) == 0 {
			continue
		}
		h, err := t.planHook(pod)
		if err != nil {
			return fmt.Errorf("hooks of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if h == nil {
			if pod.Status.Phase == corev1.PodRunning || pod.Status.Phase == corev1.PodPending {
				for _, claim := range claims {
					t.unhooked[claim.claim.Name] = append(t.unhooked[claim.claim.Name], pod.Name)
				}
			}
			continue
		}
		h.claims = claims
		t.hooks = append(t.hooks, *h)
	}
	for i := range t.hooks {
		for _, target := range t.hooks[i].claims {
			target.record.Consistency = release.ConsistencyUnproven
		}
	}
	return nil
}

// cutFor returns the targets that the pod mounts and that are to be cut.
func (t *taking) cutFor(pod *corev1.Pod) []*target {
	mounted := podClaims(pod)
	var claims []*target
	for _, target := range t.targets {
		if _, ok := mounted[target.claim.Name]; ok && target.fresh() {
			claims = append(claims, target)
		}
	}
	return claims
}

// planHook returns the hook of a pod, or nil when it has none.
func (t *taking) planHook(pod *corev1.Pod) (*hook, error) {
	recipeName, held := pod.Annotations[AnnotationHold]
	velero := hasVelero(pod)
	switch skip := pod.Annotations[AnnotationHooks]; {
	case !held && !velero:
		return nil, nil //nolint:nilnil // no hook is no error
	case skip == "skip":
		t.skip("hooks of pod %s: its annotation %s says skip", pod.Name, AnnotationHooks)
		return nil, nil //nolint:nilnil // no hook is no error
	case skip != "":
		return nil, fault.Usagef("annotation %s is %q: want skip", AnnotationHooks, kube.OneLine(skip))
	case pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning:
		t.skip("hooks of pod %s: it does not run (%s)", pod.Name, cmp.Or(string(pod.Status.Phase), "unknown"))
		return nil, nil //nolint:nilnil // no hook is no error
	}
	hold, err := holdTimeout(pod)
	if err != nil {
		return nil, err
	}
	h := &hook{pod: pod, hold: hold}
	if !held {
		h.pair, err = readPair(pod)
		return h, err
	}
	if velero {
		t.skip("velero's annotations on pod %s: %s is there too and comes first", pod.Name, AnnotationHold)
	}
	if recipeName != "postgresql" {
		return nil, fault.Usagef("annotation %s is %q: the one recipe is postgresql", AnnotationHold, kube.OneLine(recipeName))
	}
	container, err := pickContainer(pod, pod.Annotations[AnnotationHoldContainer], "")
	if err != nil {
		return nil, err
	}
	h.held = &recipe{container: container.Name, user: cmp.Or(pod.Annotations[AnnotationHoldUser], literal(container, "POSTGRES_USER"))}
	return h, nil
}

func holdTimeout(pod *corev1.Pod) (time.Duration, error) {
	text, given := pod.Annotations[AnnotationHoldTimeout]
	if !given {
		return defaultHold, nil
	}
	hold, err := time.ParseDuration(text)
	if err != nil || hold <= 0 || hold > longestHold {
		return 0, fault.Usagef("annotation %s is %q: want a length of time up to %s, e.g. 90s", AnnotationHoldTimeout, kube.OneLine(text), longestHold)
	}
	return hold, nil
}

// pickContainer returns the container that is named, else the only one, else the one that
// otherwise names ("" leaves no choice). It must run.
func pickContainer(pod *corev1.Pod, named, otherwise string) (*corev1.Container, error) {
	var names []string
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Name)
	}
	if named == "" && len(names) == 1 {
		named = names[0]
	}
	if named == "" {
		named = otherwise
	}
	at := slices.Index(names, named)
	switch {
	case named == "":
		return nil, fault.Usagef("no container is named and the pod has several: %s", strings.Join(names, ", "))
	case at < 0:
		return nil, fault.Usagef("there is no container %q: the pod has %s", kube.OneLine(named), strings.Join(names, ", "))
	}
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == named && status.State.Running != nil {
			return &pod.Spec.Containers[at], nil
		}
	}
	return nil, fault.Exit(fault.Failed, fmt.Errorf("container %s does not run", named))
}

// literal returns a variable that the pod's spec gives in clear.
func literal(container *corev1.Container, name string) string {
	for _, variable := range container.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}
