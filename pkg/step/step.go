// SPDX-License-Identifier: Apache-2.0

// Package step owns how a step declares itself, once: inputs, outputs, what it needs of a
// cluster and of GitHub, and which faces it has. The command line, action.yml, the Tekton
// Tasks, the RBAC and the README's tables are all made from a Set's Spec, so they cannot part.
//
// Declarations are plain values: no struct tags, no reflection, no registration. The package
// reads no environment and knows no face; values come to it by name.
package step

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says how an input is written.
type Kind string

// Kinds of inputs.
const (
	Text     Kind = "text"
	Bool     Kind = "bool"
	Int      Kind = "int"
	Duration Kind = "duration"
	List     Kind = "list"    // repeated flag; lines or commas elsewhere
	Secret   Kind = "secret"  // environment or file, never a flag
	Command  Kind = "command" // the words after "--"; a script in the Action
)

// Face is one of the ways in which a person meets a step.
type Face string

// Faces.
const (
	CLI    Face = "cli"
	Action Face = "action"
	Tekton Face = "tekton"
)

// An Input is all that a face may know about one input.
type Input struct {
	Name    string // kebab-case, one meaning in every step
	Kind    Kind
	Default string // as a person would write it; "" when there is none
	Doc     string // one sentence
	Choices []string
	// Fallback names an environment variable of the face's own that serves when
	// KNOWNGOOD_<NAME> is absent, e.g. GITHUB_TOKEN.
	Fallback string
	// Fact is true when a face usually knows the value by itself (commit, run, …).
	Fact bool
	// Required inputs have no default and cannot be left out.
	Required bool
	// Word inputs can also stand on the command line without their flag, in their order.
	Word bool
}

// Env returns the input's environment variable: KNOWNGOOD_ and the name in upper case
// with underscores. (dash drops variables whose names have a dash.)
func (in Input) Env() string {
	return "KNOWNGOOD_" + strings.ToUpper(strings.ReplaceAll(in.Name, "-", "_"))
}

// Describe returns the input's sentence with what a face cannot say elsewhere: how a value is
// written, its choices and its default. An empty value counts as absent, so YAML carries no
// defaults.
func (in Input) Describe() string {
	text := in.Doc
	if in.Kind == List {
		text += " One a line."
	}
	if in.Kind == Command {
		text += " A script, run from a file by sh -e."
	}
	if len(in.Choices) > 0 {
		text += " One of " + strings.Join(in.Choices, ", ") + "."
	}
	if in.Default != "" {
		text += " Default: " + in.Default + "."
	}
	return text
}

// An Output is one short value that a step hands on.
type Output struct{ Name, Doc string }

// A Need is a permission in the cluster: verbs on resources of one API group.
type Need struct {
	Group     string
	Resources []string
	Verbs     []string
	// Cluster is true when the resources do not live in a namespace.
	Cluster bool
	// Why tells the person who grants it.
	Why string
}

// A Permission is one scope of GitHub's token, e.g. {"pull-requests", "write", "the comment"}.
type Permission struct{ Scope, Access, Why string }

// A Spec is a step as its faces see it.
type Spec struct {
	Name    string // words of the command, e.g. "rotate prepare"
	Summary string // one sentence
	// Long tells what a person should know beyond the summary: paragraphs of plain text.
	Long        string
	Example     string
	Faces       []Face
	Inputs      []Input
	Outputs     []Output
	Needs       []Need
	Extras      []Extra
	Permissions []Permission
}

// An Extra is what a step needs beyond its Needs where something is asked of it that not everybody
// asks, and which is therefore granted apart.
type Extra struct {
	Name  string // one word, of which files and roles are named
	When  string // e.g. "the policy wants backups"
	Needs []Need
}

// ID returns the name with dashes, as files, results and records bear it.
func (s Spec) ID() string { return strings.ReplaceAll(s.Name, " ", "-") }

// Has tells whether the step has the face.
func (s Spec) Has(face Face) bool { return slices.Contains(s.Faces, face) }

// A Set is a Spec whose inputs are bound to variables.
type Set struct {
	Spec
	bound []bound
}

type bound struct {
	name string
	set  func(string) error
	// given is true once a value other than the default was set; text is that value.
	given bool
	text  string
}

// An Option refines one input.
type Option func(*Input)

// Fallback lets an environment variable of a face's own serve.
func Fallback(variable string) Option { return func(in *Input) { in.Fallback = variable } }

// Fact marks an input that faces usually know.
func Fact() Option { return func(in *Input) { in.Fact = true } }

// Required marks an input that cannot be left out.
func Required() Option { return func(in *Input) { in.Required = true } }

// Word lets an input stand on the command line without its flag.
func Word() Option { return func(in *Input) { in.Word = true } }

// Choices limits a text input to the given values.
func Choices(values ...string) Option { return func(in *Input) { in.Choices = values } }

func (s *Set) add(in Input, set func(string) error, opts []Option) {
	for _, opt := range opts {
		opt(&in)
	}
	if s.input(in.Name) != nil {
		panic(fmt.Sprintf("step %s declares input %s twice", s.Name, in.Name))
	}
	s.Inputs = append(s.Inputs, in)
	s.bound = append(s.bound, bound{name: in.Name, set: set})
}

// Text declares a text input.
func (s *Set) Text(p *string, name, value, doc string, opts ...Option) {
	*p = value
	s.add(Input{Name: name, Kind: Text, Default: value, Doc: doc}, func(v string) error { *p = v; return nil }, opts)
}

// Bool declares a yes-or-no input, written true or false.
func (s *Set) Bool(p *bool, name string, value bool, doc string, opts ...Option) {
	*p = value
	s.add(Input{Name: name, Kind: Bool, Default: fmt.Sprint(value), Doc: doc}, func(v string) error {
		return parseBool(p, v)
	}, opts)
}

// Int declares a whole number.
func (s *Set) Int(p *int, name string, value int, doc string, opts ...Option) {
	*p = value
	s.add(Input{Name: name, Kind: Int, Default: fmt.Sprint(value), Doc: doc}, func(v string) error {
		return parseInt(p, v)
	}, opts)
}

// Duration declares a length of time, written as 90s, 10m or 1h30m. It must be above zero.
func (s *Set) Duration(p *time.Duration, name string, value time.Duration, doc string, opts ...Option) {
	*p = value
	s.add(Input{Name: name, Kind: Duration, Default: shortDuration(value), Doc: doc}, func(v string) error {
		return parseDuration(p, v)
	}, opts)
}

// List declares an input of several values: a flag given more than once, or elsewhere one
// value a line. Values are not split at commas, which paths may contain.
func (s *Set) List(p *[]string, name, doc string, opts ...Option) {
	*p = nil
	s.add(Input{Name: name, Kind: List, Doc: doc}, func(v string) error {
		*p = append(*p, splitLines(v)...)
		return nil
	}, opts)
}

// Secret declares an input that is given by environment or by file alone.
func (s *Set) Secret(p *Hidden, name, doc string, opts ...Option) {
	s.add(Input{Name: name, Kind: Secret, Doc: doc}, func(v string) error {
		*p = Hidden(strings.TrimRight(v, "\r\n"))
		return nil
	}, opts)
}

// Command declares the words after "--". In the Action it is a script.
func (s *Set) Command(p *[]string, name, doc string, opts ...Option) {
	s.add(Input{Name: name, Kind: Command, Doc: doc}, func(v string) error {
		*p = append(*p, v)
		return nil
	}, opts)
}

// Output declares one short value that the step hands on.
func (s *Set) Output(name, doc string) {
	s.Outputs = append(s.Outputs, Output{name, doc})
}

// Needs declares what the step asks of a cluster, e.g.
// Needs("create,get,watch", "snapshot.storage.k8s.io/volumesnapshots", "take the snapshots").
// A resource without a group is of the core group.
func (s *Set) Needs(verbs, resource, why string) { s.need(verbs, resource, why, false) }

// NeedsCluster is Needs for resources that do not live in a namespace.
func (s *Set) NeedsCluster(verbs, resource, why string) { s.need(verbs, resource, why, true) }

// Extra takes the needs that declare declares as needs of that name alone.
func (s *Set) Extra(name, when string, declare func()) {
	always := s.Spec.Needs
	s.Spec.Needs = nil
	declare()
	s.Extras = append(s.Extras, Extra{name, when, s.Spec.Needs})
	s.Spec.Needs = always
}

func (s *Set) need(verbs, resource, why string, cluster bool) {
	group, name, found := strings.Cut(resource, "/")
	if !found || strings.HasPrefix(resource, "pods/") {
		group, name = "", resource
	}
	s.Spec.Needs = append(s.Spec.Needs, Need{
		Group: group, Resources: []string{name}, Verbs: strings.Split(verbs, ","), Cluster: cluster, Why: why,
	})
}

// Permission declares what the step asks of GitHub's token.
func (s *Set) Permission(scope, access, why string) {
	s.Permissions = append(s.Permissions, Permission{scope, access, why})
}

func (s *Set) input(name string) *Input {
	for i := range s.Inputs {
		if s.Inputs[i].Name == name {
			return &s.Inputs[i]
		}
	}
	return nil
}
