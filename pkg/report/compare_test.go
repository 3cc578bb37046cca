// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/knowngood/knowngood/pkg/report"
)

func TestChangesAreToldLineByLine(t *testing.T) {
	t.Parallel()
	got := report.Changes(".knowngood.yaml", "inputs:\n  app: mine\n", "inputs:\n  app: shop\n\trisk: \u202eno\n")
	for _, line := range []string{"-  app: mine", "+  app: shop", "+    risk: [U+202E]no", " inputs:", "--- .knowngood.yaml (there)"} {
		if !strings.Contains("\n"+got+"\n", "\n"+line+"\n") {
			t.Errorf("no line %q:\n%s", line, got)
		}
	}
}

func FuzzVerbatim(f *testing.F) {
	for _, text := range []string{"a: b\n  c", "\x1b[2J", "::error::x\n  ::add-mask::y", "##[add-path]x", "a\r\nb", "\u202e", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := report.Verbatim(text)
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("%q has other lines than %q", got, text)
		}
		for line := range strings.SplitSeq(got, "\n") {
			hidden := strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) })
			if hidden || strings.HasPrefix(strings.TrimLeft(line, " "), "::") || strings.Contains(line, "##[") {
				t.Errorf("%q is shown as %q", text, line)
			}
		}
	})
}
