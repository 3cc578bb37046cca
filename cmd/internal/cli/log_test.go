// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestWorkIsABarOnATerminalAndALineNowAndThenInALog(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		now := time.Unix(0, 0)
		log := slog.New(&lines{
			screen: &screen{out: &out, renew: terminal}, now: func() time.Time { return now }, mark: func(slog.Level, string) {},
		})
		for i := range 26 {
			log.Info("saving", "percent", int64(4*i), "entries", i)
			now = now.Add(time.Second)
		}
		if n := strings.Count(out.String(), "saving"); terminal && n != 26 || !terminal && n != 2 {
			t.Errorf("terminal %v: told %d times:\n%q", terminal, n, out.String())
		}
		if !terminal && strings.Count(out.String(), "\n") != 2 {
			t.Errorf("a log is not lines: %q", out.String())
		}
		if last := "[##########] entries=25"; terminal && !strings.HasSuffix(out.String(), last) {
			t.Errorf("the bar ends as %q, want %q", out.String()[max(0, out.Len()-60):], last)
		}
	}
}

func TestAWaitShowsWhyOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(&lines{
		screen: &screen{out: &out, renew: true}, now: func() time.Time { return time.Unix(0, 0) }, mark: func(slog.Level, string) {},
	})
	log.Info("waiting", "what", "Job "+strings.Repeat("n", 63)+" to run", "state", "Unschedulable: 0/3 nodes are available", "seconds", 3)
	if want := `waiting state="Unschedulable: 0/3 nodes are available" what="Job n`; !strings.Contains(out.String(), want) {
		t.Errorf("%q does not say %q", out.String(), want)
	}
}
