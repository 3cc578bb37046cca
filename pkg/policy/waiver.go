// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/knowngood/knowngood/pkg/release"
)

// matches tells whether a finding is selected. Rule and path may be globs.
func (m Match) matches(f release.Finding) bool {
	return (m.Tool == "" || strings.EqualFold(m.Tool, f.Tool)) &&
		(m.Rule == "" || glob(m.Rule, f.Rule)) &&
		(m.Path == "" || (f.Location.Path != "" && glob(m.Path, f.Location.Path))) &&
		(m.Fingerprint == "" || m.Fingerprint == f.Fingerprint) &&
		(m.CWE == 0 || slices.Contains(f.CWE, m.CWE)) &&
		(m.Severity == "" || m.Severity == f.Severity)
}

func (m Match) empty() bool { return m == Match{} }

// String names what is selected, for people.
func (m Match) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("tool", m.Tool)
	add("rule", m.Rule)
	if m.CWE != 0 {
		add("cwe", fmt.Sprint(m.CWE))
	}
	add("path", m.Path)
	add("fingerprint", m.Fingerprint)
	add("severity", string(m.Severity))
	return strings.Join(parts, ", ")
}

// glob matches as the policy file's reader has checked: the pattern is well-formed.
func glob(pattern, text string) bool {
	matched, err := doublestar.Match(pattern, text)
	return matched && err == nil
}

// waived asks the waivers. An expired one that still matches blocks: what was accepted for a
// time is not accepted any more.
func (d *deciding) waived(f release.Finding) (release.Verb, string) {
	expired := ""
	for i, waiver := range d.policy.Waivers {
		if !waiver.matches(f) {
			continue
		}
		d.used[i]++
		if left := waiver.daysLeft(d.request.Now); left >= 0 {
			return release.Waive, fmt.Sprintf("%s: waived by %s until %s: %s",
				waiver.Where, waiver.Owner, waiver.Expires.Format(time.DateOnly), waiver.Reason)
		}
		expired = fmt.Sprintf("%s: the waiver by %s expired on %s", waiver.Where, waiver.Owner, waiver.Expires.Format(time.DateOnly))
	}
	if expired != "" {
		return release.Block, expired
	}
	return "", ""
}

// daysLeft counts whole days; on its last day a waiver has 0 left, then it is negative.
func (w Waiver) daysLeft(now time.Time) int {
	today := now.UTC().Truncate(24 * time.Hour)
	return int(w.Expires.Sub(today).Hours() / 24)
}

// waivers tells what each waiver did, so that unused and expired ones are seen.
func (d *deciding) waivers() {
	for i, waiver := range d.policy.Waivers {
		left := waiver.daysLeft(d.request.Now)
		d.decision.Waivers = append(d.decision.Waivers, release.WaiverUse{
			Waiver: waiver.Where + ": " + waiver.String(), Owner: waiver.Owner, Findings: d.used[i], DaysLeft: left, Expired: left < 0,
		})
	}
}

// budgets counts what was let through.
func (d *deciding) budgets() {
	for _, budget := range d.policy.Budgets {
		count := 0
		for _, j := range d.decision.Judgements {
			if j.Scan >= 0 && j.Finding.Severity == budget.Severity && j.Verb != release.Waive && !d.policy.suppressed(j.Finding) {
				count++
			}
		}
		if count <= budget.AtMost {
			continue
		}
		text := fmt.Sprintf("%s: %d findings of severity %s, and at most %d may be", budget.Where, count, budget.Severity, budget.AtMost)
		if d.decision.Mode == release.Audit {
			d.notices = append(d.notices, "audit: "+text)
		} else {
			d.blocks = append(d.blocks, text)
		}
	}
}
