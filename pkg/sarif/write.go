// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"

	"github.com/owenrumney/go-sarif/v2/sarif"

	"github.com/knowngood/knowngood/pkg/release"
)

// fingerprintName is the partial fingerprint under which our own stands in what Write writes.
const fingerprintName = "knowngood/v1"

// likenessName is the one under which the finding's likeness stands.
const likenessName = "knowngoodLikeness/v1"

// Write writes a decision as SARIF 2.1.0: a run for each scan whose results count, with the
// baseline's states, with waivers as external suppressions, and with the score of each rule as
// GitHub reads it. Each run has an id of its own, because GitHub refuses two runs of one tool
// and category. Findings that only the baseline had stand as absent in their tool's first run.
func Write(w io.Writer, d release.Decision) error {
	report, err := sarif.New(sarif.Version210)
	if err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	for i, scan := range d.Scans {
		if scan.Completeness == release.ScanAbsent || scan.Completeness == release.ScanUnusable {
			continue
		}
		report.AddRun(runOf(d, i, scan))
	}
	if err := report.PrettyWrite(w); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

func runOf(d release.Decision, at int, scan release.ScanSummary) *sarif.Run {
	run := sarif.NewRun(*sarif.NewSimpleTool(scan.Tool))
	if scan.Version != "" {
		run.Tool.Driver.Version = &scan.Version
	}
	id := fmt.Sprintf("%s/%d", cmp.Or(scan.Category, "knowngood-"+scan.Tool), at)
	run.AutomationDetails = sarif.NewRunAutomationDetails().WithID(id)
	success := scan.Completeness != release.ScanIncomplete
	run.Invocations = []*sarif.Invocation{{ExecutionSuccessful: &success}}
	run.Results = []*sarif.Result{}
	rules := map[string]uint{}
	for _, rule := range scan.Rules {
		ruleOf(run, rules, rule, nil)
	}
	for _, j := range d.Judgements {
		if j.Scan == at || (j.Scan < 0 && firstOf(d.Scans, j.Finding.Tool) == at) {
			index := ruleOf(run, rules, j.Finding.Rule, &j.Finding)
			run.AddResult(resultOf(j, index))
		}
	}
	return run
}

func firstOf(scans []release.ScanSummary, tool string) int {
	return slices.IndexFunc(scans, func(s release.ScanSummary) bool { return s.Tool == tool })
}

// ruleOf adds a rule once. A rule takes the highest score of its findings: GitHub reads the
// score of the rule, and lower ones must not hide a worse finding.
func ruleOf(run *sarif.Run, rules map[string]uint, id string, f *release.Finding) uint {
	index, known := rules[id]
	if !known {
		index = uint(len(run.Tool.Driver.Rules))
		rules[id] = index
		text := cmp.Or(id, "a rule without a name")
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, &sarif.ReportingDescriptor{
			ID: text, ShortDescription: sarif.NewMultiformatMessageString(text),
		})
	}
	rule := run.Tool.Driver.Rules[index]
	if f == nil {
		return index
	}
	if f.Help != "" && rule.HelpURI == nil {
		rule.HelpURI = &f.Help
	}
	if f.Score != nil {
		text := strconv.FormatFloat(*f.Score, 'f', 1, 64)
		if before, ok := rule.Properties["security-severity"].(string); !ok || higher(text, before) {
			rule.Properties = sarif.Properties{"security-severity": text, "tags": []string{"security"}}
		}
	}
	return index
}

func higher(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && (errY != nil || x > y)
}

func resultOf(j release.Judgement, rule uint) *sarif.Result {
	f := j.Finding
	id, level := cmp.Or(f.Rule, "a rule without a name"), string(f.Level)
	result := sarif.NewRuleResult(id).WithLevel(level).WithMessage(sarif.NewTextMessage(cmp.Or(f.Message, id)))
	result.RuleIndex = &rule
	if f.Kind != "" && f.Kind != release.KindFail {
		kind := string(f.Kind)
		result.Kind = &kind
	}
	if f.Fingerprint != "" && !f.Secret {
		result.PartialFingerprints = map[string]any{fingerprintName: f.Fingerprint}
		if f.Likeness != "" {
			result.PartialFingerprints[likenessName] = f.Likeness
		}
	}
	if f.Baseline != "" {
		state := string(f.Baseline)
		result.BaselineState = &state
	}
	if f.Location.Path != "" {
		result.Locations = []*sarif.Location{locationOf(f.Location)}
	}
	for _, s := range f.Suppressions {
		result.Suppressions = append(result.Suppressions, suppressionOf(f, s.Kind, s.Status, s.Justification))
	}
	if j.Verb == release.Waive {
		result.Suppressions = append(result.Suppressions,
			suppressionOf(f, release.SuppressionExternal, release.SuppressionAccepted, j.Because))
	}
	return result
}

func locationOf(l release.Location) *sarif.Location {
	place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation((&url.URL{Path: l.Path}).String()))
	if l.Line > 0 {
		region := sarif.NewRegion().WithStartLine(l.Line)
		if l.Column > 0 {
			region.WithStartColumn(l.Column)
		}
		if l.EndLine >= l.Line {
			region.WithEndLine(l.EndLine)
		}
		place.WithRegion(region)
	}
	return sarif.NewLocationWithPhysicalLocation(place)
}

// suppressionOf sets every field: the library writes null for those that are not set, and
// the schema allows none. The guid is made of the finding, so that the same decision is the
// same file.
func suppressionOf(f release.Finding, kind, status, justification string) *sarif.Suppression {
	sum := sha256.Sum256([]byte(f.Tool + "\x00" + f.Rule + "\x00" + f.Fingerprint + "\x00" + f.Location.Path + "\x00" + kind))
	guid := fmt.Sprintf("%x-%x-5%03x-8%03x-%x", sum[0:4], sum[4:6], int(sum[6])<<4|int(sum[7])>>4, int(sum[8])<<4|int(sum[9])>>4, sum[10:16])
	return sarif.NewSuppression(kind).WithStatus(status).WithGuid(guid).
		WithLocation(sarif.NewLocation()).WithJustifcation(cmp.Or(justification, "no justification given"))
}
