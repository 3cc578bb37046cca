// SPDX-License-Identifier: Apache-2.0

// Package render makes action.yml files from the steps' declarations. Inputs reach the program
// through env alone, never inside run:, so that no input can become shell.
package render

import (
	"encoding/json"
	"fmt"
	"slices"
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
	// Last tells that workflows use it with if: always(), also in a job that was cancelled. There
	// some runners (act, and those of Gitea and Forgejo after it) skip the steps of an Action that
	// have no condition of their own.
	Last bool
}

// File returns the action.yml of a step.
func File(a Action) string {
	inputs := append(slices.Clone(a.Spec.Inputs), installInputs()...)
	return a.write(inputs, a.Spec.Outputs, func(b *strings.Builder) {
		a.install(b)
		run, condition := script(a.Scripts, "run.sh", a.Spec.Name), ""
		if a.Last {
			condition = "always() && steps.install.outcome == 'success'"
		}
		writeStep(b, "run", condition, append([]variable{program()}, variables(a.Spec.Inputs)...), run)
	})
}

// Setup returns the action.yml that puts the program on the PATH, for workflows that call it
// in scripts of their own.
func Setup(a Action) string {
	outputs := []step.Output{
		{Name: "program", Doc: "Path of the program."},
		{Name: "version", Doc: "Its version."},
	}
	return a.write(installInputs(), outputs, func(b *strings.Builder) {
		a.install(b)
		version := variable{"KNOWNGOOD_VERSION", "${{ steps.install.outputs.version }}"}
		writeStep(b, "run", "", []variable{program(), version}, script(a.Scripts, "setup.sh"))
	})
}

// CleanUp returns the action.yml that removes what the steps of a job left on the runner.
func CleanUp(a Action) string {
	return a.write(nil, nil, func(b *strings.Builder) {
		writeStep(b, "run", always, nil, script(a.Scripts, "clean-up.sh"))
	})
}

func (a Action) write(inputs []step.Input, outputs []step.Output, steps func(*strings.Builder)) string {
	var b strings.Builder
	b.WriteString("# SPDX-License-Identifier: Apache-2.0\n" + header)
	fmt.Fprintf(&b, "name: %s\ndescription: %s\nauthor: knowngood\n", quote(a.Name), quote(a.Description))
	b.WriteString("branding:\n  icon: rotate-ccw\n  color: green\n")
	if len(inputs) > 0 {
		b.WriteString("inputs:\n")
	}
	for _, in := range inputs {
		writeInput(&b, in)
	}
	if len(outputs) > 0 {
		b.WriteString("outputs:\n")
	}
	for _, out := range outputs {
		fmt.Fprintf(&b, "  %s:\n    description: %s\n    value: ${{ steps.run.outputs.%s }}\n", out.Name, quote(out.Doc), out.Name)
	}
	b.WriteString("runs:\n  using: composite\n  steps:\n")
	steps(&b)
	return b.String()
}

func (a Action) install(b *strings.Builder) {
	condition := ""
	if a.Last {
		condition = always
	}
	writeStep(b, "install", condition, variables(installInputs()), script(a.Scripts, "install.sh"))
}

const always = "always()"

// script is the line that starts a shared script in the place of the runner's own shell, so
// that signals reach it, and without need for its executable bit.
func script(folder, name string, args ...string) string {
	return strings.Join(append([]string{fmt.Sprintf(`exec sh "$GITHUB_ACTION_PATH/%s/%s"`, folder, name)}, args...), " ")
}

// A variable is one line of a step's env.
type variable struct{ name, value string }

// program is handed from step to step as an output: what stands in GITHUB_ENV reaches every
// later step of the job, and any earlier one can have written it.
func program() variable { return variable{"KNOWNGOOD_PROGRAM", "${{ steps.install.outputs.program }}"} }

func variables(inputs []step.Input) []variable {
	var all []variable
	for _, in := range inputs {
		all = append(all, variable{in.Env(), "${{ inputs." + in.Name + " }}"})
	}
	return all
}

// installInputs are the inputs of the Action itself: where the program comes from.
func installInputs() []step.Input {
	return []step.Input{
		{Name: "binary", Doc: "Path of a knowngood program that is on the runner already; nothing is downloaded then."},
		{Name: "mirror", Doc: "Base URL from which the release archive is downloaded; empty uses the releases of this repository. The checksums committed beside the Action are checked all the same."},
	}
}

func writeInput(b *strings.Builder, in step.Input) {
	text := in.Describe()
	if in.Kind == step.Secret {
		text += " Give it from secrets or github.token alone: the runner prints other values before the step begins."
	}
	fmt.Fprintf(b, "  %s:\n    description: %s\n    required: %t\n", in.Name, quote(text), in.Required && !in.Fact)
	switch {
	case in.Required && !in.Fact:
	case in.Kind == step.Secret && in.Fallback == "GITHUB_TOKEN":
		b.WriteString("    default: ${{ github.token }}\n")
	default:
		b.WriteString("    default: \"\"\n")
	}
}

func writeStep(b *strings.Builder, id, condition string, env []variable, run string) {
	fmt.Fprintf(b, "    - id: %s\n", id)
	if condition != "" {
		fmt.Fprintf(b, "      if: %s\n", condition)
	}
	b.WriteString("      shell: sh\n")
	if len(env) > 0 {
		b.WriteString("      env:\n")
	}
	for _, v := range env {
		fmt.Fprintf(b, "        %s: %s\n", v.name, v.value)
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
