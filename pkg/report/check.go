// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Sizes of a check run.
const (
	// CheckLimit is the most that a check run's summary holds, in bytes.
	CheckLimit = 65535
	// AnnotationLimit is how many findings a check run points out at their places. GitHub takes
	// fifty at a time and slows down who writes more often than eighty times a minute; nobody
	// reads more.
	AnnotationLimit = 500

	titleLength      = 120
	annotationTitle  = 200  // GitHub takes 255 characters
	annotationLength = 2000 // GitHub takes 64 KiB, which nobody reads in the margin of a file
	longestPath      = 1000
	lastLine         = 10_000_000
)

// A Check is a record as a check run shows it.
type Check struct {
	// Conclusion is success, failure, or neutral for a record that is not verified.
	Conclusion string
	// Title is one line of text, Summary is Markdown of less than 65,535 bytes.
	Title, Summary string
	// Annotations point findings out at their places in the source, worst first.
	Annotations []Annotation
}

// An Annotation is one finding at its place. Its texts are plain: a check run shows them as they are.
type Annotation struct {
	Path          string
	Line, EndLine int
	// Level is failure (it blocks) or warning (it is noticed, or would block but for audit mode).
	Level          string
	Title, Message string
}

// CheckOf returns the check run of a record, and false for a record without a gate: a decision
// that nobody made must not look like one. A release that a later step failed is no success.
func CheckOf(record release.Record, options Options) (Check, bool) {
	s := options.tell(record)
	if s.gate == nil {
		return Check{}, false
	}
	c := Check{Conclusion: "failure", Title: s.title()}
	if d := s.gate.Decision; d != nil {
		shown, total := Annotations(d, AnnotationLimit)
		c.Annotations = shown
		options.pointed = pointed(len(shown), total)
	}
	switch {
	case options.Unverified:
		c.Conclusion = "neutral"
	case (s.outcome() == release.Pass || s.outcome() == release.Warn) && s.mark != bad && s.failed() == "":
		c.Conclusion = "success"
	}
	c.Summary = render(record, options, options.limit(CheckLimit), extent{findings: 20, others: 40, rows: 60})
	return c, true
}

// title is the headline as plain text.
func (s story) title() string {
	text := s.word + ": " + fmt.Sprintf(s.text, Clean(s.record.App), Clean(s.record.Environment))
	return cut(text, titleLength)
}

// pointed says how many of all findings are annotated. It is never cut.
func pointed(shown, total int) string {
	switch {
	case total == 0:
		return ""
	case shown == 0:
		return "No place in the source is known of " + count(total, "finding") + "."
	case shown == total:
		return count(total, "finding") + " annotated in the source."
	}
	return fmt.Sprintf("%s annotated in the source, the worst of %s.", thousands(shown), count(total, "finding"))
}

// Annotations returns the findings of a decision that block or are noticed, worst first and at
// most that many, with how many there are altogether. A finding without a place in the source
// is counted and not among them.
func Annotations(d *release.Decision, most int) (shown []Annotation, total int) {
	var rest []release.Judgement
	told := blocking(d)
	for _, j := range d.Judgements {
		if j.Verb == release.Notice {
			rest = append(rest, j)
		}
	}
	told = slices.Concat(told, rest)
	for _, j := range told {
		if len(shown) == most {
			break
		}
		if a, ok := annotation(j); ok {
			if j.Verb == release.Block && d.Mode != release.Audit {
				a.Level = "failure"
			}
			shown = append(shown, a)
		}
	}
	return shown, len(told)
}

func annotation(j release.Judgement) (Annotation, bool) {
	f := j.Finding
	path := f.Location.Path
	if path == "." || !fs.ValidPath(path) || Clean(path) != path || len(path) > longestPath {
		return Annotation{}, false
	}
	a := Annotation{
		Path: path, Level: "warning", Line: f.Location.Line, EndLine: f.Location.EndLine,
		Title:   cut(Clean(strings.Join([]string{gravityText(f), f.Tool, f.Rule}, " ")), annotationTitle),
		Message: cut(Clean(messageOf(f)), annotationLength),
	}
	if a.Line < 1 || a.Line > lastLine { // the finding is about the file
		a.Line, a.EndLine = 1, 1
	}
	if a.EndLine < a.Line || a.EndLine > lastLine {
		a.EndLine = a.Line
	}
	if j.Because != "" {
		a.Message += " (" + verbWord(j.Verb) + ": " + cut(Clean(j.Because), messageLength) + ")"
	}
	return a, true
}
