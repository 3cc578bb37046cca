// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/step"
)

// checked is what Tekton's webhook does with an object before it is stored.
type checked interface {
	metav1.Object
	SetDefaults(ctx context.Context)
	Validate(ctx context.Context) *apis.FieldError
}

func kindOf(name string) checked {
	return map[string]checked{
		"Task": &pipeline.Task{}, "TaskRun": &pipeline.TaskRun{}, "StepAction": &v1beta1.StepAction{},
		"Pipeline": &pipeline.Pipeline{}, "PipelineRun": &pipeline.PipelineRun{},
	}[name]
}

// documents returns the objects of a file, strictly parsed by the type of their kind.
func documents(t *testing.T, path string) []checked {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []checked
	for text := range bytes.SplitSeq(data, []byte("\n---\n")) {
		var about metav1.TypeMeta
		if err := yaml.Unmarshal(text, &about); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		object := kindOf(about.Kind)
		if object == nil {
			continue // header, RBAC
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		all = append(all, object)
	}
	return all
}

// TestTektonsOwnTypesAcceptEveryFile parses each file strictly and asks Tekton's Go types.
func TestTektonsOwnTypesAcceptEveryFile(t *testing.T) {
	t.Parallel()
	count := 0
	for _, pattern := range []string{"tekton/*/*/*.yaml", "tekton/*/*/samples/*.yaml", "tekton/*/*/tests/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			for _, object := range documents(t, path) {
				count++
				if object.GetName() == "" { // the API server makes a name
					object.SetName(object.GetGenerateName() + "x")
				}
				object.SetDefaults(t.Context())
				if err := object.Validate(t.Context()); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				tidy(t, path, object)
			}
		}
	}
	steps := 0
	for _, spec := range specs() {
		if spec.Has(step.Tekton) {
			steps++
		}
	}
	if count != 5*steps+2 {
		t.Errorf("%d objects, want a Task, its test, a StepAction and two samples for each of %d steps, and a Pipeline with its own", count, steps)
	}
}

// tidy holds an object to the rules of the house: no script, nothing interpolated into what is
// run, nothing without a description, all restricted.
func tidy(t *testing.T, path string, object checked) {
	t.Helper()
	switch o := object.(type) {
	case *pipeline.Task:
		if strings.Contains(path, "samples") {
			return
		}
		for _, one := range o.Spec.Steps {
			still(t, path, one.Script, append(one.Command, one.Args...))
			if s := one.SecurityContext; s == nil || !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation {
				t.Errorf("%s: step %s is not restricted", path, one.Name)
			}
		}
		described(t, path, o.Spec.Params)
		for _, result := range o.Spec.Results {
			if result.Description == "" {
				t.Errorf("%s: result %s is not described", path, result.Name)
			}
		}
	case *v1beta1.StepAction:
		still(t, path, o.Spec.Script, append(o.Spec.Command, o.Spec.Args...))
		described(t, path, o.Spec.Params)
	case *pipeline.Pipeline:
		described(t, path, o.Spec.Params)
	}
}

func still(t *testing.T, path, script string, words []string) {
	t.Helper()
	if script != "" || slices.ContainsFunc(words, func(word string) bool { return strings.Contains(word, "$(") }) {
		t.Errorf("%s: a script, or a value of outside in the command: %q %q", path, script, words)
	}
}

func described(t *testing.T, path string, params pipeline.ParamSpecs) {
	t.Helper()
	for _, p := range params {
		if p.Description == "" || strings.Contains(p.Name, "token") && !strings.HasPrefix(p.Name, "token-") {
			t.Errorf("%s: param %s is not described, or is a secret itself", path, p.Name)
		}
	}
}

// TestTheTwinsAreTheSame compares each StepAction with its Task.
func TestTheTwinsAreTheSame(t *testing.T) {
	t.Parallel()
	for _, spec := range specs() {
		if !spec.Has(step.Tekton) {
			continue
		}
		name := "knowngood-" + spec.ID()
		task := documents(t, filepath.Join(root, "tekton/task", name, name+".yaml"))[0].(*pipeline.Task).Spec
		twin := documents(t, filepath.Join(root, "tekton/stepaction", name, name+".yaml"))[0].(*v1beta1.StepAction).Spec
		want, got := task.Params.GetNames(), twin.Params.GetNames()
		for _, workspace := range task.Workspaces {
			want = append(want, workspace.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: params (-task +step action):\n%s", name, diff)
		}
		one := task.Steps[0]
		if diff := cmp.Diff(append(one.Command, one.Args...), append(twin.Command, twin.Args...)); diff != "" {
			t.Errorf("%s: command (-task +step action):\n%s", name, diff)
		}
		if len(one.Env) != len(twin.Env) || len(task.Results) != len(twin.Results) {
			t.Errorf("%s: %d and %d variables, %d and %d results", name, len(one.Env), len(twin.Env), len(task.Results), len(twin.Results))
		}
	}
}

// TestResultsThatAreNamedAreDeclared holds every mention of a result to what the file, or the
// StepAction that it refers to, declares: Tekton leaves the variable of another as it stands.
func TestResultsThatAreNamedAreDeclared(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`\$\((?:step\.)?results\.([a-z-]+)\.path\)|\$\(steps\.[a-z-]+\.results\.([a-z-]+)\)`)
	for _, spec := range specs() {
		if !spec.Has(step.Tekton) {
			continue
		}
		for _, kind := range []string{"task", "stepaction"} {
			folder := filepath.Join(root, "tekton", kind, "knowngood-"+spec.ID())
			for _, path := range []string{filepath.Join(folder, "knowngood-"+spec.ID()+".yaml"), filepath.Join(folder, "samples/run.yaml")} {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				found := named.FindAllStringSubmatch(string(text), -1)
				if len(found) == 0 && filepath.Base(path) != "run.yaml" {
					t.Errorf("%s names no result", path)
				}
				for _, of := range found {
					if !slices.ContainsFunc(spec.Outputs, func(out step.Output) bool { return out.Name == of[1]+of[2] }) {
						t.Errorf("%s names the result %s, which is not declared", path, of[1]+of[2])
					}
				}
			}
		}
	}
}

// TestRolesAreWhatStepsDeclare compares the rules with the declarations, both ways.
func TestRolesAreWhatStepsDeclare(t *testing.T) {
	t.Parallel()
	for _, spec := range specs() {
		if !spec.Has(step.Tekton) {
			continue
		}
		folder := filepath.Join(root, "tekton/task", "knowngood-"+spec.ID())
		roles := map[string][]step.Need{"rbac.yaml": spec.Needs}
		for _, extra := range spec.Extras {
			roles[extra.Name+"/rbac.yaml"] = extra.Needs
		}
		for name, needs := range roles {
			if diff := cmp.Diff(declared(needs), granted(t, filepath.Join(folder, name))); diff != "" {
				t.Errorf("%s, %s (-declared +granted):\n%s", spec.Name, name, diff)
			}
		}
	}
}

func declared(needs []step.Need) []string {
	var all []string
	for _, need := range needs {
		for _, verb := range need.Verbs {
			for _, resource := range need.Resources {
				all = append(all, fmt.Sprintf("%v %s %s/%s", need.Cluster, verb, need.Group, resource))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func granted(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for text := range bytes.SplitSeq(data, []byte("\n---\n")) {
		var role struct {
			Kind  string
			Rules []rbacv1.PolicyRule
		}
		if err := yaml.Unmarshal(text, &role); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					all = append(all, fmt.Sprintf("%v %s %s/%s", role.Kind == "ClusterRole", verb, rule.APIGroups[0], resource))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
