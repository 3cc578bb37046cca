// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

// Parse reads a policy file; name is what errors and decisions call it. What the file leaves
// out is as in Default. Everything that is wrong with it is reported at once, each with line
// and column; the errors are of wrong usage.
func Parse(name string, data []byte) (*Policy, error) {
	r := &reader{name: name}
	p := Default()
	p.Name = fmt.Sprintf("%s (sha256:%.12x)", name, sha256.Sum256(data))
	p.inputs = map[string]string{}
	if root := r.root(data); root != nil {
		r.mapping(root, map[string]field{
			"inputs": func(n ast.Node) { r.inputs(n, p.inputs) },
			"gate":   func(n ast.Node) { r.gate(n, p) },
		})
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return p, nil
}

func (r *reader) inputs(node ast.Node, into map[string]string) {
	r.each(node, func(key string, _, value ast.Node) {
		if list, ok := value.(*ast.SequenceNode); ok {
			var lines []string
			for _, item := range list.Values {
				if text, ok := r.text(item); ok {
					lines = append(lines, text)
				}
			}
			into[key] = strings.Join(lines, "\n")
			return
		}
		if text, ok := r.text(value); ok {
			into[key] = text
		}
	})
}

func (r *reader) gate(node ast.Node, p *Policy) {
	r.mapping(node, map[string]field{
		"mode":         func(n ast.Node) { oneOf(r, n, &p.Mode, release.Enforce, release.Audit) },
		"fail":         func(n ast.Node) { r.threshold(n, &p.Fail) },
		"warn":         func(n ast.Node) { r.threshold(n, &p.Warn) },
		"incomplete":   func(n ast.Node) { r.setting(n, &p.Incomplete) },
		"unstated":     func(n ast.Node) { r.setting(n, &p.Unstated) },
		"new-only":     func(n ast.Node) { r.yes(n, &p.NewOnly) },
		"suppressions": func(n ast.Node) { oneOf(r, n, &p.Suppressions, TrustAll, TrustInSource, TrustExternal, TrustNone) },
		"require": func(n ast.Node) {
			for _, item := range r.items(n) {
				p.Required = append(p.Required, r.requirement(item))
			}
		},
		"rules": func(n ast.Node) {
			for _, item := range r.items(n) {
				p.Rules = append(p.Rules, r.rule(item))
			}
		},
		"budgets": func(n ast.Node) {
			for _, item := range r.items(n) {
				p.Budgets = append(p.Budgets, r.budget(item))
			}
		},
		"waivers": func(n ast.Node) {
			for _, item := range r.items(n) {
				p.Waivers = append(p.Waivers, r.waiver(item))
			}
		},
	})
}

// threshold reads where a verb begins. What it leaves out stays as it was: writing a score
// does not silently let findings without one pass.
func (r *reader) threshold(node ast.Node, t *Threshold) {
	r.mapping(node, map[string]field{
		"score": func(n ast.Node) {
			if score, ok := r.number(n, 0, 10); ok {
				t.Score, t.ScoreWhere = score, r.where(n)
			}
		},
		"severity": func(n ast.Node) {
			var severity release.Severity
			oneOf(r, n, &severity, release.SeverityLow, release.SeverityMedium, release.SeverityHigh, release.SeverityCritical)
			t.Score, t.ScoreWhere = lowest(severity), r.where(n)
		},
		"level": func(n ast.Node) {
			var level release.Level
			const off release.Level = "off"
			oneOf(r, n, &level, release.LevelNote, release.LevelWarning, release.LevelError, off)
			if t.Off = level == off; !t.Off {
				t.Level, t.LevelWhere = level, r.where(n)
			}
		},
	})
}

// lowest returns the score at which a severity begins (release.SeverityOf).
func lowest(severity release.Severity) float64 {
	return map[release.Severity]float64{
		release.SeverityLow: 0.1, release.SeverityMedium: 4, release.SeverityHigh: 7, release.SeverityCritical: 9,
	}[severity]
}

func (r *reader) setting(node ast.Node, s *Setting) {
	s.Where = r.where(node)
	r.verb(node, &s.Verb)
}

// verb reads block, warn or allow.
func (r *reader) verb(node ast.Node, verb *release.Verb) {
	var word string
	oneOf(r, node, &word, "block", "warn", "allow")
	*verb = map[string]release.Verb{"block": release.Block, "warn": release.Notice, "allow": release.Allow}[word]
}

func (r *reader) requirement(node ast.Node) Requirement {
	before := len(r.errs)
	q := Requirement{Where: r.where(node)}
	r.mapping(node, map[string]field{
		"tool": func(n ast.Node) { r.string(n, &q.Tool) },
		"rules": func(n ast.Node) {
			for _, item := range r.items(n) {
				var rule string
				r.string(item, &rule)
				q.Rules = append(q.Rules, rule)
			}
		},
		"max-age": func(n ast.Node) { r.duration(n, &q.MaxAge) },
	})
	r.lacks(before, node, q.Tool == "", "a requirement needs a tool")
	return q
}

func (r *reader) rule(node ast.Node) Rule {
	before := len(r.errs)
	rule := Rule{Where: r.where(node)}
	fields := r.match(&rule.Match)
	fields["then"] = func(n ast.Node) { r.verb(n, &rule.Verb) }
	fields["reason"] = func(n ast.Node) { r.string(n, &rule.Reason) }
	r.mapping(node, fields)
	r.lacks(before, node, rule.Verb == "", "a rule needs then: block, warn or allow")
	r.lacks(before, node, rule.Match.empty(), "a rule that selects nothing in particular would decide about everything; thresholds do that")
	return rule
}

// match returns the keys that select findings.
func (r *reader) match(m *Match) map[string]field {
	return map[string]field{
		"tool":        func(n ast.Node) { r.string(n, &m.Tool) },
		"rule":        func(n ast.Node) { r.glob(n, &m.Rule) },
		"path":        func(n ast.Node) { r.glob(n, &m.Path) },
		"fingerprint": func(n ast.Node) { r.string(n, &m.Fingerprint) },
		"cwe":         func(n ast.Node) { r.cwe(n, &m.CWE) },
		"severity": func(n ast.Node) {
			oneOf(r, n, &m.Severity, release.SeverityUnknown, release.SeverityNone, release.SeverityLow,
				release.SeverityMedium, release.SeverityHigh, release.SeverityCritical)
		},
	}
}

func (r *reader) budget(node ast.Node) Budget {
	before := len(r.errs)
	b := Budget{Where: r.where(node), AtMost: -1}
	r.mapping(node, map[string]field{
		"severity": func(n ast.Node) {
			oneOf(r, n, &b.Severity, release.SeverityUnknown, release.SeverityLow, release.SeverityMedium,
				release.SeverityHigh, release.SeverityCritical)
		},
		"at-most": func(n ast.Node) {
			if text, ok := r.text(n); ok {
				count, err := strconv.Atoi(text)
				if err != nil || count < 0 {
					r.fail(n, "at-most %q: want a whole number, 0 or above", text)
				}
				b.AtMost = count
			}
		},
	})
	r.lacks(before, node, b.Severity == "" || b.AtMost < 0, "a budget needs a severity and at-most")
	return b
}

func (r *reader) waiver(node ast.Node) Waiver {
	before := len(r.errs)
	w := Waiver{Where: r.where(node)}
	fields := r.match(&w.Match)
	fields["owner"] = func(n ast.Node) { r.string(n, &w.Owner) }
	fields["reason"] = func(n ast.Node) { r.string(n, &w.Reason) }
	fields["expires"] = func(n ast.Node) {
		if text, ok := r.text(n); ok {
			day, err := time.Parse(time.DateOnly, text)
			if err != nil {
				r.fail(n, "expires %q: want a day as 2027-03-31", text)
			}
			w.Expires = day
		}
	}
	r.mapping(node, fields)
	r.lacks(before, node, w.Owner == "" || w.Reason == "" || w.Expires.IsZero(), "a waiver needs owner, reason and expires")
	r.lacks(before, node, w.Rule == "" && w.Fingerprint == "" && w.Path == "", "a waiver needs a fingerprint, a rule or a path")
	return w
}
