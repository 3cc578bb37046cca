// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

// criteria pick findings: all that are given must fit, each by one of its values.
type criteria struct {
	at           string // "file:line"
	tools        []string
	categories   []string
	ruleIDs      []string
	paths        []string
	cwe          []int
	severities   []release.Severity
	levels       []release.Level
	kinds        []release.Kind
	baselines    []release.Baseline
	fingerprints []string
	secret       *bool
	when         *condition
}

func (r *reader) criteria(c *criteria) []field {
	return []field{
		{"tool", func(n ast.Node) { c.tools = r.patterns(n, "tool") }},
		{"category", func(n ast.Node) { c.categories = r.patterns(n, "category") }},
		{"rule", func(n ast.Node) { c.ruleIDs = r.patterns(n, "rule") }},
		{"path", func(n ast.Node) { c.paths = r.pathPatterns(n) }},
		{"cwe", func(n ast.Node) { c.cwe = r.weaknesses(n) }},
		{"severity", func(n ast.Node) {
			c.severities = choices[release.Severity](r, n, "severity", append(severityWords(), "none", "unknown"))
		}},
		{"level", func(n ast.Node) { c.levels = choices[release.Level](r, n, "level", append(levelWords(), "none")) }},
		{"kind", func(n ast.Node) {
			c.kinds = choices[release.Kind](r, n, "kind", []string{"fail", "open", "review", "pass", "informational", "notApplicable"})
		}},
		{"baseline", func(n ast.Node) {
			c.baselines = choices[release.Baseline](r, n, "baseline", []string{"new", "unchanged", "updated"})
		}},
		{"fingerprint", func(n ast.Node) { c.fingerprints = r.texts(n, "fingerprint") }},
		{"secret", func(n ast.Node) { value := r.truth(n, "secret"); c.secret = &value }},
		{"when", func(n ast.Node) { c.when = r.condition(n) }},
	}
}

func choices[T ~string](r *reader, n ast.Node, what string, words []string) (all []T) {
	r.list(n, func(n ast.Node) { all = append(all, T(r.choice(n, what, words...))) })
	return all
}

// pathPatterns reads globs of paths. A directory stands for all that is in it.
func (r *reader) pathPatterns(n ast.Node) []string {
	all := r.patterns(n, "path")
	for i, pattern := range all {
		pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "./"), "/")
		if strings.HasSuffix(pattern, "/") {
			pattern += "**"
		}
		all[i] = pattern
	}
	return all
}

func (r *reader) weaknesses(n ast.Node) (all []int) {
	r.list(n, func(n ast.Node) {
		text := r.text(n, "cwe")
		number, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(text), "CWE-"))
		if text != "" && (err != nil || number < 1) {
			r.errorf(n, "cwe %q: want a number, as in 79 or CWE-79", clip(text))
		}
		all = append(all, number)
	})
	return all
}

func (c *criteria) empty() bool {
	return len(c.tools)+len(c.categories)+len(c.ruleIDs)+len(c.paths)+len(c.cwe)+len(c.severities)+len(c.levels)+
		len(c.kinds)+len(c.baselines)+len(c.fingerprints) == 0 && c.secret == nil && c.when == nil
}

// match tells whether all criteria fit a finding. An error means that it is not known whether
// the condition holds.
func (c *criteria) match(s *sighting, p *purse) (bool, error) {
	if !c.fits(s) {
		return false, nil
	}
	if c.when == nil {
		return true, nil
	}
	held, err := c.when.holds(s, p)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.at, err)
	}
	return held, nil
}

// fits is match without the condition.
func (c *criteria) fits(s *sighting) bool {
	f := s.Finding
	return (len(c.fingerprints) == 0 || slices.Contains(c.fingerprints, f.Fingerprint)) &&
		(len(c.ruleIDs) == 0 || matchRule(c.ruleIDs, f.Rule)) &&
		(len(c.tools) == 0 || matchTool(c.tools, f.Tool)) &&
		(len(c.categories) == 0 || matchAny(c.categories, s.category)) &&
		(len(c.paths) == 0 || f.Location.Path != "" && matchAny(c.paths, f.Location.Path)) &&
		(len(c.cwe) == 0 || slices.ContainsFunc(c.cwe, func(n int) bool { return slices.Contains(f.CWE, n) })) &&
		(len(c.severities) == 0 || slices.Contains(c.severities, s.worth) ||
			!scored(f) && slices.Contains(c.severities, release.SeverityUnknown)) &&
		(len(c.levels) == 0 || slices.Contains(c.levels, f.Level)) &&
		(len(c.kinds) == 0 || slices.Contains(c.kinds, f.Kind)) &&
		(len(c.baselines) == 0 || slices.Contains(c.baselines, stateOf(f))) &&
		(c.secret == nil || *c.secret == f.Secret)
}

func matchAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, text) })
}

// stateOf takes a finding that nothing was compared with for a new one.
func stateOf(f *release.Finding) release.Baseline {
	return cmp.Or(f.Baseline, release.BaselineNew)
}

// matchTool compares tools without regard to case.
func matchTool(patterns []string, tool string) bool {
	tool = strings.ToLower(tool)
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(strings.ToLower(p), tool) })
}

// matchRule compares ids; a hierarchical id matches what one of its parents matches.
func matchRule(patterns []string, id string) bool {
	for id != "" {
		if slices.ContainsFunc(patterns, func(p string) bool { return glob(p, id) }) {
			return true
		}
		id = id[:max(strings.LastIndexByte(id, '/'), 0)]
	}
	return false
}

// glob matches a text that equals the pattern whatever characters are in it.
func glob(pattern, text string) bool {
	if pattern == text {
		return true
	}
	ok, err := doublestar.Match(pattern, text)
	return ok && err == nil
}

// String names the criteria for a person: "rule G104 in test/**".
func (c *criteria) String() string {
	var parts []string
	add := func(format string, values []string) {
		if len(values) > 0 {
			parts = append(parts, fmt.Sprintf(format, strings.Join(values, ", ")))
		}
	}
	add("fingerprint %s", c.fingerprints)
	add("rule %s", c.ruleIDs)
	add("CWE %s", words(c.cwe))
	add("of %s", c.tools)
	add("category %s", c.categories)
	add("severity %s", words(c.severities))
	add("level %s", words(c.levels))
	add("kind %s", words(c.kinds))
	add("baseline %s", words(c.baselines))
	add("in %s", c.paths)
	if c.secret != nil {
		parts = append(parts, "secret "+strconv.FormatBool(*c.secret))
	}
	if c.when != nil {
		parts = append(parts, "when "+clip(oneLine(c.when.text)))
	}
	return strings.Join(parts, " ")
}

func words[T any](values []T) []string {
	var all []string
	for _, value := range values {
		all = append(all, fmt.Sprint(value))
	}
	return all
}
