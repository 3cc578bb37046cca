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

// A terminal of 80 columns shows 70 characters of it after the time: what a person waits for is
// among them, also of a terabyte.
func TestWhatANarrowTerminalShowsOfProgress(t *testing.T) {
	t.Parallel()
	var w tally
	w.whole.Store(1 << 40)
	w.of.Store(2e6)
	w.entries.Store(1e6)
	w.bytes.Store(1 << 39)
	w.uploaded.Store(1 << 39)
	line := "saving [##########]"
	attributes := w.attributes(2 * time.Hour)
	for i := 2; i < len(attributes); i += 2 { // after the percents, which are the bar
		line += fmt.Sprintf(" %v=%v", attributes[i], attributes[i+1])
	}
	for _, want := range []string{"left=2h0m0s", "read=549756MB", "rate=76.4MB/s", "entries="} {
		if !strings.Contains(line[:70], want) {
			t.Errorf("no %q in the first 70 of %s", want, line)
		}
	}
}
