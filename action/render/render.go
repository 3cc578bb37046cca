// SPDX-License-Identifier: Apache-2.0

// Package render makes action.yml files from the steps' declarations. Inputs reach the program
// through env alone, never inside run:, so that no input can become shell.
package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/step"
)

// header says where a rendered file comes from.
const header = "# Rendered from the step's declaration by `go generate ./...`; do not edit.\n"

// An Action is what is to be rendered.
type Action struct {
	// Name and Description as the marketplace shows them.
	Name, Description string
	Spec              step.Spec
	// Scripts is the folder of the shared scripts as seen from the file, below
	// $GITHUB_ACTION_PATH.
	Scripts string
}

// File returns the text of an action.yml.
func File(a Action) string {
	var b strings.Builder
	b.WriteString("# SPDX-License-Identifier: Apache-2.0\n" + header)
	fmt.Fprintf(&b, "name: %s\ndescription: %s\nauthor: knowngood\n", quote(a.Name), quote(a.Description))
	b.WriteString("branding:\n  icon: rotate-ccw\n  color: green\n")
	b.WriteString("inputs:\n")
	for _, in := range a.Spec.Inputs {
		writeInput(&b, in)
	}
	for _, in := range installInputs() {
		writeInput(&b, in)
	}
	if len(a.Spec.Outputs) > 0 {
		b.WriteString("outputs:\n")
	}
	for _, out := range a.Spec.Outputs {
		fmt.Fprintf(&b, "  %s:\n    description: %s\n    value: ${{ steps.run.outputs.%s }}\n", out.Name, quote(out.Doc), out.Name)
	}
	b.WriteString("runs:\n  using: composite\n  steps:\n")
	writeStep(&b, "install", installInputs(), fmt.Sprintf(`"$GITHUB_ACTION_PATH/%s/install.sh"`, a.Scripts))
	writeStep(&b, "run", a.Spec.Inputs, fmt.Sprintf(`"$GITHUB_ACTION_PATH/%s/run.sh" %s`, a.Scripts, a.Spec.Name))
	return b.String()
}

// installInputs are the inputs of the Action itself: where the program comes from.
func installInputs() []step.Input {
	return []step.Input{
		{Name: "binary", Doc: "Path of a knowngood program that is on the runner already; nothing is downloaded then."},
		{Name: "mirror", Doc: "Base URL from which the release archive is downloaded; empty uses the releases of this repository. The checksums committed beside the Action are checked all the same."},
	}
}

func writeInput(b *strings.Builder, in step.Input) {
	fmt.Fprintf(b, "  %s:\n    description: %s\n    required: %t\n", in.Name, quote(in.Describe()), in.Required && !in.Fact)
	switch {
	case in.Required && !in.Fact:
	case in.Kind == step.Secret && in.Fallback == "GITHUB_TOKEN":
		b.WriteString("    default: ${{ github.token }}\n")
	default:
		b.WriteString("    default: \"\"\n")
	}
}

func writeStep(b *strings.Builder, id string, inputs []step.Input, run string) {
	fmt.Fprintf(b, "    - id: %s\n      shell: sh\n      env:\n", id)
	for _, in := range inputs {
		fmt.Fprintf(b, "        %s: ${{ inputs.%s }}\n", in.Env(), in.Name)
	}
	fmt.Fprintf(b, "      run: %s\n", quote(run))
}

// quote returns text as a double-quoted YAML scalar, of which JSON strings are a subset.
func quote(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
