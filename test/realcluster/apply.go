// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// Apply creates the objects of a YAML text; %NAMESPACE% in it stands for the namespace. Those
// that live in none go when the test ends.
func (c *Cluster) Apply(t testing.TB, text string) {
	t.Helper()
	c.each(t, text, func(object *unstructured.Unstructured) { c.create(t, object, metav1.CreateOptions{}) })
}

// Takes asks the API server whether it would take the objects of a YAML text, and creates none.
func (c *Cluster) Takes(t testing.TB, text string) {
	t.Helper()
	c.each(t, text, func(object *unstructured.Unstructured) {
		c.create(t, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	})
}

func (c *Cluster) each(t testing.TB, text string, do func(*unstructured.Unstructured)) {
	t.Helper()
	text = strings.ReplaceAll(text, "%NAMESPACE%", c.Namespace)
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			do(object)
		}
	}
}

func (c *Cluster) create(t testing.TB, object *unstructured.Unstructured, options metav1.CreateOptions) {
	t.Helper()
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: kind.Group, Kind: kind.Kind}, kind.Version)
	if err != nil {
		t.Fatal(err)
	}
	resource := c.resource(mapping)
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		t.Cleanup(func() {
			_ = resource.Delete(context.WithoutCancel(t.Context()), object.GetName(), metav1.DeleteOptions{})
		})
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err = resource.Create(t.Context(), object, options)
		// A webhook that is only just up, or a namespace without its default account yet.
		passing := apierrors.IsInternalError(err) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "serviceaccount")
		if !passing || time.Now().After(deadline) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("create %s %s: %v", kind.Kind, object.GetName(), err)
	}
}

func (c *Cluster) resource(mapping *meta.RESTMapping) dynamic.ResourceInterface {
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource)
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(c.Namespace)
}
