// SPDX-License-Identifier: Apache-2.0

// Package scaffold makes the files with which a repository begins to use knowngood, from what was
// seen of the repository and of the cluster. It is pure: it looks at nothing and writes nothing.
// What it makes is a beginning that runs; every line of it is the person's to change.
package scaffold

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/step"
)

// Seen is what was seen.
type Seen struct {
	App       string
	Namespace string
	Branch    string // that releases are made from
	Version   string // of the Action: a tag
	Scanner   Scanner
	Deploy    string // the command that deploys
	// Skip names the steps that the cluster has nothing for.
	Skip []string
}

// A Scanner is a command that writes SARIF.
type Scanner struct{ Name, Command, File string }

// A File is one file to write: its path in the repository, its text, and what it is for.
type File struct{ Path, Text, Why string }

// The files' paths.
const (
	Workflow    = ".github/workflows/release.yml"
	PipelineRun = ".tekton/release.yaml"
	Config      = ".knowngood.yaml"
	RBAC        = "knowngood-rbac.yaml"
)

const made = "# Made by knowngood init, and yours to change.\n"

// GitHub returns the files for a release by GitHub Actions. spec is the declaration of release.
func GitHub(seen Seen, spec step.Spec) []File {
	return []File{
		{Workflow, workflow(seen, spec.Permissions), "the workflow: scan, then the whole release around your deploy command"},
		config(seen),
		{RBAC, made + rbac("knowngood-release", seen.Namespace, spec.Needs), "what the release may do in the cluster: give the runner's kubeconfig this ServiceAccount"},
	}
}

// Tekton returns the files for a release by Tekton. specs are the declarations of the steps that
// have a Task.
func Tekton(seen Seen, specs []step.Spec) []File {
	var rules strings.Builder
	rules.WriteString(made)
	for _, spec := range specs {
		rules.WriteString(rbac("knowngood-"+spec.ID(), seen.Namespace, spec.Needs))
	}
	return []File{
		{PipelineRun, pipelineRun(seen, specs), "the run of the Pipeline knowngood-release: create one for each commit, with its id"},
		config(seen),
		{RBAC, rules.String(), "a ServiceAccount for each Task, with what it needs and nothing more"},
	}
}

func workflow(seen Seen, permissions []step.Permission) string {
	var b strings.Builder
	b.WriteString(made)
	fmt.Fprintf(&b, "name: release\non:\n  push:\n    branches: [%s]\npermissions:\n", text(seen.Branch))
	scopes := map[string]bool{}
	for _, p := range permissions {
		if !scopes[p.Scope] {
			scopes[p.Scope] = true
			fmt.Fprintf(&b, "  %s: %s # %s\n", p.Scope, p.Access, p.Why)
		}
	}
	b.WriteString("concurrency: release # one release at a time\njobs:\n  release:\n" +
		"    runs-on: [self-hosted, linux] # with a kubeconfig, or in the cluster\n    steps:\n" +
		"      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2\n")
	fmt.Fprintf(&b, "      - run: %s # the scanner; any that writes SARIF will do\n", text(seen.Scanner.Command))
	fmt.Fprintf(&b, "      - uses: knowngood/knowngood@%s # better: the commit of that tag\n        with:\n          sarif: %s\n          deploy: %s\n",
		seen.Version, text(seen.Scanner.File), text(seen.Deploy))
	return b.String()
}

func config(seen Seen) File {
	var b strings.Builder
	b.WriteString(made + "# yaml-language-server: $schema=https://raw.githubusercontent.com/knowngood/knowngood/main/pkg/policy/schema.json\n")
	fmt.Fprintf(&b, "inputs: # defaults of every step's inputs\n  app: %s\n  namespace: %s\n", text(seen.App), text(seen.Namespace))
	if len(seen.Skip) > 0 {
		b.WriteString("  skip: | # the cluster has nothing for these\n")
		for _, name := range seen.Skip {
			b.WriteString("    " + name + "\n")
		}
	}
	b.WriteString("gate:\n  fail:\n    severity: high # from a security-severity of 7.0\n    level: error # where a tool gives no score\n")
	return File{Config, b.String(), "defaults of inputs, and the policy: what closes the gate"}
}

func pipelineRun(seen Seen, specs []step.Spec) string {
	var b strings.Builder
	b.WriteString(made)
	fmt.Fprintf(&b, `apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  generateName: release-
  namespace: %s
spec:
  pipelineRef:
    name: knowngood-release # kubectl apply it, and a Task named deploy of your own
  params:
    - name: app
      value: %s
    - name: commit
      value: "0000000000000000000000000000000000000000" # of each run: the id of its commit
    - name: sarif
      value: %s # where your scan Task writes, below the workspace
  taskRunSpecs:
`, text(seen.Namespace), text(seen.App), text(seen.Scanner.File))
	for _, spec := range specs {
		fmt.Fprintf(&b, "    - pipelineTaskName: %s\n      serviceAccountName: knowngood-%s\n", spec.ID(), spec.ID())
	}
	b.WriteString(`    - pipelineTaskName: report-failed-deploy
      serviceAccountName: knowngood-report
  taskRunTemplate:
    podTemplate:
      securityContext:
        fsGroup: 65532 # lets the Tasks, who are not root, write to the volume
  workspaces:
    - name: source
      persistentVolumeClaim:
        claimName: release # a claim that holds the checkout and the scans
`)
	return b.String()
}

var plain = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9./_ -]*[A-Za-z0-9/]$`)

// text is a scalar of YAML on one line. What might be anything else is quoted, as JSON is.
func text(value string) string {
	switch strings.ToLower(value) {
	case "true", "false", "yes", "no", "on", "off", "null":
		return strconv.Quote(value)
	}
	if plain.MatchString(value) {
		return value
	}
	return strconv.QuoteToASCII(value)
}
