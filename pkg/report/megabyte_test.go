// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/knowngood/knowngood/pkg/report"
)

// A line of a megabyte, of whatever, takes no more room than any other text, and is no more alive.
func TestAMegabyteOnOneLine(t *testing.T) {
	t.Parallel()
	check, filled := liveCheck(t, filler(t, "testdata/hostile-small.json")), filler(t, "testdata/hostile-small.json")
	for _, part := range []string{"|", "@a ", "::set-output name=x::y ", "\u202e"} {
		t.Run(fmt.Sprintf("%.9q", part), func(t *testing.T) {
			t.Parallel()
			line := strings.Repeat(part, 1<<20/len(part))
			check(t, line)
			record := filled(line)
			record.Entries[0].Decision.Judgements[0].Finding.Location.Path = line
			notes := report.Options{Server: "https://github.com", Record: line, Notes: []string{line}}
			shown, ok := report.CheckOf(record, notes)
			for what, over := range map[string]bool{
				"comment": len(report.Comment(record, notes)) >= report.CommentLimit,
				"summary": len(report.Summary(record, notes)) >= report.SummaryLimit,
				"check":   !ok || len(shown.Summary) >= report.CheckLimit || utf8.RuneCountInString(shown.Title) > 255,
			} {
				if over {
					t.Errorf("the %s is too long", what)
				}
			}
			for _, a := range shown.Annotations {
				if utf8.RuneCountInString(a.Title) > 255 || len(a.Message) > 64<<10 {
					t.Errorf("an annotation of %d and %d bytes", len(a.Title), len(a.Message))
				}
			}
			for _, status := range report.Statuses(record, "knowngood") {
				if n := utf8.RuneCountInString(status.Description); n > 140 {
					t.Errorf("a status of %d characters", n)
				}
			}
			plainPage(t, report.Text(record, notes))
		})
	}
}
