// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// A host keeps what a step hands on.
type host struct {
	outputs map[string]string
	told    []string
	shown   []string
	result  any
}

func (h *host) Output(name, value string) error { h.outputs[name] = value; return nil }
func (h *host) Summary(string) (bool, error)    { return false, nil }
func (h *host) Mask(string)                     {}

func newRun(t *testing.T) (*Run, *host) {
	t.Helper()
	h := &host{outputs: map[string]string{}}
	return &Run{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test", Host: h,
		Tell:   func(text string) { h.told = append(h.told, text) },
		Show:   func(text string) { h.shown = append(h.shown, text) },
		Result: func(value any) { h.result = value },
		Usage:  func() (time.Duration, int64) { return 0, 0 },
		Dir:    t.TempDir(),
	}, h
}

func theSubject() subject {
	return subject{place: place{app: "shop", catalog: "records"}, commit: commitA, run: "1"}
}

func TestTheEntryTellsHowTheWorkEnded(t *testing.T) {
	t.Parallel()
	broken := errors.New("it broke")
	for _, test := range []struct {
		name string
		err  error
		want release.State
	}{
		{"done", nil, release.Done},
		{"gate closed", fault.Exit(fault.GateClosed, broken), release.Failed},
		{"partial", fault.Exit(fault.Partial, broken), release.Partial},
		{"cancelled", context.Canceled, release.Cancelled},
		{"failed", fault.Hint(broken, "mend it"), release.Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run, h := newRun(t)
			s := theSubject()
			err := s.record(t.Context(), run, "gate", func(_ context.Context, e *release.Entry) error {
				e.Decision = &release.Decision{Outcome: release.Warn}
				return test.err
			})
			if !errors.Is(err, test.err) || fault.StatusOf(err) != fault.StatusOf(test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			c, err := catalog.OpenExisting(t.Context(), run.Dir+"/records", run.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			record, err := c.Record(t.Context(), "shop", "", "1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]release.Entry{h.result.(release.Entry)}, record.Entries); diff != "" {
				t.Errorf("the result is not what was stored (-result +stored):\n%s", diff)
			}
			got := record.Entries[0]
			if got.State != test.want || got.Decision == nil || (got.Error == "") != (test.err == nil) {
				t.Errorf("entry %+v, want state %s", got, test.want)
			}
			if h.outputs["run"] != "1" || h.outputs["record"] != c.Place(got) {
				t.Errorf("outputs %v", h.outputs)
			}
		})
	}
}

// A step that was cancelled leaves its entry all the same, on a context of its own.
func TestACancelledStepLeavesItsEntry(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := theSubject()
	err := s.record(ctx, run, "snapshot", func(ctx context.Context, _ *release.Entry) error {
		cancel()
		return ctx.Err()
	})
	if fault.StatusOf(err) != fault.Cancelled {
		t.Errorf("error %v", err)
	}
	if record, err := s.read(t.Context(), run); err != nil || len(record.Entries) != 1 || record.Entries[0].State != release.Cancelled {
		t.Errorf("record %+v, %v", record, err)
	}
	if h.outputs["record"] == "" {
		t.Error("the entry's place was not handed on")
	}
}

func TestWrongSubjectsAreErrorsOfUsageAndNothingRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*subject)
		want   string
		hint   string
	}{
		{"no commit", func(s *subject) { s.commit = "" }, "no commit is known", "give --commit, or run in a git checkout"},
		{
			"a branch", func(s *subject) { s.commit = "main" },
			"--commit: commit \"main\": want 40 or 64 hexadecimal digits, as `git rev-parse HEAD` prints them",
			"a branch, a tag or a short id can mean another commit tomorrow",
		},
		{"no application", func(s *subject) { s.app = "" }, "no application is named", "give --app, or set KNOWNGOOD_APP, or run in a git checkout that has a remote"},
		{"a name with a line", func(s *subject) { s.run = "1\n2" }, `run "1\n2": it holds a control character`, ""},
		{"a tree that is none", func(s *subject) { s.tree = "x" }, "--tree: commit \"x\": want", "a branch, a tag or a short id can mean another commit tomorrow"},
		{"a negative pull request", func(s *subject) { s.pullRequest = -1 }, "pull-request -1: want a number above zero", ""},
		{"no such bucket", func(s *subject) { s.catalog = "http://x" }, `open the catalog: bucket "http://x": no such kind of bucket`, "write a folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run, _ := newRun(t)
			s := theSubject()
			test.change(&s)
			err := s.record(t.Context(), run, "gate", func(context.Context, *release.Entry) error {
				t.Error("the work was done")
				return nil
			})
			if fault.StatusOf(err) != fault.Usage || !strings.HasPrefix(err.Error(), test.want) || !strings.HasPrefix(strings.Join(fault.Hints(err), "\n"), test.hint) {
				t.Errorf("status %d, %v, hints %q, want %q with %q", fault.StatusOf(err), err, fault.Hints(err), test.want, test.hint)
			}
			if left, _ := os.ReadDir(run.Dir); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestACatalogThatCannotBeWrittenToStopsTheStepBeforeItsWork(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t)
	if err := os.WriteFile(filepath.Join(run.Dir, "records"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := theSubject()
	err := s.record(t.Context(), run, "gate", func(context.Context, *release.Entry) error {
		t.Error("the work was done")
		return nil
	})
	if fault.StatusOf(err) != fault.Failed || !strings.Contains(err.Error(), filepath.Join(run.Dir, "records")) {
		t.Errorf("status %d, error %v", fault.StatusOf(err), err)
	}
}

// The catalog goes away while the step works: all that the entry would have said is shown.
func TestAnEntryThatCannotBeStoredIsShownWhole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want fault.Status
	}{
		{"after good work", nil, fault.Failed},
		{"after half of it", fault.Exit(fault.Partial, errors.New("half")), fault.Failed},
		{"after a closed gate", fault.Exit(fault.GateClosed, errors.New("closed")), fault.GateClosed},
		{"after Ctrl-C", context.Canceled, fault.Cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run, h := newRun(t)
			s := theSubject()
			s.runURL = "https://ci/\u009b\u202e\U0001f600\x1b[2J"
			err := s.record(t.Context(), run, "gate", func(_ context.Context, e *release.Entry) error {
				e.Decision = &release.Decision{Outcome: release.Fail, Reasons: []string{"because"}}
				if err := errors.Join(os.RemoveAll(run.Dir+"/records"), os.WriteFile(run.Dir+"/records", nil, 0o600)); err != nil {
					t.Fatal(err)
				}
				return test.err
			})
			if fault.StatusOf(err) != test.want || !errors.Is(err, test.err) && test.err != nil || !strings.Contains(err.Error(), "store the entry of gate") {
				t.Errorf("status %d, error %v, want status %d", fault.StatusOf(err), err, test.want)
			}
			if len(h.told) != 1 || h.outputs["record"] != "" || h.outputs["run"] != "1" {
				t.Fatalf("told %q, outputs %v", h.told, h.outputs)
			}
			_, text, _ := strings.Cut(h.told[0], "\n")
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("a terminal would obey %q", text)
			}
			var got release.Entry
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			want := h.result.(release.Entry)
			want.Began, want.Ended, got.Began, got.Ended = time.Time{}, time.Time{}, time.Time{}, time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what was shown is not the entry (-want +got):\n%s", diff)
			}
			if got.RunURL != s.runURL || got.Decision == nil {
				t.Errorf("the entry lost something: %+v", got)
			}
		})
	}
}

func TestARunHasOneCommit(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t)
	nothing := func(context.Context, *release.Entry) error { return nil }
	first, second := theSubject(), theSubject()
	second.commit = strings.Repeat("b", 40)
	if err := first.record(t.Context(), run, "gate", nothing); err != nil {
		t.Fatal(err)
	}
	err := second.record(t.Context(), run, "snapshot", nothing)
	if fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) != 1 {
		t.Errorf("another commit in the same run: %v", err)
	}
	second.run = "2"
	if err := second.record(t.Context(), run, "snapshot", nothing); err != nil {
		t.Error(err)
	}
}

func TestARunWithoutANameGetsOneForAllItsSteps(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	s := theSubject()
	s.run = ""
	names := map[string]bool{}
	for _, id := range []string{"gate", "snapshot"} {
		if err := s.record(t.Context(), run, id, func(context.Context, *release.Entry) error { return nil }); err != nil {
			t.Fatal(err)
		}
		names[h.outputs["run"]] = true
	}
	if len(names) != 1 || len(h.outputs["run"]) != 15 {
		t.Errorf("runs %v", names)
	}
	if record, err := s.read(t.Context(), run); err != nil || len(record.Entries) != 2 {
		t.Errorf("record %+v, %v", record, err)
	}
}

func TestTheEnvironmentOfACluster(t *testing.T) {
	t.Parallel()
	uid := func(context.Context) (string, error) { return "3f2a", nil }
	refused := func(context.Context) (string, error) { return "", errors.New("forbidden") }
	s := subject{}
	if err := s.inCluster(t.Context(), "shop", refused); err == nil || !cmp.Equal(fault.Hints(err), []string{"or name it with --environment"}) {
		t.Errorf("error %v, hints %q", err, fault.Hints(err))
	}
	if err := s.inCluster(t.Context(), "shop", uid); err != nil || s.environment != "shop.3f2a" {
		t.Errorf("environment %q, %v", s.environment, err)
	}
	s.environment = "production"
	if err := s.inCluster(t.Context(), "shop", refused); err != nil || s.environment != "production" {
		t.Errorf("environment %q, %v", s.environment, err)
	}
}

func TestWhereTheRecordsLie(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, test := range []struct {
		catalog string
		environ []string
		want    string
	}{
		{"", []string{"HOME=" + home}, "file://" + home + "/.local/share/knowngood/catalog?dir_file_mode=0700"},
		{"", []string{"HOME=" + home, "XDG_DATA_HOME=" + home + "/data dir"}, "file://" + home + "/data%20dir/knowngood/catalog?dir_file_mode=0700"},
		{"", []string{"HOME=" + home, "XDG_DATA_HOME=relative"}, "file://" + home + "/.local/share/knowngood/catalog?dir_file_mode=0700"},
		{"records", nil, "/srv/dir/records"},
		{"s3://b/p", nil, "s3://b/p"},
	} {
		got, err := (&place{catalog: test.catalog}).url(&Run{Environ: test.environ, Dir: "/srv/dir"})
		if err != nil || got != test.want {
			t.Errorf("url with %q and %q = %q, %v, want %q", test.catalog, test.environ, got, err, test.want)
		}
	}
	if _, err := (&place{}).url(&Run{}); fault.StatusOf(err) != fault.Usage {
		t.Errorf("nowhere: %v", err)
	}
	run, _ := newRun(t)
	run.Environ = []string{"HOME=" + home}
	s := theSubject()
	s.catalog = ""
	if err := s.record(t.Context(), run, "gate", func(context.Context, *release.Entry) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(home + "/.local/share/knowngood/catalog"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info, err)
	}
}

func TestTheApplicationIsNamedAfterItsRepository(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ app, repository, want string }{
		{"Shop", "octo/other", "Shop"},
		{"", "octo/Shop", "shop"},
		{"", "octo/shop.web_2", "shop.web_2"},
		{"", "octo/.github", "github"},
		{"", "octo/Bücher & Co", "b-cher-co"},
		{"", "shop", "shop"},
		{"", "octo/", ""},
		{"", "", ""},
	} {
		if got := (&place{app: test.app, source: test.repository}).application(); got != test.want {
			t.Errorf("application of %q in %q = %q, want %q", test.app, test.repository, got, test.want)
		}
	}
}
