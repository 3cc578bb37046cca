// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// TestSnapshotDoesWhatThePolicyWants lets a gate of the same run say how much is kept. What a
// step cannot do it refuses, and never passes over.
func TestSnapshotDoesWhatThePolicyWants(t *testing.T) {
	t.Parallel()
	for protect, test := range map[release.Protect]struct {
		status fault.Status
		taken  int
		says   string
	}{
		"":                      {fault.Done, 1, ""},
		release.ProtectNothing:  {fault.Done, 0, ""},
		release.ProtectSnapshot: {fault.Done, 1, ""},
		release.ProtectBackup:   {fault.Partial, 1, "the policy wants protection by backup (p.yaml:9: risk high), and this step takes snapshots alone"},
		release.ProtectVerify:   {fault.Partial, 1, "the policy wants protection by verify"},
	} {
		t.Run(string(protect), func(t *testing.T) {
			t.Parallel()
			run, h := newRun(t)
			s := newSnapshot(twoClaims(t).Cluster, "name=data")
			gate := s.subject
			if err := gate.record(t.Context(), run, "gate", keeps(protect)); err != nil {
				t.Fatal(err)
			}
			err := s.Run(t.Context(), run)
			if fault.StatusOf(err) != test.status || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want status %d", err, test.status)
			}
			entry, _ := h.result.(release.Entry)
			if entry.Protection == nil || len(entry.Protection.Snapshots) != test.taken {
				t.Fatalf("protection %+v, want %d snapshots", entry.Protection, test.taken)
			}
			if skipped := entry.Protection.Skipped; (protect == release.ProtectNothing) != (len(skipped) == 1 && strings.Contains(skipped[0], "p.yaml:9")) {
				t.Errorf("skipped %q", skipped)
			}
			if _, told := h.outputs["snapshots"]; !told {
				t.Error("no output")
			}
		})
	}
}

// keeps is the work of a gate that wants so much kept.
func keeps(protect release.Protect) func(context.Context, *release.Entry) error {
	return func(_ context.Context, e *release.Entry) error {
		e.Decision = &release.Decision{Outcome: release.Warn, Risk: release.RiskHigh, Protect: protect, ProtectBecause: "p.yaml:9: risk high"}
		return nil
	}
}
