// SPDX-License-Identifier: Apache-2.0

// Package render makes Tekton Tasks and their RBAC from the steps' declarations: command and
// args without a script, params through the environment without interpolation, and the
// restricted security context.
package render

import (
	"fmt"
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/step"
)

const header = "# SPDX-License-Identifier: Apache-2.0\n# Rendered from the step's declaration by `go generate ./...`; do not edit.\n"

// A Config is what all Tasks share.
type Config struct {
	// Image is the default of the param image; Version is the catalog's label.
	Image, Version string
	// ResultsVariable tells the program where results go.
	ResultsVariable string
}

// Name returns the name of a step's Task and of its ServiceAccount.
func Name(spec step.Spec) string { return "knowngood-" + spec.ID() }

// Task returns the YAML of a step's Task.
func Task(spec step.Spec, config Config) (string, error) {
	task := &pipeline.Task{
		TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "Task"},
		ObjectMeta: metav1.ObjectMeta{
			Name:   Name(spec),
			Labels: map[string]string{"app.kubernetes.io/version": config.Version},
			Annotations: map[string]string{
				"tekton.dev/pipelines.minVersion": "0.50.0",
				"tekton.dev/categories":           "Deployment, Security, Storage",
				"tekton.dev/tags":                 "release, snapshot, sarif, tls",
				"tekton.dev/displayName":          "knowngood " + spec.Name,
				"tekton.dev/platforms":            "linux/amd64,linux/arm64",
			},
		},
		Spec: pipeline.TaskSpec{
			Description: strings.TrimSpace(spec.Summary + "\n\n" + spec.Long),
			Params:      params(spec, config),
			Results:     results(spec),
			Workspaces: []pipeline.WorkspaceDeclaration{{
				Name: "source", Optional: true,
				Description: "The checkout: SARIF files and .knowngood.yaml are looked for here.",
			}},
			Steps: []pipeline.Step{{
				Name:            "run",
				Image:           "$(params.image)",
				Command:         []string{"/knowngood"},
				Args:            strings.Fields(spec.Name),
				WorkingDir:      "$(workspaces.source.path)",
				Env:             environment(spec, config),
				SecurityContext: restricted(),
			}},
		},
	}
	return marshal(task)
}

func restricted() *corev1.SecurityContext {
	yes, no := true, false
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		ReadOnlyRootFilesystem:   &yes,
		RunAsNonRoot:             &yes,
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func params(spec step.Spec, config Config) pipeline.ParamSpecs {
	specs := pipeline.ParamSpecs{param("image", "The image with the program; pin it by digest.", config.Image)}
	for _, in := range spec.Inputs {
		switch in.Kind {
		case step.Command:
		case step.Secret:
			specs = append(specs,
				param(in.Name+"-secret", in.Doc+" Name of the Secret that holds it; empty: none.", ""),
				param(in.Name+"-key", "Key of that Secret.", in.Name))
		default:
			specs = append(specs, param(in.Name, in.Describe(), ""))
		}
	}
	return specs
}

func param(name, doc, value string) pipeline.ParamSpec {
	return pipeline.ParamSpec{
		Name: name, Type: pipeline.ParamTypeString, Description: doc,
		Default: &pipeline.ParamValue{Type: pipeline.ParamTypeString, StringVal: value},
	}
}

func results(spec step.Spec) []pipeline.TaskResult {
	var all []pipeline.TaskResult
	for _, out := range spec.Outputs {
		all = append(all, pipeline.TaskResult{Name: out.Name, Type: pipeline.ResultsTypeString, Description: out.Doc})
	}
	return all
}

func environment(spec step.Spec, config Config) []corev1.EnvVar {
	optional := true
	env := []corev1.EnvVar{
		{Name: config.ResultsVariable, Value: "/tekton/results"},
		{Name: "HOME", Value: "/tekton/home"},
	}
	for _, in := range spec.Inputs {
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

// marshal prints an object without the empty maps and nulls that Go's types leave behind.
func marshal(object any) (string, error) {
	data, err := yaml.Marshal(object)
	if err != nil {
		return "", err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return "", err
	}
	prune(tree)
	data, err = yaml.Marshal(tree)
	return string(data), err
}

func prune(tree map[string]any) {
	for key, value := range tree {
		switch v := value.(type) {
		case nil:
			delete(tree, key)
		case map[string]any:
			prune(v)
			if len(v) == 0 {
				delete(tree, key)
			}
		case []any:
			for _, item := range v {
				if inner, ok := item.(map[string]any); ok {
					prune(inner)
				}
			}
		}
	}
}

// File returns documents as one YAML file with its header.
func File(documents ...string) string { return header + strings.Join(documents, "---\n") }
