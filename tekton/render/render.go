// SPDX-License-Identifier: Apache-2.0

// Package render makes the Tekton face's files from the steps' declarations: Tasks, StepActions,
// the Pipeline of a whole release, their RBAC, samples and READMEs. Everywhere command and args
// without a script, params through the environment without interpolation, and the restricted
// security context.
package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/step"
)

const header = "# SPDX-License-Identifier: Apache-2.0\n# Rendered from the steps' declarations by `go generate ./...`; do not edit.\n---\n"

// A Config is what all files share.
type Config struct {
	// Image is the default of the param image; Version is the catalog's label.
	Image, Version string
	// ResultVariable and RecordsVariable tell the program where results go, and where records lie.
	ResultVariable, RecordsVariable string
}

// minVersion is the oldest Tekton Pipelines in which all that is used here is stable:
// StepActions.
const minVersion = "1.0.0"

// Name returns the name of a step's Task, StepAction and ServiceAccount.
func Name(spec step.Spec) string { return "knowngood-" + spec.ID() }

// meta is the metadata by which catalogs find an object.
// links are shown by Artifact Hub, which knows "source" and "support" by their names.
const links = `- name: source
  url: https://github.com/knowngood/knowngood
- name: support
  url: https://github.com/knowngood/knowngood/issues
- name: documentation
  url: https://github.com/knowngood/knowngood/blob/main/tekton/README.md
`

func meta(name, display string, config Config) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{"app.kubernetes.io/version": config.Version, "app.kubernetes.io/part-of": "knowngood"},
		Annotations: map[string]string{
			"tekton.dev/pipelines.minVersion": minVersion,
			"tekton.dev/categories":           "Deployment, Security, Storage",
			"tekton.dev/tags":                 "release, snapshot, sarif, tls",
			"tekton.dev/displayName":          display,
			"tekton.dev/platforms":            "linux/amd64,linux/arm64",
			"artifacthub.io/category":         "integration-delivery",
			"artifacthub.io/license":          "Apache-2.0",
			"artifacthub.io/provider":         "knowngood",
			"artifacthub.io/links":            links,
			"artifacthub.io/changes":          "- kind: added\n  description: First release.\n",
		},
	}
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
	delete(tree, "status")
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
			// A property without attributes and a volume of no kind say something.
			if len(v) == 0 && key != "uri" && key != "digest" && key != "isBuildArtifact" && key != "emptyDir" && key != "selfSigned" {
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

// File returns documents as one YAML file with its header. It begins with a document's mark, so
// that files can be joined.
func File(documents ...string) string { return header + strings.Join(documents, "---\n") }
