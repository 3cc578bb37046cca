// SPDX-License-Identifier: Apache-2.0

// Package policy turns scans into a decision. It owns the file .knowngood.yaml, waivers and
// the comparison with a baseline.
//
// A decision is made in two halves. Scans come first: one that is missing, unusable, absent, of
// another commit or (unless the policy says otherwise) incomplete fails the gate, in audit mode
// too. Then each finding is judged by the first of these that speaks: absent from this scan,
// its kind, the scan's own suppression, a waiver, a rule of the policy, the thresholds. What
// nothing speaks about is allowed only if it lies below the thresholds.
//
// The package is pure: it reads no file, asks no clock, and the same scans in any order give
// the same decision.
package policy

import (
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Policy is what .knowngood.yaml says. Default is the one without a file.
type Policy struct {
	// Name is shown as the decision's policy.
	Name string

	Mode       release.Mode
	Fail, Warn Threshold
	// Incomplete and Unstated say what a scan does that says it is incomplete, or that says
	// nothing of how it ended: Block, Notice or Allow.
	Incomplete, Unstated Setting
	// NewOnly lets findings that the baseline had be noticed instead of blocked.
	NewOnly bool
	// Suppressions says which suppressions of the scan itself count.
	Suppressions Trust
	Required     []Requirement
	Rules        []Rule
	Budgets      []Budget
	Waivers      []Waiver

	inputs map[string]string
}

// A Setting is a verb and where the policy says it.
type Setting struct {
	Verb  release.Verb
	Where string
}

// Trust says whose word about a suppressed finding counts.
type Trust string

// Trusts.
const (
	TrustAll      Trust = "all"
	TrustInSource Trust = "in-source"
	TrustExternal Trust = "external"
	TrustNone     Trust = "none"
)

// A Threshold is where a verb begins. A finding with a score is held against Score, one
// without against Level.
type Threshold struct {
	Score      float64
	ScoreWhere string
	Level      release.Level
	LevelWhere string
	// Off is true where level is switched off for findings without a score.
	Off bool
}

// A Requirement is a tool whose scan must be there.
type Requirement struct {
	Tool  string
	Rules []string
	// MaxAge is how long ago the scan may have ended; 0 means any time.
	MaxAge time.Duration
	Where  string
}

// A Match selects findings; empty fields select all.
type Match struct {
	Tool, Rule, Path, Fingerprint string
	CWE                           int
	Severity                      release.Severity
}

// A Rule gives a verb to the findings that it matches. The first one that matches counts.
type Rule struct {
	Match
	Verb   release.Verb
	Reason string
	Where  string
}

// A Budget lets at most so many findings of a severity through.
type Budget struct {
	Severity release.Severity
	AtMost   int
	Where    string
}

// A Waiver is an accepted finding.
type Waiver struct {
	Match
	Owner, Reason string
	// Expires is the day, in UTC, at whose end the waiver ends.
	Expires time.Time
	Where   string
}

const builtIn = "built-in"

// Default is the policy without a file: fail at a security-severity of 7.0 and above, or at
// level error where there is no score; warn from 4.0, or at level warning.
func Default() *Policy {
	return &Policy{
		Name:         builtIn,
		Mode:         release.Enforce,
		Fail:         Threshold{Score: 7, ScoreWhere: builtIn, Level: release.LevelError, LevelWhere: builtIn},
		Warn:         Threshold{Score: 4, ScoreWhere: builtIn, Level: release.LevelWarning, LevelWhere: builtIn},
		Incomplete:   Setting{release.Block, builtIn},
		Unstated:     Setting{release.Allow, builtIn},
		Suppressions: TrustAll,
	}
}

// Inputs returns the defaults of step inputs that the file gives under "inputs:", as text; a
// list's values stand one a line.
func (p *Policy) Inputs() map[string]string { return p.inputs }

// A Request is what is to be decided.
type Request struct {
	Scans    []release.Scan
	Baseline *Baseline
	Commit   release.Commit
	Now      time.Time
	// Mode overrides the policy's unless it is "".
	Mode release.Mode
}
