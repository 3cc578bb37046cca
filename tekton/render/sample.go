// SPDX-License-Identifier: Apache-2.0

package render

import (
	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// example returns a value for an input that a sample shows, "" for the others.
func example(name string) string {
	return map[string]string{
		"app": "shop", "source-repository": "acme/shop", "commit": "0123456789abcdef0123456789abcdef01234567",
		"pull-request": "7", "sarif": "reports/*.sarif", "outcome": "success",
	}[name]
}

func examples(specs ...step.Spec) pipeline.Params {
	var all pipeline.Params
	seen := map[string]bool{}
	for _, spec := range specs {
		for _, in := range inputs(spec) {
			if value := example(in.Name); value != "" && !seen[in.Name] {
				seen[in.Name] = true
				all = append(all, given(in.Name, value))
			}
		}
	}
	return all
}

// volumes binds both folders to one claim: Tekton refuses a Task with two, unless told otherwise.
func volumes() []pipeline.WorkspaceBinding {
	claim := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "release"}
	return []pipeline.WorkspaceBinding{
		{Name: "source", PersistentVolumeClaim: claim, SubPath: "source"},
		{Name: "records", PersistentVolumeClaim: claim, SubPath: "records"},
	}
}

// template lets the image's user, who is not root, write to the volume.
func template() *pod.PodTemplate {
	group := int64(65532)
	return &pod.PodTemplate{SecurityContext: &corev1.PodSecurityContext{FSGroup: &group}}
}

// TaskSample returns a TaskRun of a step's Task, under the step's own ServiceAccount.
func TaskSample(spec step.Spec) (string, error) {
	return marshal(&pipeline.TaskRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "TaskRun"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: spec.ID() + "-"},
		Spec: pipeline.TaskRunSpec{
			TaskRef: &pipeline.TaskRef{Name: Name(spec)}, ServiceAccountName: Name(spec),
			Params: examples(spec), Workspaces: volumes(), PodTemplate: template(),
		},
	})
}

// StepActionSample returns a Task that has the step between others of one's own.
func StepActionSample(spec step.Spec) (string, error) {
	params := examples(spec)
	for _, workspace := range workspaces()[:2] {
		params = append(params, given(workspace.Name, "$(workspaces."+workspace.Name+".path)"))
	}
	return marshal(&pipeline.Task{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "Task"},
		ObjectMeta: metav1.ObjectMeta{Name: "my-" + spec.ID()},
		Spec: pipeline.TaskSpec{
			Workspaces: workspaces()[:2],
			Results: []pipeline.TaskResult{{
				Name: first(spec), Type: pipeline.ResultsTypeString, Value: text("$(steps." + spec.ID() + ".results." + first(spec) + ")"),
			}},
			Steps: []pipeline.Step{{Name: spec.ID(), Ref: &pipeline.Ref{Name: Name(spec)}, Params: params}},
		},
	})
}

// ReleaseSample returns a PipelineRun with every Task's own ServiceAccount.
func ReleaseSample(specs []step.Spec) (string, error) {
	found, err := releaseSpecs(specs)
	if err != nil {
		return "", err
	}
	run := &pipeline.PipelineRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "release-"},
		Spec: pipeline.PipelineRunSpec{
			PipelineRef:     &pipeline.PipelineRef{Name: ReleaseName},
			Workspaces:      volumes()[:1],
			TaskRunTemplate: pipeline.PipelineTaskRunTemplate{PodTemplate: template()},
			TaskRunSpecs:    []pipeline.PipelineTaskRunSpec{{PipelineTaskName: deployName, ServiceAccountName: deployName}},
		},
	}
	for _, p := range examples(found...) {
		if p.Name != "outcome" {
			run.Spec.Params = append(run.Spec.Params, p)
		}
	}
	for _, spec := range found {
		run.Spec.TaskRunSpecs = append(run.Spec.TaskRunSpecs, pipeline.PipelineTaskRunSpec{
			PipelineTaskName: spec.ID(), ServiceAccountName: Name(spec),
		})
	}
	report := found[len(found)-1]
	run.Spec.TaskRunSpecs = append(run.Spec.TaskRunSpecs, pipeline.PipelineTaskRunSpec{
		PipelineTaskName: failedName, ServiceAccountName: Name(report),
	})
	return marshal(run)
}
