// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/knowngood/knowngood/pkg/release"
)

func (r *reader) rules(n ast.Node, p *Policy) {
	r.sequence(n, "rules", func(n ast.Node) {
		d := rule{criteria: criteria{at: r.where(n)}, thresholds: p.thresholds}
		then, measured := false, false
		r.mapping(n, "a rule", append(r.criteria(&d.criteria),
			field{"then", func(n ast.Node) { then, d.then = true, r.verb(n, "then") }},
			field{"fail", func(n ast.Node) { measured = true; r.threshold(n, "fail", &d.thresholds.fail) }},
			field{"warn", func(n ast.Node) { measured = true; r.threshold(n, "warn", &d.thresholds.warn) }},
			field{"reason", func(n ast.Node) { d.reason = r.text(n, "reason") }},
		)...)
		switch {
		case then && measured:
			r.errorf(n, "a rule has then, or fail and warn, not both")
		case !then && !measured:
			r.errorf(n, "a rule needs then: block, warn or allow; or thresholds of its own: fail, warn")
		}
		if d.empty() {
			r.errorf(n, "a rule needs a condition, for instance tool, rule or path")
		}
		p.rules = append(p.rules, d)
	})
}

func (r *reader) waivers(n ast.Node, p *Policy) {
	r.sequence(n, "waivers", func(n ast.Node) {
		w := waiver{criteria: criteria{at: r.where(n)}}
		given := map[string]bool{}
		r.mapping(n, "a waiver", append(r.criteria(&w.criteria),
			field{"owner", func(n ast.Node) { given["owner"] = true; w.owner = r.text(n, "owner") }},
			field{"reason", func(n ast.Node) { given["reason"] = true; w.reason = r.text(n, "reason") }},
			field{"expires", func(n ast.Node) { given["expires"] = true; w.expires = r.day(n) }},
		)...)
		if len(w.fingerprints) == 0 && len(w.ruleIDs) == 0 && len(w.paths) == 0 && len(w.cwe) == 0 {
			r.errorf(n, "a waiver needs a fingerprint, a rule, a path or a cwe")
		}
		for _, key := range []string{"owner", "reason", "expires"} {
			if !given[key] {
				r.errorf(n, "a waiver needs %s", key)
			}
		}
		p.waivers = append(p.waivers, w)
	})
}

// day reads the last day on which a waiver holds, and returns the moment after it, in UTC.
func (r *reader) day(n ast.Node) time.Time {
	text := r.text(n, "expires")
	day, err := time.Parse(time.DateOnly, text)
	if text != "" && err != nil {
		r.errorf(n, "expires %q: want a day as in 2006-01-02", clip(text))
	}
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

func (r *reader) budgets(n ast.Node, p *Policy) {
	r.sequence(n, "budgets", func(n ast.Node) {
		b := budget{criteria: criteria{at: r.where(n)}}
		limited := false
		r.mapping(n, "a budget", append(r.criteria(&b.criteria),
			field{"at-most", func(n ast.Node) { limited = true; b.most = r.whole(n, "budgets.at-most", 0, 1_000_000) }},
		)...)
		if !limited || b.empty() {
			r.errorf(n, "a budget needs at-most, and a condition, for instance severity")
		}
		p.budgets = append(p.budgets, b)
	})
}

func (r *reader) graces(n ast.Node, p *Policy) {
	var fields []field
	for _, word := range severityWords() {
		fields = append(fields, field{word, func(n ast.Node) {
			p.grace[release.Severity(word)] = grace{r.days(n, "grace."+word), r.where(n)}
		}})
	}
	r.mapping(n, "grace", fields...)
}

// days reads a number of days.
func (r *reader) days(n ast.Node, what string) int {
	text := r.text(n, what)
	count, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if text != "" && (err != nil || !strings.HasSuffix(text, "d") || count < 1 || count > 9999) {
		r.errorf(n, "%s %q: want whole days, e.g. 7d", what, clip(text))
	}
	return count
}
