// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// maxReasons is how many findings are named among the reasons; the judgements hold them all.
const maxReasons = 10

// charge counts a finding against the budgets that it fits, unless it is waived.
func (d *decider) charge(j *release.Judgement, s *sighting) {
	if j.Verb == release.Waive {
		return
	}
	for i := range d.policy.budgets {
		fits, err := d.policy.budgets[i].match(s, &d.purse)
		if err != nil {
			d.doubt(err)
		}
		if fits {
			d.spent[i]++
		}
	}
}

// doubt fails the decision over a condition that could not be evaluated, once for each reason.
func (d *decider) doubt(err error) {
	if text := err.Error(); !d.unsure[text] {
		d.unsure[text] = true
		d.problem(release.Fail, "%s", text)
	}
}

// spend holds what was counted against the budgets.
func (d *decider) spend() {
	for i := range d.policy.budgets {
		b := &d.policy.budgets[i]
		if n := d.spent[i]; n > b.most {
			d.problems = append(d.problems, problem{
				outcome: release.Fail, lowered: true,
				text: fmt.Sprintf("%s: %d findings of %s, at most %d are allowed", b.at, n, b, b.most),
			})
		}
	}
}

// sum draws outcome, reasons and risk from the problems and the judgements.
func (d *decider) sum() {
	out := &d.decision
	out.Outcome = release.Pass
	worsen := func(to release.Outcome) {
		out.Outcome = outcomes()[max(outcomeRank(to), outcomeRank(out.Outcome))]
	}
	var failing, warning []string
	for _, p := range d.problems {
		if p.lowered && d.Mode == release.Audit && p.outcome == release.Fail {
			p.outcome, p.text = release.Warn, "audit: would fail: "+p.text
		}
		worsen(p.outcome)
		if p.outcome == release.Fail {
			failing = append(failing, p.text)
		} else {
			warning = append(warning, p.text)
		}
	}
	blocking, noticed := d.told(release.Block, worsen), d.told(release.Notice, worsen)
	out.Waivers = d.waivers()
	warning = append(warning, stale(out.Waivers)...)
	warning = append(warning, d.unbased(len(blocking) > 0)...)
	out.Reasons = slices.Concat(failing, blocking, warning, noticed)
	if len(out.Reasons) == 0 {
		out.Reasons = []string{fmt.Sprintf("%s: nothing above the thresholds among %d findings of %d scans", d.policy.name, d.present(), len(d.Scans))}
	}
	out.Risk = d.risk()
	if how := d.policy.protects(out.Risk); how.how != "" {
		out.Protect, out.ProtectBecause = how.how, fmt.Sprintf("%s: risk %s", how.at, out.Risk)
	}
}

// unbased says that there is no baseline, where one was asked for or would matter.
func (d *decider) unbased(blocked bool) []string {
	at := builtIn
	if d.policy.newOnly {
		at = d.policy.newOnlyAt
	}
	why := "there is no baseline"
	switch {
	case d.Baseline != nil, d.Unbased == "" && !(d.policy.newOnly && blocked):
		return nil
	case d.Unbased != "":
		why = "there is no baseline (" + d.Unbased + ")"
	}
	return []string{fmt.Sprintf("%s: %s: every finding counts as new", at, why)}
}

// told names the worst findings of a verb, and counts the rest.
func (d *decider) told(verb release.Verb, worsen func(release.Outcome)) (reasons []string) {
	n := 0
	for i := range d.decision.Judgements {
		j := &d.decision.Judgements[i]
		if j.Verb != verb {
			continue
		}
		if n++; n <= maxReasons {
			reasons = append(reasons, fmt.Sprintf("%s: %s%s", j.Because, name(&j.Finding), at(j.Finding.Location)))
		}
	}
	if n > maxReasons {
		reasons = append(reasons, fmt.Sprintf("and %d more", n-maxReasons))
	}
	switch {
	case n > 0 && verb == release.Block:
		worsen(release.Fail)
	case n > 0:
		worsen(release.Warn)
	}
	return reasons
}

func name(f *release.Finding) string {
	return strings.TrimSpace(f.Tool + " " + f.Rule)
}

func at(l release.Location) string {
	switch {
	case l.Path == "":
		return ""
	case l.Line == 0:
		return " at " + l.Path
	default:
		return fmt.Sprintf(" at %s:%d", l.Path, l.Line)
	}
}

// stale names waivers that did nothing: they may go.
func stale(uses []release.WaiverUse) (reasons []string) {
	for _, u := range uses {
		if u.Findings == 0 {
			reasons = append(reasons, fmt.Sprintf("unused waiver: %s of %s", u.Waiver, u.Owner))
		}
	}
	return reasons
}

func (d *decider) present() (n int) {
	for i := range d.Scans {
		n += len(d.Scans[i].Findings)
	}
	return n
}

// outcomes come best first.
func outcomes() []release.Outcome { return []release.Outcome{release.Pass, release.Warn, release.Fail} }

func outcomeRank(o release.Outcome) int { return slices.Index(outcomes(), o) }

// risk is the worst severity among findings that would ship: those that block, warn or are
// waived, and those that are allowed for being small. Where a scan is not known to be whole
// it is high at least: what nobody has looked at may be anything.
func (d *decider) risk() release.Risk {
	for _, p := range d.problems {
		if p.outcome == release.Fail && !p.lowered {
			return worse(d.worst, release.RiskHigh)
		}
	}
	return d.worst
}

func worse(a, b release.Risk) release.Risk {
	return risks()[max(riskRank(a), riskRank(b))]
}

func riskOf(s release.Severity) release.Risk {
	switch s {
	case release.SeverityCritical:
		return release.RiskCritical
	case release.SeverityHigh:
		return release.RiskHigh
	case release.SeverityMedium:
		return release.RiskMedium
	case release.SeverityLow:
		return release.RiskLow
	default:
		return release.RiskNone
	}
}

func riskRank(r release.Risk) int { return slices.Index(risks(), r) }

func severityRank(s release.Severity) int {
	return slices.Index([]release.Severity{
		release.SeverityUnknown, release.SeverityNone, release.SeverityLow, release.SeverityMedium, release.SeverityHigh, release.SeverityCritical,
	}, s)
}

// worseFirst orders judgements by verb, then by how bad the finding is, then by its place.
func (d *decider) worseFirst(a, b release.Judgement) int {
	verb := func(v release.Verb) int {
		return slices.Index([]release.Verb{release.Block, release.Notice, release.Waive, release.Allow}, v)
	}
	return cmp.Or(
		cmp.Compare(verb(a.Verb), verb(b.Verb)),
		cmp.Compare(severityRank(d.policy.severity(&b.Finding)), severityRank(d.policy.severity(&a.Finding))),
		order(&a.Finding, &b.Finding),
		cmp.Compare(a.Scan, b.Scan),
		cmp.Compare(a.Because, b.Because),
	)
}

// order compares findings by their content alone, the worse first.
func order(a, b *release.Finding) int {
	score := func(f *release.Finding) float64 {
		if f.Score == nil {
			return -1
		}
		return *f.Score
	}
	return cmp.Or(
		cmp.Compare(score(b), score(a)),
		cmp.Compare(levelRank(b.Level), levelRank(a.Level)),
		cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Location.Path, b.Location.Path), cmp.Compare(a.Location.Line, b.Location.Line),
		cmp.Compare(a.Location.Column, b.Location.Column), cmp.Compare(a.Fingerprint, b.Fingerprint),
		cmp.Compare(a.Message, b.Message), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Baseline, b.Baseline),
		cmp.Compare(fmt.Sprint(a.Suppressions), fmt.Sprint(b.Suppressions)),
		cmp.Compare(a.FingerprintKind, b.FingerprintKind), cmp.Compare(a.Likeness, b.Likeness),
		slices.Compare(a.CWE, b.CWE), cmp.Compare(strconv.FormatBool(a.Secret), strconv.FormatBool(b.Secret)),
	)
}
