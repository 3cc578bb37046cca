// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/manifest"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// planted is in every secret of the test's objects.
const planted = "pl4nted"

// shop reads the objects of testdata/shop.yaml.
func shop(t *testing.T) *fakecluster.Cluster {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "shop.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var head struct{ Kind string }
		if err := yaml.Unmarshal(document, &head); err != nil {
			t.Fatal(err)
		}
		object, ok := map[string]runtime.Object{
			"StatefulSet": &appsv1.StatefulSet{}, "Deployment": &appsv1.Deployment{}, "Service": &corev1.Service{},
			"ConfigMap": &corev1.ConfigMap{}, "PersistentVolumeClaim": &corev1.PersistentVolumeClaim{}, "Secret": &corev1.Secret{}, "Pod": &corev1.Pod{},
		}[head.Kind]
		if !ok {
			t.Fatalf("kind %q", head.Kind)
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return fakecluster.New(t, "shop", objects...)
}

func collect(t *testing.T, c *kube.Cluster) (*manifest.Bundle, []byte) {
	t.Helper()
	b, err := manifest.Collect(t.Context(), c, []string{"data-db-0"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b, text
}

// The objects are those around the claim, as their owner wrote them, and no secret is in them.
func TestCollect(t *testing.T) {
	t.Parallel()
	c := shop(t)
	b, text := collect(t, c.Cluster)
	if at := bytes.Index(text, []byte(planted)); at >= 0 {
		t.Errorf("a secret got through: %s", text[max(0, at-200):at+20])
	}
	if leaked := bytes.Index(text, []byte("cGw0bnRlZ")); leaked >= 0 {
		t.Error("a Secret's data got through")
	}
	want := []string{"ConfigMap db-config", "ConfigMap db-env", "PersistentVolumeClaim data-db-0", "Service db", "StatefulSet db"}
	got := b.Summary(text)
	if diff := cmp.Diff(want, got.Objects); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"db-password", "db-tls", "env-secret", "pull"}, got.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	for _, gone := range []string{"managedFields", "resourceVersion", `"uid"`, `"status"`, "creationTimestamp", "last-applied", "ownerReferences", "10.0.0.7", "pv-old"} {
		if bytes.Contains(text, []byte(gone)) {
			t.Errorf("%s was kept", gone)
		}
	}
	for _, kept := range []string{"max_connections = 100", "PGDATA", "/data/pg", "listen_addresses=*", "initdb --auth=trust", "knowngood.dev/hold", "MIIBplain", "/run/secrets/password", "registry.example/db@sha256:"} {
		if !bytes.Contains(text, []byte(kept)) {
			t.Errorf("%s was not kept:\n%s", kept, text)
		}
	}
	if _, again := collect(t, c.Cluster); !bytes.Equal(text, again) {
		t.Error("collected again, the bytes differ")
	}
	checkFiles(t, text, b)
}

func checkFiles(t *testing.T, text []byte, b *manifest.Bundle) {
	t.Helper()
	read, err := manifest.Decode(text, b.Summary(text))
	if err != nil {
		t.Fatal(err)
	}
	files, err := read.Files("")
	if err != nil || len(files) != 5 || files[4].Name != "05-statefulset-db.yaml" {
		t.Fatalf("files %v, %v", files, err)
	}
	var set appsv1.StatefulSet
	if err := yaml.UnmarshalStrict(files[4].Text, &set); err != nil || set.Name != "db" || *set.Spec.Replicas != 1 {
		t.Errorf("the StatefulSet reads as %+v, %v", set, err)
	}
	inPlace := set.Namespace
	if files, err = read.Files("elsewhere"); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		var one metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(file.Text, &one); err != nil || one.Namespace != "elsewhere" {
			t.Errorf("%s is in namespace %q, %v", file.Name, one.Namespace, err)
		}
	}
	if again, err := read.Files(""); err != nil || inPlace == "" || !bytes.Contains(again[4].Text, []byte("namespace: "+inPlace+"\n")) {
		t.Errorf("as it was, in namespace %q: %v", inPlace, err)
	}
	other := b.Summary(text)
	other.Digest = "sha256:0"
	if _, err := manifest.Decode(text, other); err == nil {
		t.Error("bytes that are not the record's were read")
	}
}

// What may not be read is said, and the rest is kept.
func TestForbidden(t *testing.T) {
	t.Parallel()
	c := shop(t)
	for resource, verb := range map[string]string{"services": "list", "configmaps": "get", "cronjobs": "list"} {
		c.CoreFake.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no rule"))
		})
	}
	b, err := manifest.Collect(t.Context(), c.Cluster, []string{"data-db-0"})
	if !errors.Is(err, kube.ErrForbidden) || len(b.Objects) != 2 {
		t.Errorf("error %v, objects %v", err, b.Objects)
	}
	for _, want := range []string{"services: this account may not list them", "configmaps db-env: this account may not get them", "batch/cronjobs: this account may not list them"} {
		if !slices.Contains(b.Missing, want) {
			t.Errorf("missing %q does not say %q", b.Missing, want)
		}
	}
}

func TestTooMuch(t *testing.T) {
	t.Parallel()
	c := shop(t)
	config, err := c.Core.CoreV1().ConfigMaps("shop").Get(t.Context(), "db-config", metav1Get)
	if err != nil {
		t.Fatal(err)
	}
	config.Data["large"] = strings.Repeat("x ", 200<<10)
	if _, err = c.Core.CoreV1().ConfigMaps("shop").Update(t.Context(), config, metav1Update); err != nil {
		t.Fatal(err)
	}
	b, text := collect(t, c.Cluster)
	if len(text) > 100<<10 || !strings.Contains(strings.Join(b.Missing, "\n"), "ConfigMap db-config: it has ") {
		t.Errorf("%d bytes, missing %q", len(text), b.Missing)
	}
}

// No secret of any form gets through in any place where people put them.
func FuzzCollect(f *testing.F) {
	for _, value := range []string{"hunter2", "--password=x", "postgres://u:p@h/d", "", "{\"password\":\"x\"}", "\x00\xff"} {
		f.Add("DB_PASSWORD", value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		c := fakecluster.New(t, "shop", &appsv1.Deployment{
			ObjectMeta: metaOf("web", map[string]string{name: value}),
			Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "web", Args: []string{"--" + name, value}, Env: []corev1.EnvVar{{Name: name, Value: value}, {Name: "PASSWORD", Value: planted + value}}}},
				Volumes:    []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}},
			}}},
		})
		b, err := manifest.Collect(t.Context(), c.Cluster, []string{"data"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := b.Encode()
		if err != nil || !json.Valid(text) {
			t.Fatalf("%v: %s", err, text)
		}
		if !strings.Contains(name+value, planted) && bytes.Contains(text, []byte(planted)) {
			t.Errorf("a password got through: %s", text)
		}
	})
}
