// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// image is knowngood's own, and published what the files name instead.
const image = "knowngood.test/knowngood:test"

var published = regexp.MustCompile(`ghcr\.io/knowngood/knowngood:\S+`)

// values replace those of a sample.
func (s stranger) values(commit string, pull int, more map[string]string) map[string]string {
	values := map[string]string{
		"commit": string(s.Commits[commit]), "pull-request": fmt.Sprint(pull), "image": image,
		"github-api-url": "https://github." + s.github() + ".svc", "timeout": "2m",
	}
	maps.Copy(values, more)
	return values
}

func replaced(params pipeline.Params, values map[string]string) pipeline.Params {
	params = slices.DeleteFunc(params, func(p pipeline.Param) bool { return values[p.Name] != "" })
	for name, value := range values {
		params = append(params, pipeline.Param{Name: name, Value: *pipeline.NewStructuredValues(value)})
	}
	return params
}

// authorities is the workspace by which the fake GitHub is trusted.
func authorities() pipeline.WorkspaceBinding {
	return pipeline.WorkspaceBinding{
		Name: "ssl-ca-directory", ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "authorities"}},
	}
}

func (s stranger) sample(into any, folder string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Root, "tekton", folder, "samples", "run.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		s.t.Fatal(err)
	}
}

// create makes the object and returns the name that it got.
func (s stranger) create(object any) string {
	s.t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "run.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.kubernetes("create", "-f", path, "-o", "jsonpath={.metadata.name}")
}

// release starts the sample's PipelineRun, on one of the checkouts.
func (s stranger) release(checkout string, values map[string]string) string {
	s.t.Helper()
	var run pipeline.PipelineRun
	s.sample(&run, "pipeline/knowngood-release")
	run.Spec.Params = replaced(run.Spec.Params, values)
	run.Spec.Workspaces[0].SubPath = checkout
	run.Spec.Workspaces = append(run.Spec.Workspaces, authorities())
	return s.create(run)
}

// task starts the TaskRun of a step's sample.
func (s stranger) task(step string, values map[string]string) string {
	s.t.Helper()
	var run pipeline.TaskRun
	s.sample(&run, "task/knowngood-"+step)
	run.Spec.Params = replaced(run.Spec.Params, values)
	run.Spec.Workspaces = append(run.Spec.Workspaces, authorities())
	return s.create(run)
}

// A told is a PipelineRun at its end, with its TaskRuns by the name of their task.
type told struct {
	pipeline.PipelineRun
	tasks map[string]pipeline.TaskRun
}

func (s stranger) await(name string) told {
	s.t.Helper()
	began := time.Now()
	if _, err := s.Kubernetes(s.t.Context(), "wait", "--for=jsonpath={.status.completionTime}", "pipelinerun/"+name, "--timeout=5m"); err != nil {
		s.t.Fatalf("%v\n%s", err, s.kubernetes("get", "taskruns,pods", "-o", "wide"))
	}
	var end told
	s.get(&end.PipelineRun, "get", "pipelinerun", name, "-o", "json")
	var list pipeline.TaskRunList
	s.get(&list, "get", "taskruns", "-l", "tekton.dev/pipelineRun="+name, "-o", "json")
	end.tasks = map[string]pipeline.TaskRun{}
	for _, run := range list.Items {
		end.tasks[run.Labels["tekton.dev/pipelineTask"]] = run
	}
	s.t.Logf("%s took %.1f s: %s", name, time.Since(began).Seconds(), end.Status.GetCondition("Succeeded").GetMessage())
	return end
}

// results of a TaskRun, as text.
func results(run pipeline.TaskRun) map[string]string {
	all := map[string]string{}
	for _, result := range run.Status.Results {
		all[result.Name] = result.Value.StringVal
		if result.Value.Type == pipeline.ParamTypeObject {
			all[result.Name] = fmt.Sprint(result.Value.ObjectVal)
		}
	}
	return all
}

// logs of a TaskRun's pod, for a test that failed.
func (s stranger) logs(run pipeline.TaskRun) string {
	text, err := s.Kubernetes(s.t.Context(), "logs", run.Status.PodName, "--all-containers", "--tail=40")
	return fmt.Sprint(text, err)
}
