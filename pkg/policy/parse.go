// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

// off switches a threshold off.
const off = "off"

// bands are the severities that a policy may name, with the score from which each begins.
var bands = []struct { //nolint:gochecknoglobals // a table that nobody changes
	severity release.Severity
	from     float64
}{{release.SeverityCritical, 9}, {release.SeverityHigh, 7}, {release.SeverityMedium, 4}, {release.SeverityLow, 0.1}}

func severityWords() []string { return []string{"critical", "high", "medium", "low"} }

func levelWords() []string { return []string{"error", "warning", "note"} }

func (r *reader) threshold(n ast.Node, what string, t *threshold) {
	var score, severity ast.Node
	r.mapping(n, what,
		field{"score", func(n ast.Node) {
			score = n
			t.score, t.scoreNever, t.severityNaming, t.scoreAt = r.number(n, what+".score", 0.1, 10), false, "", r.where(n)
		}},
		field{"severity", func(n ast.Node) {
			severity = n
			word := r.choice(n, what+".severity", append(severityWords(), off)...)
			t.scoreNever, t.severityNaming, t.scoreAt = word == off, release.Severity(word), r.where(n)
			for _, band := range bands {
				if string(band.severity) == word {
					t.score = band.from
				}
			}
		}},
		field{"level", func(n ast.Node) {
			word := r.choice(n, what+".level", append(levelWords(), off)...)
			t.levelNever, t.level, t.levelAt = word == off, release.Level(word), r.where(n)
		}},
	)
	if score != nil && severity != nil {
		r.errorf(severity, "%s: score and severity say the same thing: give one of them", what)
	}
}

func (r *reader) worth(n ast.Node, p *Policy) {
	read := func(level release.Level) func(ast.Node) {
		return func(n ast.Node) {
			p.worth[level] = release.Severity(r.choice(n, "severities."+string(level), append(severityWords(), "none")...))
		}
	}
	r.mapping(n, "severities",
		field{"error", read(release.LevelError)}, field{"warning", read(release.LevelWarning)}, field{"note", read(release.LevelNote)})
}

// verbs are the words of a policy for what is done.
var verbs = map[string]release.Verb{"block": release.Block, "warn": release.Notice, "allow": release.Allow} //nolint:gochecknoglobals // a table that nobody changes

func (r *reader) verb(n ast.Node, what string) release.Verb {
	return verbs[r.choice(n, what, "block", "warn", "allow")]
}

func (r *reader) reaction(n ast.Node, what string, into *reaction) {
	*into = reaction{r.verb(n, what), r.where(n)}
}

func (r *reader) requirements(n ast.Node, p *Policy) {
	r.sequence(n, "require", func(n ast.Node) {
		q := requirement{at: r.where(n)}
		if text, plain := scalar(n); plain {
			q.tools = []string{text}
			p.required = append(p.required, q)
			return
		}
		r.mapping(n, "require",
			field{"tool", func(n ast.Node) { q.tools = r.patterns(n, "require.tool") }},
			field{"category", func(n ast.Node) { q.category = r.text(n, "require.category") }},
			field{"rules", func(n ast.Node) { q.rules = r.texts(n, "require.rules") }},
			field{"max-age", func(n ast.Node) { q.maxAge = r.age(n, "require.max-age") }},
			field{"commit", func(n ast.Node) { q.stated = r.choice(n, "require.commit", "optional", "required") == "required" }},
		)
		if len(q.tools) == 0 {
			r.errorf(n, "require: name the tool")
		}
		p.required = append(p.required, q)
	})
}

// age reads a length of time: Go's form, or days as in 7d.
func (r *reader) age(n ast.Node, what string) time.Duration {
	text := r.text(n, what)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if count, err := strconv.Atoi(days); err == nil && count > 0 && count < 10000 {
			return time.Duration(count) * 24 * time.Hour
		}
	}
	d, err := time.ParseDuration(text)
	if text != "" && (err != nil || d <= 0) {
		r.errorf(n, "%s %q: want a length of time above zero, e.g. 90m, 24h or 7d", what, clip(text))
	}
	return d
}

// suppressions reads whose suppressions count: one word, or keys where more is to be said.
func (r *reader) suppressions(n ast.Node, p *Policy) {
	s := &p.suppressions
	s.at = r.where(n)
	count := func(n ast.Node) {
		word := r.choice(n, "suppressions", "all", "in-source", "external", "none")
		s.inSource, s.external = word == "all" || word == "in-source", word == "all" || word == "external"
	}
	if _, plain := scalar(n); plain {
		count(n)
		return
	}
	r.mapping(n, "suppressions",
		field{"count", count},
		field{"justification", func(n ast.Node) {
			s.justified = r.choice(n, "justification", "optional", "required") == "required"
		}},
	)
}

func (r *reader) limits(n ast.Node, p *Policy) {
	r.mapping(n, "limits",
		field{"file", func(n ast.Node) { p.limits.File = r.size(n, "limits.file") }},
		field{"value", func(n ast.Node) { p.limits.Value = r.size(n, "limits.value") }},
		field{"kept", func(n ast.Node) { p.limits.Kept = r.size(n, "limits.kept") }},
		field{"members", func(n ast.Node) { p.limits.Members = r.whole(n, "limits.members", 10, 10_000_000) }},
		field{"findings", func(n ast.Node) { p.limits.Findings = r.whole(n, "limits.findings", 1, 10_000_000) }},
	)
}

// size reads a number of bytes, as in 4GiB.
func (r *reader) size(n ast.Node, what string) int64 {
	text := r.text(n, what)
	number, unit := text, int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if head, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = strings.TrimSpace(head), bytes
		}
	}
	count, err := strconv.ParseInt(number, 10, 32)
	if text != "" && (err != nil || count < 1) {
		r.errorf(n, "%s %q: want a size as in 512MiB or 4GiB", what, clip(text))
		return 0
	}
	return count * unit
}

// patterns reads one glob or a list of them.
func (r *reader) patterns(n ast.Node, what string) (all []string) {
	r.list(n, func(n ast.Node) {
		pattern := r.text(n, what)
		if pattern != "" && !doublestar.ValidatePattern(pattern) {
			r.errorf(n, "%s %q: not a pattern", what, clip(pattern))
		}
		all = append(all, pattern)
	})
	return all
}
