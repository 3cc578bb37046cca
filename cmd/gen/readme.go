// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

//go:generate go run . -root ../..

// fill replaces what stands between "<!-- generated: NAME -->" and "<!-- end -->". A block
// that the text lacks is an error: tables that nobody shows would rot.
func fill(text []byte, blocks map[string]string) ([]byte, error) {
	for name, content := range blocks {
		begin := fmt.Appendf(nil, "<!-- generated: %s -->\n", name)
		head, rest, found := bytes.Cut(text, begin)
		if !found {
			return nil, fmt.Errorf("no block %q", name)
		}
		_, tail, found := bytes.Cut(rest, []byte("<!-- end -->"))
		if !found {
			return nil, fmt.Errorf("block %q does not end", name)
		}
		text = slices.Concat(head, begin, []byte(content), []byte("<!-- end -->"), tail)
	}
	return text, nil
}

func stepTable(specs []step.Spec) string {
	var b strings.Builder
	b.WriteString("| step | does | command line | Action | Tekton |\n|---|---|---|---|---|\n")
	for _, spec := range specs {
		fmt.Fprintf(&b, "| `%s` | %s |%s|%s|%s|\n", spec.Name, cell(spec.Summary),
			tick(spec.Has(step.CLI)), tick(spec.Has(step.Action)), tick(spec.Has(step.Tekton)))
	}
	return b.String()
}

func tick(yes bool) string {
	if yes {
		return " ✓ "
	}
	return "  "
}

// reference is a page of its own: every input, output and permission, step by step.
func reference(specs []step.Spec) string {
	var b strings.Builder
	b.WriteString("<!-- Made by go generate from the declarations of the steps. -->\n\n# Reference\n\n" +
		"Every step with its inputs, its outputs and what it may do in the cluster. [README.md](README.md) tells what they are for,\n" +
		"and where an input is looked for.\n\n")
	for _, spec := range specs {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", spec.Name, spec.ID(), spec.Summary)
	}
	for _, spec := range specs {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", spec.Name, spec.Summary)
		if len(spec.Inputs) > 0 {
			b.WriteString("\n| input | kind | meaning |\n|---|---|---|\n")
		}
		for _, in := range spec.Inputs {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", in.Name, kind(in), cell(in.Describe()))
		}
		if len(spec.Outputs) > 0 {
			b.WriteString("\n| output | meaning |\n|---|---|\n")
		}
		for _, out := range spec.Outputs {
			fmt.Fprintf(&b, "| `%s` | %s |\n", out.Name, cell(out.Doc))
		}
		writeNeeds(&b, spec)
	}
	return b.String()
}

func kind(in step.Input) string {
	if in.Kind == step.Secret {
		return "secret, `" + in.Env() + "`"
	}
	return string(in.Kind)
}

func writeNeeds(b *strings.Builder, spec step.Spec) {
	if len(spec.Needs)+len(spec.Extras) == 0 {
		return
	}
	b.WriteString("\n| in the cluster | verbs | why |\n|---|---|---|\n")
	writeNeed(b, spec.Needs, "")
	for _, extra := range spec.Extras {
		writeNeed(b, extra.Needs, ", where "+extra.When)
	}
}

func writeNeed(b *strings.Builder, needs []step.Need, where string) {
	for _, need := range needs {
		name := strings.Join(need.Resources, ", ")
		if need.Group != "" {
			name += "." + need.Group
		}
		if need.Cluster {
			name += " (cluster-wide)"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, strings.Join(need.Verbs, ", "), cell(need.Why+where))
	}
}

func statusTable() string {
	var b strings.Builder
	b.WriteString("| exit status | meaning |\n|---|---|\n")
	for _, meaning := range fault.Statuses() {
		fmt.Fprintf(&b, "| %d | %s |\n", meaning.Status, meaning.Text)
	}
	return b.String()
}

// permissionTable joins what all steps ask of GitHub's token.
func permissionTable(specs []step.Spec) string {
	var b strings.Builder
	b.WriteString("| permission | for |\n|---|---|\n")
	var seen []string
	for _, spec := range specs {
		for _, p := range spec.Permissions {
			row := fmt.Sprintf("| `%s: %s` | %s |\n", p.Scope, p.Access, cell(p.Why))
			if !slices.Contains(seen, row) {
				seen = append(seen, row)
				b.WriteString(row)
			}
		}
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
