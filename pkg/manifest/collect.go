// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// Limits of what is kept: of one object, and of all together.
const (
	maxObject = 256 << 10
	maxBundle = 2 << 20
)

// Format is the version of a bundle's form.
const Format = 1

// A Bundle is the objects of one namespace that belong to the data of some claims.
type Bundle struct {
	Format    int      `json:"format"`
	Namespace string   `json:"namespace"`
	Claims    []string `json:"claims"`
	// Objects are those to apply, in the order of their kinds and names.
	Objects []object `json:"objects"`
	// Secrets are the names of the Secrets that the objects refer to.
	Secrets []string `json:"secrets,omitempty"`
	// Withheld names the values that look like secrets; Missing what is not among the objects.
	Withheld []string `json:"withheld,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

// Encode returns the bundle as bytes that are the same for the same objects.
func (b *Bundle) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(b, "", " ")
	return append(text, '\n'), err
}

// Summary says of encoded bytes what a record says, all but where they lie.
func (b *Bundle) Summary(encoded []byte) release.Manifests {
	sum := sha256.Sum256(encoded)
	m := release.Manifests{
		Digest: "sha256:" + hex.EncodeToString(sum[:]), Bytes: int64(len(encoded)), Objects: []string{},
		Secrets: b.Secrets, Withheld: b.Withheld, Missing: b.Missing,
	}
	for _, o := range b.Objects {
		m.Objects = append(m.Objects, nameOf(o))
	}
	return m
}

func nameOf(o object) string {
	meta, _ := o["metadata"].(object)
	return fmt.Sprintf("%v %v", o["kind"], meta["name"])
}

// collecting is one run of Collect.
type collecting struct {
	cluster *kube.Cluster
	claims  []string
	bundle  *Bundle
	room    int
	// templates are the pod templates of the workloads that were found.
	templates []corev1.PodTemplateSpec
	secrets   map[string]bool
	configs   map[string]bool
	errs      []error
}

// Collect gathers the objects around the claims. What may not be read, or is not there, is in
// the error, and the others in the bundle; it is in the bundle's Missing too.
func Collect(ctx context.Context, cluster *kube.Cluster, claims []string) (*Bundle, error) {
	c := &collecting{
		cluster: cluster, claims: slices.Sorted(slices.Values(claims)), room: maxBundle, secrets: map[string]bool{}, configs: map[string]bool{},
	}
	c.bundle = &Bundle{Format: Format, Namespace: cluster.Namespace, Claims: c.claims, Objects: []object{}}
	c.workloads(ctx)
	c.pods(ctx)
	c.volumes(ctx)
	c.services(ctx)
	for _, name := range slices.Sorted(maps.Keys(c.configs)) {
		c.config(ctx, name)
	}
	slices.SortStableFunc(c.bundle.Objects, func(a, b object) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(nameOf(a), nameOf(b)))
	})
	c.bundle.Secrets = slices.Sorted(maps.Keys(c.secrets))
	return c.bundle, errors.Join(c.errs...)
}

// order is that in which objects are applied: what others need comes first.
func order(o object) int {
	kinds := []string{"ConfigMap", "PersistentVolumeClaim", "Service", "Deployment", "StatefulSet", "DaemonSet", "CronJob"}
	return slices.Index(kinds, fmt.Sprint(o["kind"]))
}

func (c *collecting) fail(ctx context.Context, verb, resource, name string, err error) {
	call := kube.Call{Verb: verb, Resource: resource, Namespace: c.cluster.Namespace, Name: name}
	c.errs = append(c.errs, c.cluster.Explain(ctx, call, err))
	what := resource
	if name != "" {
		what += " " + name
	}
	why := "could not be read"
	switch {
	case apierrors.IsForbidden(err):
		why = "this account may not " + verb + " them"
	case apierrors.IsNotFound(err):
		why = "it is not there"
	}
	c.miss("%s: %s", what, why)
}

func (c *collecting) miss(format string, args ...any) {
	c.bundle.Missing = append(c.bundle.Missing, fmt.Sprintf(format, args...))
}

// add keeps an object, cleaned.
func (c *collecting) add(apiVersion, kind string, of runtime.Object) {
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(of)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("keep a %s: %w", kind, err))
		return
	}
	o["apiVersion"], o["kind"] = apiVersion, kind
	bare(o)
	if binary, ok := o["binaryData"].(object); ok {
		for _, key := range slices.Sorted(maps.Keys(binary)) {
			c.miss("%s: binary content of %s", nameOf(o), key)
		}
		delete(o, "binaryData")
	}
	s := &scrub{of: nameOf(o)}
	s.object(o)
	text, err := json.Marshal(o)
	switch {
	case err != nil:
		c.errs = append(c.errs, fmt.Errorf("keep %s: %w", nameOf(o), err))
		return
	case len(text) > maxObject || len(text) > c.room:
		c.miss("%s: it has %d bytes, which is too much", nameOf(o), len(text))
		return
	}
	c.room -= len(text)
	c.bundle.Objects = append(c.bundle.Objects, o)
	c.bundle.Withheld = append(c.bundle.Withheld, s.withheld...)
	c.refer(o)
}

// refer notes the names of the Secrets and ConfigMaps that an object refers to.
func (c *collecting) refer(v any) {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			c.refer(child)
		}
	case object:
		for key, child := range v {
			switch name := referred(child); {
			case key == "secretName":
				note(c.secrets, child)
			case name != nil && secretRef.MatchString(key):
				note(c.secrets, name)
			case name != nil && configRef.MatchString(key):
				note(c.configs, name)
			}
			if list, ok := child.([]any); ok && key == "imagePullSecrets" {
				for _, one := range list {
					note(c.secrets, referred(one))
				}
			}
			c.refer(child)
		}
	}
}

var (
	secretRef = regexp.MustCompile(`^(secret|.*[sS]ecret(Key)?Ref)$`)
	configRef = regexp.MustCompile(`^configMap((Key)?Ref)?$`)
)

func referred(v any) any {
	if of, ok := v.(object); ok {
		return of["name"]
	}
	return nil
}

func note(into map[string]bool, name any) {
	if text, ok := name.(string); ok && text != "" {
		into[text] = true
	}
}

func (c *collecting) mounts(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && slices.Contains(c.claims, v.PersistentVolumeClaim.ClaimName)
	})
}

// services keeps those that lead to a workload.
func (c *collecting) services(ctx context.Context) {
	list, err := c.cluster.Core.CoreV1().Services(c.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		c.fail(ctx, "list", "services", "", err)
		return
	}
	for i := range list.Items {
		leads := func(t corev1.PodTemplateSpec) bool {
			return labels.SelectorFromSet(list.Items[i].Spec.Selector).Matches(labels.Set(t.Labels))
		}
		if len(list.Items[i].Spec.Selector) > 0 && slices.ContainsFunc(c.templates, leads) {
			c.add("v1", "Service", &list.Items[i])
		}
	}
}

func (c *collecting) config(ctx context.Context, name string) {
	config, err := c.cluster.Core.CoreV1().ConfigMaps(c.cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		c.fail(ctx, "get", "configmaps", name, err)
		return
	}
	c.add("v1", "ConfigMap", config)
}

func (c *collecting) volumes(ctx context.Context) {
	list, err := c.cluster.Core.CoreV1().PersistentVolumeClaims(c.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		c.fail(ctx, "list", "persistentvolumeclaims", "", err)
		return
	}
	for i := range list.Items {
		if slices.Contains(c.claims, list.Items[i].Name) {
			c.add("v1", "PersistentVolumeClaim", &list.Items[i])
		}
	}
}
