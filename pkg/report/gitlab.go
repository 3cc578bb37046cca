// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// gitlabVersion is the version of GitLab's security report schemas that GitLab writes.
const gitlabVersion = "15.2.1"

const (
	gitlabNameLimit        = 255
	gitlabDescriptionLimit = 16 << 10
)

// GitLab returns an entry with a decision as GitLab's SAST report (gl-sast-report.json): one
// scan by knowngood, with a vulnerability for each finding that is there and that nobody has
// accepted. What was waived, what the scanner suppressed and what is gone is left out, as in the
// reports of GitLab's own analyzers. The scan counts as failed where one of the scans is not
// known to be whole, or GitLab would take for mended what nobody looked at.
func GitLab(entry release.Entry) ([]byte, error) {
	d := entry.Decision
	if d == nil {
		return nil, fmt.Errorf("write GitLab's report: the entry of step %q holds no decision", entry.Step)
	}
	self := gitlabTool{ID: "knowngood", Name: "knowngood", Version: cmp.Or(Clean(entry.Version), "unknown"), Vendor: named{"knowngood"}}
	file := gitlabReport{
		Version: gitlabVersion,
		Scan: gitlabScan{
			Type: "sast", Status: "success", Analyzer: self, Scanner: self,
			Start: gitlabTime(entry.Began), End: gitlabTime(entry.Ended),
		},
		Vulnerabilities: []vulnerability{},
	}
	for _, scan := range d.Scans {
		file.Scan.note(scan)
	}
	accepted := 0
	for i, j := range d.Judgements {
		switch {
		case j.Finding.Baseline == release.BaselineAbsent, j.Verb == release.Allow && passed(j.Finding):
		case j.Verb == release.Waive, j.Verb == release.Allow && j.Finding.Suppressed:
			accepted++
		default:
			file.Vulnerabilities = append(file.Vulnerabilities, vulnerabilityOf(i, j))
		}
	}
	if accepted > 0 {
		file.Scan.say("info", count(accepted, "finding")+" left out: waived, or suppressed by the scanner")
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write GitLab's report: %w", err)
	}
	return append(text, '\n'), nil
}

// passed tells a result that says of the code that it is fine.
func passed(f release.Finding) bool {
	return f.Kind == release.KindPass || f.Kind == release.KindNotApplicable
}

type gitlabReport struct {
	Version         string          `json:"version"`
	Scan            gitlabScan      `json:"scan"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type gitlabScan struct {
	Type     string          `json:"type"`
	Status   string          `json:"status"`
	Start    string          `json:"start_time"`
	End      string          `json:"end_time"`
	Analyzer gitlabTool      `json:"analyzer"`
	Scanner  gitlabTool      `json:"scanner"`
	Messages []gitlabMessage `json:"messages,omitempty"`
}

type gitlabTool struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Vendor  named  `json:"vendor"`
}

type named struct {
	Name string `json:"name"`
}

type gitlabMessage struct {
	Level string `json:"level"`
	Value string `json:"value"`
}

type vulnerability struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Severity    string         `json:"severity"`
	Identifiers []identifier   `json:"identifiers"`
	Links       []gitlabLink   `json:"links,omitempty"`
	Location    gitlabLocation `json:"location"`
}

type identifier struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
	URL   string `json:"url,omitempty"`
}

type gitlabLink struct {
	URL string `json:"url"`
}

type gitlabLocation struct {
	File  string `json:"file,omitempty"`
	Start int    `json:"start_line,omitempty"`
	End   int    `json:"end_line,omitempty"`
}

// note says of a scan what is not as it should be.
func (s *gitlabScan) note(scan release.ScanSummary) {
	level := "warn"
	switch scan.Completeness {
	case release.ScanComplete:
		return
	case release.ScanUnknown:
	case release.ScanIncomplete:
		s.Status = "failure"
	default:
		s.Status, level = "failure", "fatal"
	}
	value := Clean(toolOf(scan)) + ": " + strings.TrimPrefix(completeness(scan.Completeness), bad.sign()+" ")
	for _, note := range scan.Notes {
		value += ": " + cut(Clean(note), errorLength)
	}
	s.say(level, value)
}

func (s *gitlabScan) say(level, value string) {
	s.Messages = append(s.Messages, gitlabMessage{level, value})
}

func vulnerabilityOf(at int, j release.Judgement) vulnerability {
	f := j.Finding
	tool, rule := cmp.Or(Clean(f.Tool), "unknown tool"), cmp.Or(Clean(f.Rule), "a rule without a name")
	v := vulnerability{
		ID: gitlabID(at, f), Name: cut(rule, gitlabNameLimit), Severity: gitlabSeverity(f),
		Description: prose(messageOf(f), gitlabDescriptionLimit),
		Identifiers: []identifier{{Type: slug(tool) + "_rule_id", Name: tool + " " + rule, Value: rule, URL: webAddress(f.Help)}},
		Location:    gitlabLocation{File: Clean(f.Location.Path), Start: f.Location.Line, End: f.Location.EndLine},
	}
	if j.Because != "" {
		v.Description += "\n\nknowngood: " + verbWord(j.Verb) + ": " + prose(j.Because, errorLength)
	}
	for _, number := range f.CWE {
		v.Identifiers = append(v.Identifiers, identifier{
			Type: "cwe", Name: "CWE-" + strconv.Itoa(number), Value: strconv.Itoa(number),
			URL: fmt.Sprintf("https://cwe.mitre.org/data/definitions/%d.html", number),
		})
	}
	if help := webAddress(f.Help); help != "" {
		v.Links = []gitlabLink{{help}}
	}
	return v
}

// gitlabID is made of the finding, so that the same decision is the same file, and of its place
// among the others, so that no two are the same.
func gitlabID(at int, f release.Finding) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(at) + "\x00" + f.Tool + "\x00" + f.Rule + "\x00" + f.Fingerprint))
	return fmt.Sprintf("%x-%x-5%03x-8%03x-%x", sum[0:4], sum[4:6], int(sum[6])<<4|int(sum[7])>>4, int(sum[8])<<4|int(sum[9])>>4, sum[10:16])
}

// gitlabSeverity is the band of the score or, without one, what the level is worth.
func gitlabSeverity(f release.Finding) string {
	switch f.Severity {
	case release.SeverityCritical:
		return "Critical"
	case release.SeverityHigh:
		return "High"
	case release.SeverityMedium:
		return "Medium"
	case release.SeverityLow:
		return "Low"
	case release.SeverityNone, release.SeverityUnknown:
	}
	switch f.Level {
	case release.LevelError:
		return "High"
	case release.LevelWarning:
		return "Medium"
	case release.LevelNote:
		return "Low"
	case release.LevelNone:
		return "Info"
	}
	return "Unknown"
}

// gitlabTime writes a time as the schema has it, in UTC without saying so.
func gitlabTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }

// slug is a name in lower case, with an underscore for each run of other characters than
// letters and digits.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return cmp.Or(strings.Join(words, "_"), "tool")
}
