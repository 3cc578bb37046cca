// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/owenrumney/go-sarif/v2/sarif"

	"github.com/knowngood/knowngood/pkg/release"
)

// fingerprintName is the partial fingerprint under which our own stands in what Write writes,
// likenessName the one under which the finding's likeness stands.
const (
	fingerprintName = "knowngood/v1"
	likenessName    = "knowngoodLikeness/v1"
)

// noPlace is the file of a finding that has none: GitHub shows no result without a file.
const noPlace = "no-place-given"

// A ruleList makes the rules of a run, each once.
type ruleList struct {
	run    *sarif.Run
	places map[string]uint
	left   int // rules that the run has no room for
}

// add returns the place of a rule; ok is false where there is no room for it. A rule takes the
// highest score of its findings: GitHub reads the score of the rule, and lower ones must not
// hide a worse finding.
func (l *ruleList) add(id string, f *release.Finding) (index uint, ok bool) {
	driver := l.run.Tool.Driver
	index, known := l.places[id]
	if !known {
		if len(driver.Rules) == maxRules {
			l.left++
			return 0, false
		}
		index = uint(len(driver.Rules))
		l.places[id] = index
		text := cmp.Or(id, unnamedRule)
		said := sarif.NewMultiformatMessageString(cutText(text, maxDescription-len("…")))
		driver.Rules = append(driver.Rules, &sarif.ReportingDescriptor{ID: text, ShortDescription: said, FullDescription: said, Help: said})
	}
	if f != nil {
		describe(driver.Rules[index], f)
	}
	return index, true
}

const unnamedRule = "a rule without a name"

func describe(rule *sarif.ReportingDescriptor, f *release.Finding) {
	if f.Help != "" && rule.HelpURI == nil {
		rule.HelpURI = &f.Help
	}
	tags, _ := rule.Properties["tags"].([]string)
	add := func(tag string) {
		if len(tags) < maxTags && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	properties := sarif.Properties{}
	if before, ok := rule.Properties["security-severity"].(string); ok {
		properties["security-severity"] = before
	}
	if f.Score != nil {
		add("security")
		text := strconv.FormatFloat(*f.Score, 'f', 1, 64)
		if before, ok := properties["security-severity"].(string); !ok || higher(text, before) {
			properties["security-severity"] = text
		}
	}
	for _, number := range f.CWE {
		add("security")
		add(fmt.Sprintf("external/cwe/cwe-%03d", number))
	}
	if len(tags) > 0 {
		properties["tags"] = tags
	}
	if len(properties) > 0 {
		rule.Properties = properties
	}
}

func higher(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && (errY != nil || x > y)
}

func resultOf(j release.Judgement, rule uint) *sarif.Result {
	f := j.Finding
	id, level := cmp.Or(f.Rule, unnamedRule), string(f.Level)
	result := sarif.NewRuleResult(id).WithLevel(level).WithMessage(sarif.NewTextMessage(cmp.Or(cutText(f.Message, maxMessage), id)))
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
	result.Locations = []*sarif.Location{locationOf(f.Location)}
	for _, s := range f.Suppressions {
		result.Suppressions = append(result.Suppressions, suppressionOf(f, s.Kind, s.Status, s.Justification))
	}
	if j.Verb == release.Waive {
		result.Suppressions = append(result.Suppressions,
			suppressionOf(f, release.SuppressionExternal, release.SuppressionAccepted, j.Because))
	}
	return result
}

// locationOf returns the place as GitHub needs it: a file, and a line in it.
func locationOf(l release.Location) *sarif.Location {
	path := (&url.URL{Path: cmp.Or(l.Path, noPlace)}).String()
	region := sarif.NewRegion().WithStartLine(max(l.Line, 1))
	if l.Line > 0 && l.Column > 0 {
		region.WithStartColumn(l.Column)
	}
	if l.Line > 0 && l.EndLine >= l.Line {
		region.WithEndLine(l.EndLine)
	}
	place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(path)).WithRegion(region)
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
