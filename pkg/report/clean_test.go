// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/report"
)

func diffOf(want, got any) string { return cmp.Diff(want, got) }

func TestClean(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{" \n\t ", ""},
		{"  two\r\n words \u2028here ", "two words here"},
		{"a\x1b[31mred\x07", "a[U+001B][31mred[U+0007]"},
		{"exe\u202etxt.go", "exe[U+202E]txt.go"},
		{"tag\U000e0041", "tag[U+E0041]"},
		{"bad\xffbyte", "bad[U+FFFD]byte"},
		{"e\u0301", "e\u0301"},
		{"e" + strings.Repeat("\u0301", 40), "e\u0301\u0301\u0301"},
		{"日本語", "日本語"},
	} {
		if got := report.Clean(test.text); got != test.want {
			t.Errorf("Clean(%q) = %q, want %q", test.text, got, test.want)
		}
	}
	if n := len(report.Clean(strings.Repeat("x", 1<<20))); n > 17<<10 {
		t.Errorf("a line of 1 MB is still %d bytes long", n)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"::error file=a::b", ": :error file=a::b"},
		{"  ::warning::x", ": :warning::x"},
		{"std::string", "std::string"},
		{"x ##[error]y", "x ## [error]y"},
		{strings.Repeat("x", 50), strings.Repeat("x", 39) + "…"},
		{strings.Repeat("語", 50), strings.Repeat("語", 19) + "…"},
	} {
		if got := report.Line(test.text, 40); got != test.want {
			t.Errorf("Line(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}
