// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/knowngood/knowngood/pkg/step"
)

// A trial is how a step's Task is tried on a cluster that has nothing of ours but the Tasks: what
// it brings, what runs before it, and which result tells that it did its work.
type trial struct {
	brings []any
	before []string
	given  map[string]string
	result string
	want   string // "" for anything but nothing
}

// trialLabel marks what the trials bring and select.
const trialLabel = "knowngood.dev/test"

func trialOf(id string) trial {
	selector := trialLabel + "=" + id
	return map[string]trial{
		"gate":     {brings: []any{aScan(id)}, result: "decision", want: "pass", given: map[string]string{"sarif": "*.sarif"}},
		"snapshot": {before: []string{"deploy-start"}, result: "snapshots", given: map[string]string{"claims": selector}},
		"restore":  {before: []string{"deploy-start", "snapshot"}, result: "claims", given: map[string]string{"claims": selector}},
		"prune":    {before: []string{"deploy-start", "snapshot"}, result: "plan", given: map[string]string{"claims": selector, "volume-snapshots": "true"}},
		"rotate-prepare": {
			brings: aCertificate(id), result: "rotated", want: "knowngood-test-" + id,
			given: map[string]string{"certificates": selector, "when": "always"},
		},
		"deploy-start":  {result: artifactDigest},
		"deploy-finish": {before: []string{"deploy-start"}, result: artifactDigest, given: map[string]string{"outcome": "success"}},
		"rotate-prove": {
			brings: aCertificate(id), before: []string{"rotate-prepare"}, result: artifactDigest,
			given: map[string]string{"certificates": selector, "when": "always"},
		},
		"report": {before: []string{"deploy-start"}, result: artifactDigest, given: map[string]string{
			"comment": "never", "check": "false", "status": "false", "deployments": "never",
		}},
	}[id]
}

// about is the metadata of what a trial brings.
func about(id string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: "knowngood-test-" + id, Labels: map[string]string{trialLabel: id}}
}

// aScan is a checkout with a scan that finds nothing.
func aScan(id string) any {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: about(id),
		Data: map[string]string{"clean.sarif": `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "test"}}, ` +
			`"invocations": [{"executionSuccessful": true}], "results": []}]}` + "\n"},
	}
}

// aCertificate is one that nobody serves, of an issuer of its own.
func aCertificate(id string) []any {
	return []any{
		map[string]any{
			"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": about(id), "spec": map[string]any{"selfSigned": map[string]any{}},
		},
		map[string]any{
			"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": about(id), "spec": map[string]any{
				"secretName": about(id).Name, "dnsNames": []string{"test.example.org"}, "issuerRef": map[string]any{"name": about(id).Name},
			},
		},
	}
}

// TaskTest returns what a step's Task is tried with: a PipelineRun, which fails where the Task
// does, or where its result is another than is expected.
func TaskTest(spec step.Spec, specs []step.Spec, config Config) ([]string, error) {
	try := trialOf(spec.ID())
	if try.result == "" {
		return nil, fmt.Errorf("step %s has the Tekton face, and nobody says how its Task is tried", spec.ID())
	}
	run := &pipeline.PipelineRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-" + spec.ID() + "-"},
		Spec: pipeline.PipelineRunSpec{
			PipelineSpec:    &pipeline.PipelineSpec{Params: pipeline.ParamSpecs{param("image", "The image with the program.", config.Image)}},
			TaskRunTemplate: pipeline.PipelineTaskRunTemplate{PodTemplate: template()},
			Workspaces:      []pipeline.WorkspaceBinding{{Name: "records", EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
	}
	if len(try.before) > 0 {
		run.Spec.Workspaces[0] = aClaim(spec.ID())
	}
	for _, before := range try.before {
		i := slices.IndexFunc(specs, func(s step.Spec) bool { return s.ID() == before })
		try.add(run, specs[i])
	}
	if slices.ContainsFunc(try.brings, func(o any) bool { _, is := o.(*corev1.ConfigMap); return is }) {
		run.Spec.Workspaces = append(run.Spec.Workspaces, pipeline.WorkspaceBinding{
			Name: "source", ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: about(spec.ID()).Name}},
		})
	}
	try.add(run, spec)
	for _, workspace := range run.Spec.Workspaces {
		run.Spec.PipelineSpec.Workspaces = append(run.Spec.PipelineSpec.Workspaces, pipeline.PipelineWorkspaceDeclaration{Name: workspace.Name})
	}
	run.Spec.PipelineSpec.Tasks = append(run.Spec.PipelineSpec.Tasks, try.otherwise(spec))
	var documents []string
	for _, object := range append(try.brings, run) {
		text, err := marshal(object)
		if err != nil {
			return nil, err
		}
		documents = append(documents, text)
	}
	return documents, nil
}

// aClaim is a volume that ends with the run, for what several Tasks have in common.
func aClaim(id string) pipeline.WorkspaceBinding {
	return pipeline.WorkspaceBinding{Name: "records", VolumeClaimTemplate: &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Labels: about(id).Labels},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")}},
		},
	}}
}

// add appends a step's Task, under its own ServiceAccount, with those of the values that it has
// inputs for.
func (t trial) add(run *pipeline.PipelineRun, spec step.Spec) {
	task := pipeline.PipelineTask{Name: spec.ID(), TaskRef: &pipeline.TaskRef{Name: Name(spec)}}
	for _, before := range run.Spec.PipelineSpec.Tasks {
		task.RunAfter = append(task.RunAfter, before.Name)
	}
	for _, workspace := range run.Spec.Workspaces {
		task.Workspaces = append(task.Workspaces, pipeline.WorkspacePipelineTaskBinding{Name: workspace.Name, Workspace: workspace.Name})
	}
	values := map[string]string{"app": "test", "environment": "test", "commit": example("commit"), "run": "$(context.pipelineRun.uid)"}
	task.Params = pipeline.Params{given("image", "$(params.image)")}
	for _, in := range inputs(spec) {
		value := values[in.Name]
		if own := t.given[in.Name]; own != "" {
			value = own
		}
		if value != "" {
			task.Params = append(task.Params, given(in.Name, value))
		}
	}
	run.Spec.PipelineSpec.Tasks = append(run.Spec.PipelineSpec.Tasks, task)
	run.Spec.TaskRunSpecs = append(run.Spec.TaskRunSpecs, pipeline.PipelineTaskRunSpec{PipelineTaskName: spec.ID(), ServiceAccountName: Name(spec)})
}

// otherwise is a Task that fails, and runs where the result is not the expected one.
func (t trial) otherwise(spec step.Spec) pipeline.PipelineTask {
	when := pipeline.WhenExpression{
		Input: "$(tasks." + spec.ID() + ".results." + t.result + ")", Operator: selection.In, Values: []string{""},
	}
	words := []string{"unexpected", t.result}
	if t.want != "" {
		when.Operator, when.Values = selection.NotIn, []string{t.want}
	}
	return pipeline.PipelineTask{Name: strings.Join(words, "-"), When: pipeline.WhenExpressions{when}, TaskSpec: &pipeline.EmbeddedTask{
		TaskSpec: pipeline.TaskSpec{Steps: []pipeline.Step{{
			Name: "fail", Image: "$(params.image)", Command: []string{"/knowngood"}, Args: words, SecurityContext: restricted(),
		}}},
	}}
}
