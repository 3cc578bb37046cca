// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"log/slog"
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
		Result: func(value any) { h.result = value },
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
