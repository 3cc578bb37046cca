// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/knowngood/knowngood/pkg/step"
)

// ReleaseName is the name of the Pipeline.
const ReleaseName = "knowngood-release"

const (
	deployName = "deploy"
	reportName = "report"
	// failedName is the finally task that tells of a deploy that failed.
	failedName = "report-failed-deploy"
	releaseDoc = "Gate, snapshot, rotate, deploy, prove and report, in this order, around a deploy Task of your own.\n\n" +
		"The deploy Task is the one named deploy in the namespace. It needs a workspace source, and is given the params app,\n" +
		"commit, environment, namespace and run, of which it declares those that it wants. Every Task runs under the\n" +
		"ServiceAccount that the PipelineRun names for it in taskRunSpecs, see samples/run.yaml."
)

// order is what runs one after the other; the report comes at the end, whatever happened.
func order() []string {
	return []string{"gate", "snapshot", "rotate-prepare", "deploy-start", deployName, "deploy-finish", "rotate-prove"}
}

// told are the inputs whose values the Pipeline itself knows.
func told() []string { return []string{"run", "outcome", "exit-status"} }

// releaseSpecs returns the steps of a release: those of order, then the report.
func releaseSpecs(specs []step.Spec) ([]step.Spec, error) {
	var found []step.Spec
	for _, id := range append(order(), reportName) {
		i := slices.IndexFunc(specs, func(s step.Spec) bool { return s.ID() == id && s.Has(step.Tekton) })
		switch {
		case i >= 0:
			found = append(found, specs[i])
		case id != deployName:
			return nil, fmt.Errorf("no step %s has the Tekton face", id)
		}
	}
	return found, nil
}

// Release returns the YAML of the Pipeline that runs a whole release.
func Release(specs []step.Spec, config Config) (string, error) {
	found, err := releaseSpecs(specs)
	if err != nil {
		return "", err
	}
	spec := pipeline.PipelineSpec{
		Description: releaseDoc,
		Params:      releaseParams(found, config),
		Results:     releaseResults(found),
	}
	for _, workspace := range releaseWorkspaces() {
		spec.Workspaces = append(spec.Workspaces, pipeline.PipelineWorkspaceDeclaration{
			Name: workspace.Name, Description: workspace.Description, Optional: workspace.Optional,
		})
	}
	before := ""
	for _, id := range order() {
		task := deployTask()
		if i := slices.IndexFunc(found, func(s step.Spec) bool { return s.ID() == id }); i >= 0 {
			task = pipelineTask(found[i])
		}
		if before != "" {
			task.RunAfter = []string{before}
		}
		before = id
		spec.Tasks = append(spec.Tasks, task)
	}
	finish := found[slices.IndexFunc(found, func(s step.Spec) bool { return s.ID() == "deploy-finish" })]
	spec.Finally = []pipeline.PipelineTask{reportTask(found[len(found)-1]), failedTask(finish, found[len(found)-1])}
	return marshal(&pipeline.Pipeline{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "Pipeline"},
		ObjectMeta: meta(ReleaseName, "knowngood release", config),
		Spec:       spec,
	})
}

// releaseParams joins the params of all steps: a name has one meaning in all of them.
func releaseParams(specs []step.Spec, config Config) pipeline.ParamSpecs {
	all := pipeline.ParamSpecs{
		param("image", "The image with the program; pin it by digest.", config.Image),
	}
	for _, spec := range specs {
		for _, in := range spec.Inputs {
			for _, one := range paramsOf(in) {
				known := slices.ContainsFunc(all, func(p pipeline.ParamSpec) bool { return p.Name == one.Name })
				if !known && !slices.Contains(told(), in.Name) {
					all = append(all, one)
				}
			}
		}
	}
	return all
}

// releaseResults hands on what the Tasks found. A result of a Task that did not run is left out
// by Tekton.
func releaseResults(specs []step.Spec) []pipeline.PipelineResult {
	var all []pipeline.PipelineResult
	for _, spec := range specs {
		where := "tasks"
		if spec.ID() == reportName {
			where = "finally"
		}
		for _, out := range spec.Outputs {
			name := out.Name
			switch {
			case name == "run" && len(all) > 0, name == artifactURI, name == artifactDigest:
				continue
			}
			all = append(all, pipeline.PipelineResult{
				Name: name, Type: pipeline.ResultsTypeString, Description: out.Doc,
				Value: *text(fmt.Sprintf("$(%s.%s.results.%s)", where, spec.ID(), name)),
			})
		}
	}
	return all
}

func text(value string) *pipeline.ParamValue {
	return &pipeline.ParamValue{Type: pipeline.ParamTypeString, StringVal: value}
}

func given(name, value string) pipeline.Param { return pipeline.Param{Name: name, Value: *text(value)} }

// handed gives a step every param that it has in common with the Pipeline.
func handed(spec step.Spec) pipeline.Params {
	all := pipeline.Params{given("image", "$(params.image)")}
	for _, in := range spec.Inputs {
		switch {
		case in.Name == "run":
			all = append(all, given("run", "$(context.pipelineRun.uid)"))
		case slices.Contains(told(), in.Name):
		default:
			for _, one := range paramsOf(in) {
				all = append(all, given(one.Name, "$(params."+one.Name+")"))
			}
		}
	}
	return all
}

// recordsFolder is where records lie in the volume of the checkout, if not in a bucket.
const recordsFolder = ".knowngood"

// releaseWorkspaces are the Tasks' but for the records'. Two workspaces of a PipelineRun on one
// claim would leave some Tasks unschedulable: Tekton keeps Tasks of a claim on one node by the
// name of one of its workspaces, and looks for it by the other (v1.14.0).
func releaseWorkspaces() []pipeline.WorkspaceDeclaration {
	all := slices.DeleteFunc(workspaces(), func(w pipeline.WorkspaceDeclaration) bool { return w.Name == "records" })
	all[0].Optional = false
	all[0].Description = "A volume with the checkout: SARIF files and .knowngood.yaml are looked for here. Where the records do not lie\n" +
		"in a bucket (catalog) they lie in its folder " + recordsFolder + "."
	return all
}

func bound() []pipeline.WorkspacePipelineTaskBinding {
	var all []pipeline.WorkspacePipelineTaskBinding
	for _, workspace := range workspaces() {
		one := pipeline.WorkspacePipelineTaskBinding{Name: workspace.Name, Workspace: workspace.Name}
		if one.Name == "records" {
			one.Workspace, one.SubPath = "source", recordsFolder
		}
		all = append(all, one)
	}
	return all
}

func pipelineTask(spec step.Spec) pipeline.PipelineTask {
	task := pipeline.PipelineTask{
		Name: spec.ID(), TaskRef: &pipeline.TaskRef{Name: Name(spec)}, Params: handed(spec), Workspaces: bound(),
	}
	if spec.ID() == "deploy-finish" {
		task.Params = append(task.Params, given("outcome", "success"))
	}
	return task
}

func deployTask() pipeline.PipelineTask {
	task := pipeline.PipelineTask{
		Name: deployName, TaskRef: &pipeline.TaskRef{Name: deployName}, Workspaces: bound()[:1],
		Params: pipeline.Params{given("run", "$(context.pipelineRun.uid)")},
	}
	for _, name := range []string{"app", "commit", "environment", "namespace"} {
		task.Params = append(task.Params, given(name, "$(params."+name+")"))
	}
	return task
}

// Tasks of finally run beside each other, and the record has to know how a deploy failed before
// it is told: so one of two reports runs, by how the deploy ended.
func deployed(operator selection.Operator) pipeline.WhenExpressions {
	return pipeline.WhenExpressions{{Input: "$(tasks.deploy.status)", Operator: operator, Values: []string{"Failed"}}}
}

func reportTask(spec step.Spec) pipeline.PipelineTask {
	task := pipelineTask(spec)
	task.When = deployed(selection.NotIn)
	return task
}

// failedTask is two steps in one pod, by their StepActions.
func failedTask(finish, report step.Spec) pipeline.PipelineTask {
	task := pipeline.PipelineTask{Name: failedName, When: deployed(selection.In), Workspaces: bound()}
	task.Params = pipeline.Params{given("outcome", "$(tasks.deploy.status)")}
	declared := pipeline.ParamSpecs{{Name: "outcome", Type: pipeline.ParamTypeString, Description: "How the deploy ended."}}
	var steps []pipeline.Step
	for _, spec := range []step.Spec{finish, report} {
		one := pipeline.Step{Name: spec.ID(), Ref: &pipeline.Ref{Name: Name(spec)}}
		for _, p := range handed(spec) {
			if !slices.ContainsFunc(task.Params, func(have pipeline.Param) bool { return have.Name == p.Name }) {
				task.Params = append(task.Params, p)
				declared = append(declared, pipeline.ParamSpec{Name: p.Name, Type: pipeline.ParamTypeString})
			}
			one.Params = append(one.Params, given(p.Name, "$(params."+p.Name+")"))
		}
		for _, workspace := range workspaces() {
			one.Params = append(one.Params, given(workspace.Name, "$(workspaces."+workspace.Name+".path)"))
		}
		if spec.ID() == finish.ID() {
			one.Params = append(one.Params, given("outcome", "$(params.outcome)"))
		}
		steps = append(steps, one)
	}
	task.TaskSpec = &pipeline.EmbeddedTask{TaskSpec: pipeline.TaskSpec{
		Description: "Say in the record that the deploy failed, and tell it.",
		Params:      declared, Workspaces: workspaces(), Steps: steps,
	}}
	return task
}
