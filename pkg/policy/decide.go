// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Request is what a policy decides about.
type Request struct {
	// Scans may come in any order. A file that could not be read is a scan of completeness
	// ScanUnusable.
	Scans []release.Scan
	// Baseline is what findings are compared with; nil is none.
	Baseline *Baseline
	// Unbased says why there is no baseline, where one was asked for.
	Unbased string
	// There tells whether a file of the baseline is in the checkout still; nil is not known.
	There func(path string) bool
	// Commit is what is decided about; Head is the pull request's head, where it differs.
	Commit, Head release.Commit
	Now          time.Time
	// Mode wins over the policy's unless it is "".
	Mode release.Mode
}

// Decide takes the decision. It changes nothing of the request.
func (p *Policy) Decide(request Request) release.Decision {
	d := &decider{policy: p, Request: request}
	if d.Mode == "" {
		d.Mode = p.mode
	}
	d.Scans = inOrder(request.Scans)
	d.decision = release.Decision{Mode: d.Mode, Policy: p.Name(), Scans: summaries(d.Scans)}
	d.judgeScans()
	d.require()
	d.compare()
	d.judgeFindings()
	d.spend()
	d.sum()
	return d.decision
}

// A decider is one decision in the making.
type decider struct {
	policy *Policy
	Request
	decision release.Decision
	problems []problem
	matches  map[finding]match
	gone     []release.Judgement
	uses     []use // of the waivers, in their order
	spent    []int // of the budgets, in their order
	purse    purse
	unsure   map[string]bool // what was said already of conditions that could not be evaluated
	worst    release.Risk    // of the findings that would ship
}

// A finding is named by the place of its scan and its own place in it.
type finding struct{ scan, index int }

// A problem is something besides findings that makes a decision worse.
type problem struct {
	outcome release.Outcome
	// lowered problems are warnings in audit mode.
	lowered bool
	text    string
}

func (d *decider) problem(outcome release.Outcome, format string, args ...any) {
	d.problems = append(d.problems, problem{outcome: outcome, text: fmt.Sprintf(format, args...)})
}

// inOrder sorts scans by what is in them, so that the order of files does not matter.
func inOrder(scans []release.Scan) []release.Scan {
	scans = slices.Clone(scans)
	slices.SortStableFunc(scans, func(a, b release.Scan) int {
		return cmp.Or(
			strings.Compare(a.Tool, b.Tool), strings.Compare(a.Category, b.Category), strings.Compare(a.File, b.File),
			strings.Compare(a.Digest, b.Digest), strings.Compare(a.Version, b.Version), cmp.Compare(len(a.Findings), len(b.Findings)),
			strings.Compare(string(a.Completeness), string(b.Completeness)), a.Ended.Compare(b.Ended),
			slices.CompareFunc(a.Findings, b.Findings, func(x, y release.Finding) int { return order(&x, &y) }),
		)
	})
	return scans
}

func summaries(scans []release.Scan) []release.ScanSummary {
	all := make([]release.ScanSummary, 0, len(scans))
	for i := range scans {
		s := &scans[i]
		all = append(all, release.ScanSummary{
			File: s.File, Digest: s.Digest, Tool: s.Tool, Version: s.Version, Category: s.Category, Commit: s.Commit,
			Ended: s.Ended, Completeness: s.Completeness, Notes: s.Notes, Rules: s.Rules, Findings: len(s.Findings),
		})
	}
	return all
}

// judgeScans looks at how far each scan got. A scan that yields nothing is a failure that no
// mode and no setting lowers.
func (d *decider) judgeScans() {
	if len(d.Scans) == 0 {
		d.problem(release.Fail, "%s: no scan was given: nothing is known of this commit", builtIn)
	}
	for i := range d.Scans {
		s := &d.Scans[i]
		switch s.Completeness {
		case release.ScanComplete:
		case release.ScanUnusable:
			d.problem(release.Fail, "%s: unusable scan: %s", builtIn, because(s, "the file could not be read"))
		case release.ScanIncomplete:
			d.react(d.policy.incomplete, "incomplete scan: %s: %s", describe(s), because(s, "the tool says that it did not finish"))
		case release.ScanUnknown:
			if d.policy.unstated.verb != release.Allow {
				d.react(d.policy.unstated, "%s does not say how its run ended", describe(s))
			}
		default: // ScanAbsent, and whatever is not known
			d.problem(release.Fail, "%s: no results: %s: %s", builtIn, describe(s), because(s, "results are absent"))
		}
		if d.elsewhere(s) && d.policy.other.verb != release.Allow {
			d.react(d.policy.other, "%s is of commit %s, not of this one", describe(s), s.Commit.Short())
		}
	}
}

// react adds a problem about a scan as a setting says.
func (d *decider) react(to reaction, format string, args ...any) {
	outcome := release.Warn
	if to.verb == release.Block {
		outcome = release.Fail
	}
	d.problem(outcome, "%s: %s", to.at, fmt.Sprintf(format, args...))
}

// elsewhere tells whether a scan says that it is of another commit.
func (d *decider) elsewhere(s *release.Scan) bool {
	return s.Commit != "" && d.Commit != "" && s.Commit != d.Commit && s.Commit != d.Head
}

func describe(s *release.Scan) string {
	name := s.Tool
	if name == "" {
		return s.File
	}
	if s.Category != "" {
		name += " (" + s.Category + ")"
	}
	return name + " in " + s.File
}

func because(s *release.Scan, otherwise string) string {
	if len(s.Notes) > 0 {
		return s.Notes[0]
	}
	return otherwise
}

// require checks that the tools that must have scanned this commit have.
func (d *decider) require() {
	for _, q := range d.policy.required {
		if why := d.missing(q); why != "" {
			d.problem(release.Fail, "%s: required scan: %s", q.at, why)
		}
	}
}

// missing says why no scan meets the requirement, "" when one does.
func (d *decider) missing(q requirement) string {
	name := strings.Join(q.tools, " or ")
	if q.category != "" {
		name += " (" + q.category + ")"
	}
	why := "no scan of " + name
	for i := range d.Scans {
		s := &d.Scans[i]
		if !matchTool(q.tools, s.Tool) || (q.category != "" && q.category != s.Category) {
			continue
		}
		switch lacking := lacking(q.rules, s.Rules); {
		case s.Completeness == release.ScanAbsent || s.Completeness == release.ScanUnusable:
			why = describe(s) + " holds no results"
		case d.elsewhere(s):
			why = fmt.Sprintf("%s is of commit %s", describe(s), s.Commit.Short())
		case q.stated && s.Commit == "":
			why = describe(s) + " does not say which commit it is of"
		case q.maxAge > 0 && s.Ended.IsZero():
			why = describe(s) + " does not say when it ended, so its age is not known"
		case q.maxAge > 0 && s.Ended.Sub(d.Now) > maxSkew:
			why = fmt.Sprintf("%s says that it ended in %s from now, so its age is not known", describe(s), roughly(s.Ended.Sub(d.Now)))
		case q.maxAge > 0 && d.Now.Sub(s.Ended) > q.maxAge:
			why = fmt.Sprintf("%s ended %s ago, more than %s", describe(s), roughly(d.Now.Sub(s.Ended)), roughly(q.maxAge))
		case lacking != "":
			why = fmt.Sprintf("%s has not evaluated rule %s", describe(s), lacking)
		default:
			return ""
		}
	}
	return why
}

// maxSkew is how far the clocks of two machines may be apart.
const maxSkew = 10 * time.Minute

// lacking returns the first wanted rule that no evaluated one fits.
func lacking(wanted, evaluated []string) string {
	for _, pattern := range wanted {
		if !slices.ContainsFunc(evaluated, func(id string) bool { return matchRule([]string{pattern}, id) }) {
			return pattern
		}
	}
	return ""
}

func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	default:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
}
