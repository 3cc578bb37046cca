// SPDX-License-Identifier: Apache-2.0

package render

import (
	"slices"
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// Task returns the YAML of a step's Task.
func Task(spec step.Spec, config Config) (string, error) {
	return marshal(&pipeline.Task{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "Task"},
		ObjectMeta: meta(Name(spec), "knowngood "+spec.Name, config),
		Spec: pipeline.TaskSpec{
			Description: strings.TrimSpace(spec.Summary + "\n\n" + spec.Long),
			Params:      params(spec, config),
			Results:     results(spec),
			Workspaces:  workspaces(),
			Steps: []pipeline.Step{{
				Name:            "run",
				Image:           "$(params.image)",
				Command:         []string{"/knowngood"},
				Args:            strings.Fields(spec.Name),
				WorkingDir:      "$(workspaces.source.path)",
				Env:             environment(spec, config, inTask(spec)),
				SecurityContext: restricted(),
			}},
		},
	})
}

func workspaces() []pipeline.WorkspaceDeclaration {
	return []pipeline.WorkspaceDeclaration{
		{Name: "source", Optional: true, Description: "The checkout: SARIF files and .knowngood.yaml are looked for here."},
		{Name: "records", Optional: true, Description: "A volume for the records, where they do not lie in a bucket (catalog). " +
			"All Tasks of a run need the same one."},
		{Name: "ssl-ca-directory", Optional: true, Description: "PEM files of authorities to trust besides the public ones, " +
			"e.g. those of a GitHub Enterprise Server or of an object store."},
	}
}

// params returns what a Task or a StepAction declares.
func params(spec step.Spec, config Config) pipeline.ParamSpecs {
	specs := pipeline.ParamSpecs{param("image", "The image with the program; pin it by digest.", config.Image)}
	for _, in := range inputs(spec) {
		specs = append(specs, paramsOf(in)...)
	}
	return specs
}

// inputs are those of a step that its Task has params for: one that names the Secret of a secret
// input is what the param of the secret does already.
func inputs(spec step.Spec) []step.Input {
	return slices.DeleteFunc(slices.Clone(spec.Inputs), func(in step.Input) bool {
		return slices.ContainsFunc(spec.Inputs, func(secret step.Input) bool {
			return secret.Kind == step.Secret && in.Name == secret.Name+"-secret"
		})
	})
}

// paramsOf returns the params that stand for one input.
func paramsOf(in step.Input) pipeline.ParamSpecs {
	switch in.Kind {
	case step.Command:
		return nil
	case step.Secret:
		return pipeline.ParamSpecs{
			param(in.Name+"-secret", in.Doc+" Name of the Secret that holds it, which may be absent.", "knowngood"),
			param(in.Name+"-key", "Key of that Secret.", in.Name),
		}
	default:
		return pipeline.ParamSpecs{param(in.Name, in.Describe(), "")}
	}
}

func param(name, doc, value string) pipeline.ParamSpec {
	return pipeline.ParamSpec{
		Name: name, Type: pipeline.ParamTypeString, Description: doc,
		Default: &pipeline.ParamValue{Type: pipeline.ParamTypeString, StringVal: value},
	}
}

// The result by which Tekton Chains knows what a Task made, and the outputs that it is made of.
const (
	artifact       = "record-ARTIFACT_OUTPUTS"
	artifactDoc    = "The entry of this step and its digest, as Tekton Chains reads it: what it signs."
	artifactURI    = "record"
	artifactDigest = "record-digest"
)

// isSigned tells whether a step says what it made in a way that can be signed.
func isSigned(spec step.Spec) bool {
	found := 0
	for _, out := range spec.Outputs {
		if out.Name == artifactURI || out.Name == artifactDigest {
			found++
		}
	}
	return found == 2
}

func artifactProperties() map[string]pipeline.PropertySpec {
	text := pipeline.PropertySpec{Type: pipeline.ParamTypeString}
	return map[string]pipeline.PropertySpec{"uri": text, "digest": text, "isBuildArtifact": text}
}

func results(spec step.Spec) []pipeline.TaskResult {
	var all []pipeline.TaskResult
	for _, out := range spec.Outputs {
		all = append(all, pipeline.TaskResult{Name: out.Name, Type: pipeline.ResultsTypeString, Description: out.Doc})
	}
	if isSigned(spec) {
		all = append(all, pipeline.TaskResult{
			Name: artifact, Type: pipeline.ResultsTypeObject, Description: artifactDoc, Properties: artifactProperties(),
		})
	}
	return all
}
