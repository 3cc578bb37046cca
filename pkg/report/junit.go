// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// JUnit returns an entry with a decision as JUnit XML, which most CI systems show. The first
// suite holds the decision itself, so that the report is red exactly when the gate is closed;
// then comes a suite for each scan with its findings: what blocks is a failure, what is waived is
// skipped, everything else has passed, with what was said of it. A scan that is of no use is an
// error.
func JUnit(entry release.Entry) ([]byte, error) {
	d := entry.Decision
	if d == nil {
		return nil, fmt.Errorf("write JUnit XML: the entry of step %q holds no decision", entry.Step)
	}
	whole := suites{Name: "knowngood", Suites: []suite{gateSuite(d)}}
	for i, scan := range d.Scans {
		whole.Suites = append(whole.Suites, scanSuite(i, scan))
	}
	for _, j := range d.Judgements {
		if j.Finding.Baseline != release.BaselineAbsent && j.Scan >= 0 && j.Scan < len(d.Scans) {
			s := &whole.Suites[j.Scan+1]
			s.Cases = append(s.Cases, findingCase(j))
		}
	}
	for i := range whole.Suites {
		s := &whole.Suites[i]
		s.Time, s.Stamp = "0", entry.Began.UTC().Format(time.RFC3339)
		s.count()
		whole.add(s.sums)
	}
	text, err := xml.MarshalIndent(whole, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JUnit XML: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

type sums struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
}

func (s *sums) add(more sums) {
	s.Tests += more.Tests
	s.Failures += more.Failures
	s.Errors += more.Errors
	s.Skipped += more.Skipped
}

type suites struct {
	XMLName xml.Name `xml:"testsuites"`
	Name    string   `xml:"name,attr"`
	sums
	Suites []suite `xml:"testsuite"`
}

type suite struct {
	Name string `xml:"name,attr"`
	sums
	Time  string      `xml:"time,attr"`
	Stamp string      `xml:"timestamp,attr"`
	Cases []junitCase `xml:"testcase"`
}

func (s *suite) count() {
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

type junitCase struct {
	Class   string  `xml:"classname,attr"`
	Name    string  `xml:"name,attr"`
	File    string  `xml:"file,attr,omitempty"`
	Line    int     `xml:"line,attr,omitempty"`
	Time    string  `xml:"time,attr"`
	Failure *detail `xml:"failure"`
	Error   *detail `xml:"error"`
	Skipped *detail `xml:"skipped"`
	Out     string  `xml:"system-out,omitempty"`
}

type detail struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

func gateSuite(d *release.Decision) suite {
	var reasons []string
	for _, reason := range d.Reasons {
		reasons = append(reasons, Clean(reason))
	}
	text := strings.Join(reasons, "\n")
	c := junitCase{Class: "knowngood", Name: "gate", Time: "0"}
	if d.Outcome == release.Pass || d.Outcome == release.Warn {
		c.Out = "decision " + outcomeWord(d.Outcome) + "\n" + text
	} else {
		c.Failure = &detail{Message: "the gate is closed", Type: "decision", Text: text}
	}
	return suite{Name: "knowngood gate", Cases: []junitCase{c}}
}

func scanSuite(at int, scan release.ScanSummary) suite {
	name := cmp.Or(Clean(toolOf(scan)), "scan")
	if scan.Category != "" {
		name += " (" + Clean(scan.Category) + ")"
	}
	c := junitCase{Class: cmp.Or(Clean(scan.File), "scan"), Name: fmt.Sprintf("scan %d is usable", at+1), Time: "0"}
	var notes []string
	for _, note := range scan.Notes {
		notes = append(notes, Clean(note))
	}
	text := strings.Join(notes, "\n")
	switch scan.Completeness {
	case release.ScanComplete, release.ScanUnknown, release.ScanIncomplete:
		c.Out = strings.TrimSpace(strings.TrimPrefix(completeness(scan.Completeness), bad.sign()+" ") + "\n" + text)
	default:
		c.Error = &detail{Message: strings.TrimPrefix(completeness(scan.Completeness), bad.sign()+" "), Type: "scan", Text: text}
	}
	return suite{Name: name, Cases: []junitCase{c}}
}

func findingCase(j release.Judgement) junitCase {
	f := j.Finding
	c := junitCase{
		Class: cmp.Or(Clean(f.Tool+" "+f.Rule), "finding"), Name: placeText(f.Location), Time: "0",
		File: Clean(f.Location.Path), Line: f.Location.Line,
	}
	message := Clean(messageOf(f))
	lines := []string{gravityText(f) + ": " + message}
	for _, more := range []string{j.Because, j.Match, f.Help} {
		if more = Clean(more); more != "" {
			lines = append(lines, more)
		}
	}
	text := strings.Join(lines, "\n")
	switch j.Verb {
	case release.Block:
		c.Failure = &detail{Message: message, Type: gravityText(f), Text: text}
	case release.Waive:
		c.Skipped = &detail{Message: Clean(j.Because)}
	default:
		c.Out = verbWord(j.Verb) + ": " + text
	}
	return c
}
