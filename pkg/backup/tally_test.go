// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// One large file beside many small ones is most of the work, and nearly all of it is one entry.
func TestProgressGoesByBytesToo(t *testing.T) {
	t.Parallel()
	var w tally
	if text := fmt.Sprintln(w.attributes(time.Second)...); strings.Contains(text, "percent") || strings.Contains(text, "left") {
		t.Errorf("told without knowing: %s", text)
	}
	w.whole.Store(10 << 30)
	w.of.Store(1000)
	w.entries.Store(999)
	w.bytes.Store(1 << 30)
	w.passed.Store(4 << 30)
	if text := fmt.Sprintln(w.attributes(time.Minute)...); !strings.Contains(text, "percent 50") || !strings.Contains(text, "left 1m0s") {
		t.Errorf("told as %s", text)
	}
	w.bytes.Store(20 << 30) // a file was read anew because it changed
	if text := fmt.Sprintln(w.attributes(time.Minute)...); !strings.Contains(text, "percent 100") || strings.Contains(text, "left") {
		t.Errorf("told as %s", text)
	}
}
