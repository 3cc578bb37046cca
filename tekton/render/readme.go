// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// readme gathers the text of one README. All that stands in tables comes from declarations.
type readme struct{ text string }

func (r *readme) add(text ...string) { r.text += strings.Join(text, "") }

func (r *readme) title(name string, paragraphs ...string) {
	r.add("<!-- Rendered from the steps' declarations by `go generate ./...`; do not edit. -->\n# ", name, "\n")
	for _, text := range paragraphs {
		if text != "" {
			r.add("\n", text, "\n")
		}
	}
}

func (r *readme) install(folder string) {
	r.add("\n## Install\n\n    sed 's/", Namespace, "/shop/g' ", folder, "/*.yaml | kubectl apply -n shop -f -\n\n",
		"where `shop` is the namespace of the application. A sample is in [samples](samples/run.yaml).\n")
}

func (r *readme) table(title string, heads ...string) {
	r.add("\n## ", title, "\n\n")
	r.row(heads...)
	r.add(strings.Repeat("|---", len(heads)), "|\n")
}

func (r *readme) row(cells ...string) {
	r.add("|")
	for _, cell := range cells {
		r.add(" ", strings.ReplaceAll(cell, "|", `\|`), " |")
	}
	r.add("\n")
}

func (r *readme) params(specs pipeline.ParamSpecs) {
	r.table("Params", "param", "default", "meaning")
	for _, p := range specs {
		value := "required"
		if p.Default != nil {
			value = code(p.Default.StringVal)
		}
		r.row(code(p.Name), value, p.Description)
	}
}

func (r *readme) workspaces(all []pipeline.WorkspaceDeclaration) {
	r.table("Workspaces", "workspace", "optional", "meaning")
	for _, w := range all {
		r.row(code(w.Name), map[bool]string{false: "no", true: "yes"}[w.Optional], strings.ReplaceAll(w.Description, "\n", " "))
	}
}

func (r *readme) results(all []pipeline.TaskResult) {
	r.table("Results", "result", "type", "meaning")
	for _, result := range all {
		r.row(code(result.Name), string(result.Type), result.Description)
	}
}

func (r *readme) permissions(spec step.Spec) {
	if len(spec.Needs) == 0 {
		r.add("\n## Permissions\n\nNone in the cluster: the ServiceAccount `", Name(spec), "` has no rules.\n")
		return
	}
	r.needs("Permissions of the ServiceAccount "+code(Name(spec)), spec.Needs)
	for _, extra := range spec.Extras {
		r.needs("Besides, where "+extra.When, extra.Needs)
		r.add("\nGiven by [", extra.Name, "/rbac.yaml](", extra.Name, "/rbac.yaml), applied as the other files are.\n")
	}
}

func (r *readme) needs(title string, needs []step.Need) {
	r.table(title, "resource", "verbs", "why")
	for _, need := range needs {
		name := strings.Join(need.Resources, ", ")
		if need.Group != "" {
			name += "." + need.Group
		}
		if need.Cluster {
			name += " (cluster-wide)"
		}
		r.row(code(name), strings.Join(need.Verbs, ", "), need.Why)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// TaskReadme describes a step's Task.
func TaskReadme(spec step.Spec, config Config) string {
	var r readme
	r.title(Name(spec), spec.Summary, spec.Long, "Needs Tekton Pipelines "+minVersion+" or newer.")
	r.install("tekton/task/" + Name(spec))
	r.add("[A test](tests/run.yaml) tries the Task by itself: `kubectl create -n shop -f tests/run.yaml` makes a PipelineRun, which\n" +
		"fails where the Task does, or where it says another thing than is expected. What the test brings bears the label\n`" + trialLabel + "`.\n")
	r.params(params(spec, config))
	r.workspaces(workspaces())
	r.results(results(spec))
	r.permissions(spec)
	return r.text
}

// StepActionReadme describes a step's StepAction.
func StepActionReadme(spec step.Spec, config Config) string {
	var r readme
	r.title(Name(spec), spec.Summary, "The one step of the [Task of the same name](../../task/"+Name(spec)+"/README.md), for Tasks of your own. "+
		"Needs Tekton Pipelines "+minVersion+" or newer, and the permissions that the Task's README names.")
	r.install("tekton/stepaction/" + Name(spec))
	r.params(append(params(spec, config), folders()...))
	r.results(results(spec))
	return r.text
}

// ReleaseReadme describes the Pipeline.
func ReleaseReadme(specs []step.Spec, config Config) (string, error) {
	found, err := releaseSpecs(specs)
	if err != nil {
		return "", err
	}
	var r readme
	r.title(ReleaseName, releaseDoc, "Needs Tekton Pipelines "+minVersion+" or newer, the Tasks of its steps, and the StepActions of `deploy finish` and\n"+
		"`report`, by which one pod tells of a deploy that failed.")
	r.install("tekton/*/*")
	r.add("\n## What runs\n\n    ", strings.Join(order(), " → "), "\n\nand at the end, also after a failure: `", reportName, "`, or `",
		failedName, "` where the deploy failed.\n")
	r.params(releaseParams(found, config))
	r.workspaces(releaseWorkspaces())
	r.table("Results", "result", "meaning")
	for _, result := range releaseResults(found) {
		r.row(code(result.Name), result.Description)
	}
	return r.text, nil
}
