// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// StepAction returns the YAML of a step's StepAction: the Task's one step, for Tasks of one's
// own. It has no workspaces, so what a Task knows by them are params here.
func StepAction(spec step.Spec, config Config) (string, error) {
	return marshal(&v1beta1.StepAction{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1beta1", Kind: "StepAction"},
		ObjectMeta: meta(Name(spec), "knowngood "+spec.Name, config),
		Spec: v1beta1.StepActionSpec{
			Description:     strings.TrimSpace(spec.Summary + "\n\n" + spec.Long),
			Params:          append(params(spec, config), folders()...),
			Results:         stepResults(spec),
			Image:           "$(params.image)",
			Command:         []string{"/knowngood"},
			Args:            strings.Fields(spec.Name),
			WorkingDir:      "$(params.source)",
			Env:             environment(spec, config, inStepAction(spec)),
			SecurityContext: restricted(),
		},
	})
}

// folders are the Task's workspaces, as params.
func folders() pipeline.ParamSpecs {
	var all pipeline.ParamSpecs
	for _, workspace := range workspaces() {
		all = append(all, param(workspace.Name, workspace.Description+" A path, e.g. $(workspaces."+workspace.Name+".path).", ""))
	}
	return all
}

func stepResults(spec step.Spec) []pipeline.StepResult {
	var all []pipeline.StepResult
	for _, result := range results(spec) {
		all = append(all, pipeline.StepResult{
			Name: result.Name, Type: result.Type, Description: result.Description, Properties: result.Properties,
		})
	}
	return all
}
