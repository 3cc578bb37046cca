// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// paths are Tekton's variables for what a Task and a StepAction name differently.
type paths struct{ result, records, authorities string }

// inTask and inStepAction name the first of a step's results: the program finds the others beside it.
func inTask(spec step.Spec) paths {
	return paths{"$(results." + first(spec) + ".path)", "$(workspaces.records.path)", "$(workspaces.ssl-ca-directory.path)"}
}

func inStepAction(spec step.Spec) paths {
	return paths{"$(step.results." + first(spec) + ".path)", "$(params.records)", "$(params.ssl-ca-directory)"}
}

// first is the output that stands for all.
func first(spec step.Spec) string { return spec.Outputs[0].Name }

// environment gives every input to the program. An empty value counts as absent.
func environment(spec step.Spec, config Config, at paths) []corev1.EnvVar {
	optional := true
	env := []corev1.EnvVar{
		{Name: config.ResultVariable, Value: at.result},
		{Name: config.RecordsVariable, Value: at.records},
		// Go reads these beside the authorities of the image.
		{Name: "SSL_CERT_DIR", Value: at.authorities},
		{Name: "HOME", Value: "/tekton/home"},
	}
	for _, in := range inputs(spec) {
		switch in.Kind {
		case step.Command:
		case step.Secret:
			env = append(env, corev1.EnvVar{Name: in.Env(), ValueFrom: &corev1.EnvVarSource{
				SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: fmt.Sprintf("$(params.%s-secret)", in.Name)},
					Key:                  fmt.Sprintf("$(params.%s-key)", in.Name),
					Optional:             &optional,
				},
			}})
		default:
			env = append(env, corev1.EnvVar{Name: in.Env(), Value: fmt.Sprintf("$(params.%s)", in.Name)})
		}
	}
	return env
}
