// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// threeRuns leaves three runs and returns where the newest entry lies.
func threeRuns(t *testing.T, run *Run, h *host) string {
	t.Helper()
	for _, one := range []struct{ run, environment, commit string }{
		{"1", "production", commitA}, {"2", "staging", commitB}, {"a-very-long-name-of-a-run/3", "production", commitB},
	} {
		s := subject{place: place{app: "shop", catalog: "records"}, environment: one.environment, commit: one.commit, run: one.run}
		err := s.record(t.Context(), run, "gate", func(_ context.Context, e *release.Entry) error {
			e.Decision = &release.Decision{Outcome: release.Pass, Risk: release.RiskNone}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h.outputs["record"]
}

func history() *History { return &History{place: place{app: "shop", catalog: "records"}, limit: 20} }

func TestHistoryAsksForWhatWasAsked(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	threeRuns(t, run, h)
	for _, test := range []struct {
		name   string
		change func(*History)
		want   string
	}{
		{"all", func(*History) {}, "a-very-long-name-of-a-run/3 2 1"},
		{"one environment", func(s *History) { s.environment = "production" }, "a-very-long-name-of-a-run/3 1"},
		{"one commit", func(s *History) { s.commit = "BBBB" }, "a-very-long-name-of-a-run/3 2"},
		{"a limit", func(s *History) { s.limit = 1 }, "a-very-long-name-of-a-run/3"},
		{"one run", func(s *History) { s.run = "2" }, "2"},
		{"another application", func(s *History) { s.place.app = "other" }, ""},
	} {
		h.shown = nil
		s := history()
		test.change(s)
		if err := s.Run(t.Context(), run); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		var got []string
		for _, record := range h.result.([]release.Record) {
			got = append(got, record.Run)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		for line := range strings.SplitSeq(strings.Join(h.shown, "\n"), "\n") {
			if utf8.RuneCountInString(line) > 80 {
				t.Errorf("%s: %q is wider than 80", test.name, line)
			}
		}
		if len(h.shown) != 1 {
			t.Errorf("%s: told %q", test.name, h.shown)
		}
	}
}

func TestHistoryOfNothing(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	run.Environ = []string{"HOME=" + run.Dir}
	s := history()
	if err := s.Run(t.Context(), run); !errors.Is(err, catalog.ErrNotFound) || fault.StatusOf(err) != fault.Failed {
		t.Errorf("a catalog that is not there: %v", err)
	}
	s.place.catalog = ""
	if err := s.Run(t.Context(), run); err != nil || len(h.result.([]release.Record)) != 0 || h.shown[0] != "no records\n" {
		t.Errorf("nothing stored yet: %v, %v, %q", err, h.result, h.shown)
	}
	if left, err := os.ReadDir(run.Dir); err != nil || len(left) != 0 {
		t.Errorf("reading left %v, %v", left, err)
	}
	for _, change := range []func(*History){
		func(s *History) { s.commit = "main" }, func(s *History) { s.commit = "abc" },
		func(s *History) { s.limit = -1 }, func(s *History) { s.place.app = "" },
	} {
		s := history()
		change(s)
		if err := s.Run(t.Context(), run); fault.StatusOf(err) != fault.Usage {
			t.Errorf("%+v: %v", s, err)
		}
	}
	threeRuns(t, run, h)
	s = history()
	s.run = "4"
	if err := s.Run(t.Context(), run); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("no such run: %v", err)
	}
}

func TestHistoryShowsWhatIsSoundAndNamesWhatIsNot(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	newest := threeRuns(t, run, h)
	if err := os.Truncate(newest, 10); err != nil {
		t.Fatal(err)
	}
	err := history().Run(t.Context(), run)
	if !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), newest) {
		t.Errorf("error %v", err)
	}
	if got := len(h.result.([]release.Record)); got != 3 {
		t.Errorf("%d records, want 3: a damaged entry's key still tells of its run", got)
	}
}
