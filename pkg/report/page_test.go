// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"
	"time"
)

// TestALongWordIsBrokenInOneGo: what is hostile has no blanks. Measuring the rest of the word for
// each line would take minutes here.
func TestALongWordIsBrokenInOneGo(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("[U+001B]", 1<<17)
	began := time.Now()
	lines := wrap("a "+word+" b", 62)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if lines[0] != "a" || strings.Join(lines[1:], "") != word+" b" {
		t.Errorf("%d lines, the first is %q", len(lines), lines[0])
	}
	for _, line := range lines {
		if columns(line) > 62 {
			t.Fatalf("%d columns: %q", columns(line), line)
		}
	}
}
