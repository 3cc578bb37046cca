// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Policy is what a .knowngood.yaml says. It does not change once it was read.
type Policy struct {
	name   string // as the decision shows it
	digest string
	inputs map[string]string
	limits Limits

	mode release.Mode
	thresholds
	worth        map[release.Level]release.Severity
	open         reaction
	incomplete   reaction
	unstated     reaction
	other        reaction
	newOnly      bool
	newOnlyAt    string
	suppressions suppressions
	grace        map[release.Severity]grace
	budgets      []budget
	rules        []rule
	required     []requirement
	waivers      []waiver
	protect      map[release.Risk]protection
}

// Limits are what a file says about the size of SARIF files. Zero is not said.
type Limits struct {
	File, Value, Kept int64
	Findings, Members int
}

// builtIn stands where the name of a file stands for what no file says.
const builtIn = "built-in"

// A threshold says from where on something is done. A score of 0 or less never is.
type threshold struct {
	score          float64
	scoreNever     bool
	scoreAt        string
	level          release.Level
	levelNever     bool
	levelAt        string
	severityNaming release.Severity // when the file names a severity instead of a score
}

// A reaction is what is done about a scan or a finding that is not known to be fine.
type reaction struct {
	verb release.Verb
	at   string
}

type suppressions struct {
	inSource, external, justified bool
	at                            string
}

type grace struct {
	days int
	at   string
}

type budget struct {
	criteria
	most int
}

// A rule says what is done with findings that fit, or from where on.
type rule struct {
	criteria
	then       release.Verb // "" where thresholds decide
	thresholds thresholds
	reason     string
}

type thresholds struct{ fail, warn threshold }

type requirement struct {
	tools    []string
	category string
	rules    []string
	maxAge   time.Duration
	stated   bool // the scan has to say that it is of this commit
	at       string
}

type waiver struct {
	criteria
	owner, reason string
	expires       time.Time // the first moment at which it holds no more
}

// Default is the policy where no file says anything: fail at security-severity 7.0 or, where
// there is no score, at level error; warn at 4.0 or level warning.
func Default() *Policy {
	return &Policy{
		name: builtIn,
		mode: release.Enforce,
		thresholds: thresholds{
			fail: threshold{score: 7, scoreAt: builtIn, level: release.LevelError, levelAt: builtIn},
			warn: threshold{score: 4, scoreAt: builtIn, level: release.LevelWarning, levelAt: builtIn},
		},
		open:       reaction{release.Notice, builtIn},
		incomplete: reaction{release.Block, builtIn},
		unstated:   reaction{release.Allow, builtIn},
		other:      reaction{release.Block, builtIn},
		worth: map[release.Level]release.Severity{
			release.LevelError: release.SeverityHigh, release.LevelWarning: release.SeverityMedium,
			release.LevelNote: release.SeverityLow, release.LevelNone: release.SeverityNone,
		},
		suppressions: suppressions{inSource: true, external: true, at: builtIn},
		grace:        map[release.Severity]grace{},
		protect:      map[release.Risk]protection{},
	}
}

// Parse reads a policy. The name stands in errors and in decisions. What the file does not
// say is as in Default. The error is one of usage; it holds all that is wrong with the file,
// each with line and column.
func Parse(name string, data []byte) (*Policy, error) {
	p := Default()
	sum := sha256.Sum256(data)
	p.name, p.digest = name, "sha256:"+hex.EncodeToString(sum[:])
	r := &reader{name: name}
	if tree := r.tree(data); tree != nil {
		r.mapping(tree, "the policy",
			field{"inputs", func(n ast.Node) { p.inputs = r.inputs(n) }},
			field{"gate", func(n ast.Node) { r.gate(n, p) }},
			field{"protect", func(n ast.Node) { r.protect(n, p) }},
		)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Name is "built-in", or the file's name and digest.
func (p *Policy) Name() string {
	if p.digest == "" {
		return p.name
	}
	return p.name + " (" + p.digest + ")"
}

// Inputs are the defaults that the file gives to inputs of the program, by name; a list's
// values stand one a line. Whether such inputs exist is for the caller to know.
func (p *Policy) Inputs() map[string]string { return p.inputs }

// Limits are what the file says about the size of SARIF files.
func (p *Policy) Limits() Limits { return p.limits }

func (r *reader) inputs(n ast.Node) map[string]string {
	inputs := map[string]string{}
	r.pairs(n, "inputs", func(_, value ast.Node, name string) {
		inputs[name] = strings.Join(r.texts(value, name), "\n")
	})
	return inputs
}

func (r *reader) gate(n ast.Node, p *Policy) {
	var rules ast.Node // read last: they may begin from the thresholds
	r.mapping(n, "gate",
		field{"mode", func(n ast.Node) {
			p.mode = release.Mode(r.choice(n, "mode", string(release.Enforce), string(release.Audit)))
		}},
		field{"fail", func(n ast.Node) { r.threshold(n, "fail", &p.fail) }},
		field{"warn", func(n ast.Node) { r.threshold(n, "warn", &p.warn) }},
		field{"severities", func(n ast.Node) { r.worth(n, p) }},
		field{"open", func(n ast.Node) { r.reaction(n, "open", &p.open) }},
		field{"new-only", func(n ast.Node) { p.newOnly, p.newOnlyAt = r.truth(n, "new-only"), r.where(n) }},
		field{"incomplete", func(n ast.Node) {
			p.incomplete = reaction{verbs[r.choice(n, "incomplete", "block", "warn")], r.where(n)}
		}},
		field{"unstated", func(n ast.Node) { r.reaction(n, "unstated", &p.unstated) }},
		field{"other-commit", func(n ast.Node) { r.reaction(n, "other-commit", &p.other) }},
		field{"require", func(n ast.Node) { r.requirements(n, p) }},
		field{"suppressions", func(n ast.Node) { r.suppressions(n, p) }},
		field{"rules", func(n ast.Node) { rules = n }},
		field{"waivers", func(n ast.Node) { r.waivers(n, p) }},
		field{"budgets", func(n ast.Node) { r.budgets(n, p) }},
		field{"grace", func(n ast.Node) { r.graces(n, p) }},
		field{"limits", func(n ast.Node) { r.limits(n, p) }},
	)
	if rules != nil {
		r.rules(rules, p)
	}
}
