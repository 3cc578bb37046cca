// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

var update = flag.Bool("update", false, "rewrite the expectations under testdata")

// manifests reads the objects of a YAML file.
func manifests(t *testing.T, path string) []runtime.Object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, object)
	}
}

// cases runs one test for each YAML file in a folder and compares what tell says of its
// objects with the .txt file beside it.
func cases(t *testing.T, folder string, tell func([]runtime.Object) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			got := tell(manifests(t, file))
			expectation := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(expectation, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expectation)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The Secret in testdata/workloads is always web-tls.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	cases(t, "testdata/workloads", func(objects []runtime.Object) string {
		var services []corev1.Service
		var budgets []policyv1.PodDisruptionBudget
		var text strings.Builder
		for _, object := range objects {
			switch o := object.(type) {
			case *corev1.Service:
				services = append(services, *o)
			case *policyv1.PodDisruptionBudget:
				budgets = append(budgets, *o)
			}
		}
		for _, object := range objects {
			switch o := object.(type) {
			case *appsv1.Deployment:
				describe(&text, fromDeployment(o), services, budgets)
			case *appsv1.StatefulSet:
				describe(&text, fromStatefulSet(o), services, budgets)
			case *appsv1.DaemonSet:
				describe(&text, fromDaemonSet(o), services, budgets)
			case *corev1.Pod:
				describe(&text, fromPod(o, "Pod", o.Name, o.UID), services, budgets)
			}
		}
		return text.String()
	})
}

func describe(text io.Writer, w *Workload, services []corev1.Service, budgets []policyv1.PodDisruptionBudget) {
	fmt.Fprintf(text, "%s: %d replicas, %d away\n", w, w.Replicas, w.Away)
	if w.Stuck != "" {
		fmt.Fprintf(text, "  stuck: %s\n", w.Stuck)
	}
	if w.Keeper != "" {
		fmt.Fprintf(text, "  keeper: %s\n", w.Keeper)
	}
	for _, use := range Uses(&w.Template.Spec, "web-tls") {
		fmt.Fprintf(text, "  use: %s by %s, keys %v, live %v, trust %v\n", use.Container, use.Way, use.Keys, use.Live(), use.Trust())
	}
	endpoints, served, err := Endpoints(&w.Template, "web-tls", services)
	fmt.Fprintf(text, "  endpoints: %v, served %v, error %v\n", endpoints, served, err)
	recipe, err := Reloading(&w.Template, "web-tls")
	if recipe != nil || err != nil {
		fmt.Fprintf(text, "  recipe: %+v, error %v\n", recipe, err)
	}
	for _, hazard := range Hazards(w, "web-tls", budgets) {
		fmt.Fprintf(text, "  hazard: %s\n", hazard)
	}
}

// The pods in a case of testdata/outcomes belong to the workload before them.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	cases(t, "testdata/outcomes", func(objects []runtime.Object) string {
		var text strings.Builder
		for _, object := range objects {
			switch o := object.(type) {
			case *appsv1.Deployment:
				fmt.Fprintf(&text, "%s: %+v\n", o.Name, deploymentOutcome(o))
			case *appsv1.StatefulSet:
				fmt.Fprintf(&text, "%s: %+v\n", o.Name, statefulSetOutcome(o))
			case *appsv1.DaemonSet:
				fmt.Fprintf(&text, "%s: %+v\n", o.Name, daemonSetOutcome(o))
			case *corev1.Pod:
				said, dead := ailment(o)
				fmt.Fprintf(&text, "%s: %q, dead %v\n", o.Name, said, dead)
			}
		}
		return text.String()
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want []string
	}{
		{"nginx -s reload", []string{"nginx", "-s", "reload"}},
		{`["psql", "-c", "select pg_reload_conf()"]`, []string{"psql", "-c", "select pg_reload_conf()"}},
		{`  ["kill", "-HUP", "1"]  `, []string{"kill", "-HUP", "1"}},
	} {
		if got, err := words(test.text); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("words(%q) = %q, %v, want %q", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "  ", "[]", `[""]`, `["a", 1]`, `["a"`, `psql -c "select 1"`, "kill -HUP $(cat pid)", "a && b", "a;b", `a\ b`} {
		if got, err := words(text); err == nil {
			t.Errorf("words(%q) = %q, want an error", text, got)
		}
	}
}
