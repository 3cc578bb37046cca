// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// TestAClosedGateNamesWhatClosedIt: a scan that is cut off is no reason of a finding.
func TestAClosedGateNamesWhatClosedIt(t *testing.T) {
	t.Parallel()
	blocks := func(n int) (all []release.Judgement) {
		for range n {
			all = append(all, release.Judgement{Verb: release.Block, Because: "p:3: level error"})
		}
		return append(all, release.Judgement{Verb: release.Allow, Because: "p:1: small"})
	}
	for name, test := range map[string]struct {
		reasons []string
		blocks  int
		want    string
	}{
		"a finding":            {[]string{"p:3: level error: gosec G1 at a.go:3", "p: there is no baseline"}, 1, "the gate is closed: 1 finding blocks: p:3: level error: gosec G1 at a.go:3"},
		"findings":             {[]string{"p:3: level error: gosec G1 at a.go:3", "p:3: level error: gosec G2"}, 2, "the gate is closed: 2 findings block, the first of them: p:3: level error: gosec G1 at a.go:3"},
		"a scan":               {[]string{"a.sarif: ends early", "p: there is no baseline"}, 0, "the gate is closed: a.sarif: ends early"},
		"a scan and findings":  {[]string{"a.sarif: ends early", "b.sarif: empty", "p:3: level error: gosec G1"}, 2, "the gate is closed: a.sarif: ends early; and 2 findings block, the first of them: p:3: level error: gosec G1"},
		"a scan and one":       {[]string{"a.sarif: ends early", "p:3: level error: gosec G1"}, 1, "the gate is closed: a.sarif: ends early; and 1 finding blocks: p:3: level error: gosec G1"},
		"nothing that is said": {nil, 1, "the gate is closed: 1 finding blocks"},
	} {
		err := closed(release.Decision{Outcome: release.Fail, Reasons: test.reasons, Judgements: blocks(test.blocks)})
		if fault.StatusOf(err) != fault.GateClosed || err.Error() != test.want {
			t.Errorf("%s: status %d\n got %s\nwant %s", name, fault.StatusOf(err), err, test.want)
		}
		if hinted := len(fault.Hints(err)) > 0; hinted != (test.blocks > 0) {
			t.Errorf("%s: a hint: %t", name, hinted)
		}
	}
	if closed(release.Decision{Outcome: release.Warn}) != nil {
		t.Error("a warning closes the gate")
	}
}
