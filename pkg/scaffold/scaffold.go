// SPDX-License-Identifier: Apache-2.0

// Package scaffold makes the files with which a repository begins to use knowngood, from what was
// seen of the repository and of the cluster. It writes nothing and asks nobody.
// What it makes is a beginning that runs; every line of it is the person's to change.
package scaffold

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/knowngood/knowngood/pkg/step"
)

// Seen is what was seen.
type Seen struct {
	App       string
	Namespace string
	Catalog   string // where the records lie, "" where no place is known that outlasts a job
	Branch    string // that releases are made from
	Version   string // of the Action: a tag
	Forge     Forge
	Scanners  []Scanner
	Deploy    string // the command that deploys
	// Skip are the steps that the cluster has nothing for.
	Skip []Skip
}

// A Skip is a step that is left out, and why.
type Skip struct{ Step, Why string }

// A Forge is whose Actions run the workflow.
type Forge string

// Forges.
const (
	GitHubForge  Forge = "github"
	GiteaForge   Forge = "gitea"
	ForgejoForge Forge = "forgejo"
)

// A Scanner is a command that writes SARIF.
type Scanner struct{ Name, Command, File string }

// A File is one file to write: its path in the repository, its text, and what it is for.
type File struct{ Path, Text, Why string }

// The files' paths; workflows are below the forge's own folder.
const (
	Workflow    = "workflows/release.yml"
	Gate        = "workflows/gate.yml"
	PipelineRun = ".tekton/release.yaml"
	Config      = ".knowngood.yaml"
	RBAC        = "knowngood-rbac.yaml"
)

// ReleaseAccount is the ServiceAccount of a release by an Action.
const ReleaseAccount = "knowngood-release"

// Account is the ServiceAccount of a step's Task.
func Account(spec step.Spec) string { return "knowngood-" + spec.ID() }

const made = "# Made by knowngood init, and yours to change.\n"

const deployRights = "# The deploy command runs under this account, too, and may do no more: bind to it what that needs.\n"

// Actions returns the files for a release by Actions. spec is the declaration of release.
func Actions(seen Seen, spec step.Spec) []File {
	folder := "." + string(seen.Forge) + "/"
	return []File{
		{folder + Gate, gate(seen, spec.Permissions), "the workflow of a pull request and of the merge queue: scan, decide, tell"},
		{folder + Workflow, workflow(seen, spec.Permissions), "the workflow of what was merged: scan, then the whole release around your deploy command"},
		config(seen),
		{RBAC, made + deployRights + rbac(ReleaseAccount, seen.Namespace, spec.Needs), "what the release may do in the cluster: give the runner's kubeconfig this ServiceAccount"},
	}
}

// Tekton returns the files for a release by Tekton. specs are the declarations of the steps that
// have a Task.
func Tekton(seen Seen, specs []step.Spec) []File {
	var rules strings.Builder
	rules.WriteString(made)
	for _, spec := range specs {
		rules.WriteString(rbac(Account(spec), seen.Namespace, spec.Needs))
	}
	return []File{
		{PipelineRun, pipelineRun(seen, specs), "the run of the Pipeline knowngood-release: create one for each commit, with its id"},
		config(seen),
		{RBAC, rules.String(), "a ServiceAccount for each Task, with what it needs and nothing more"},
	}
}

var plain = regexp.MustCompile(`^(\./|[A-Za-z/])[A-Za-z0-9./_ -]*[A-Za-z0-9/]$`)

// text is a scalar of YAML on one line. What might be anything else is quoted, as JSON is.
func text(value string) string {
	switch strings.ToLower(value) {
	case "true", "false", "yes", "no", "on", "off", "null":
		return strconv.Quote(value)
	}
	if plain.MatchString(value) {
		return value
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(value, "\uFFFD"))
}

// comment is text that may stand after a "#".
func comment(value string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(value, ""), func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }), " ")
}
