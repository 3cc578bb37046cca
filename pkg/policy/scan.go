// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// scans holds what was scanned against what must have been. Nothing here bends to audit mode:
// audit lowers findings, and where there was no scan there is nothing to lower.
func (d *deciding) scans(scans []release.Scan) {
	if len(scans) == 0 {
		d.failures = append(d.failures, "no scan: nothing is known of this commit")
	}
	for _, scan := range scans {
		d.decision.Scans = append(d.decision.Scans, summary(scan))
		d.scan(scan)
	}
	for _, requirement := range d.policy.Required {
		if why := requirement.unmet(scans, d.request.Now); why != "" {
			d.failures = append(d.failures, fmt.Sprintf("%s: %s is required, %s", requirement.Where, requirement.Tool, why))
		}
	}
}

func (d *deciding) scan(scan release.Scan) {
	name := strings.TrimSpace(scan.Tool + " in " + scan.File)
	if scan.Tool == "" {
		name = scan.File
	}
	if scan.Commit != "" && d.request.Commit != "" && scan.Commit != d.request.Commit {
		d.failures = append(d.failures, fmt.Sprintf("%s scanned commit %s, not %s", name, scan.Commit.Short(), d.request.Commit.Short()))
	}
	switch scan.Completeness {
	case release.ScanComplete:
	case release.ScanUnknown:
		d.apply(d.policy.Unstated, name+" does not say how it ended")
	case release.ScanIncomplete:
		d.apply(d.policy.Incomplete, name+" is incomplete"+notes(scan))
		d.decision.Risk = maxRisk(d.decision.Risk, release.RiskMedium)
	case release.ScanAbsent:
		d.failures = append(d.failures, name+" has no results: the scan did not happen"+notes(scan))
	case release.ScanUnusable:
		d.failures = append(d.failures, name+" is unusable"+notes(scan))
	default:
		d.failures = append(d.failures, fmt.Sprintf("%s: its completeness %q is not known", name, scan.Completeness))
	}
}

func (d *deciding) apply(setting Setting, text string) {
	switch setting.Verb {
	case release.Block:
		d.failures = append(d.failures, setting.Where+": "+text)
	case release.Notice:
		d.notices = append(d.notices, setting.Where+": "+text)
	case release.Allow, release.Waive:
	}
}

func notes(scan release.Scan) string {
	if len(scan.Notes) == 0 {
		return ""
	}
	more := ""
	if len(scan.Notes) > 1 {
		more = fmt.Sprintf(" (and %d more notes)", len(scan.Notes)-1)
	}
	return ": " + scan.Notes[0] + more
}

// unmet says why no scan satisfies the requirement, "" when one does.
func (r Requirement) unmet(scans []release.Scan, now time.Time) string {
	why := "and no scan is from it"
	for _, scan := range scans {
		if !strings.EqualFold(scan.Tool, r.Tool) {
			continue
		}
		if why = r.lacks(scan, now); why == "" {
			return ""
		}
	}
	return why
}

func (r Requirement) lacks(scan release.Scan, now time.Time) string {
	if r.MaxAge > 0 {
		switch age := now.Sub(scan.Ended); {
		case scan.Ended.IsZero():
			return fmt.Sprintf("at most %s old, and %s does not say when it ended", r.MaxAge, scan.File)
		case age > r.MaxAge:
			return fmt.Sprintf("at most %s old, and %s ended %s ago", r.MaxAge, scan.File, age.Round(time.Minute))
		}
	}
	for _, rule := range r.Rules {
		if !slices.Contains(scan.Rules, rule) {
			return fmt.Sprintf("with rule %s, which %s does not name among the rules that were on", rule, scan.File)
		}
	}
	return ""
}
