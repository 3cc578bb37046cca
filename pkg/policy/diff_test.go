// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/release"
)

func side(name string, rules []string, findings ...release.Finding) *policy.Baseline {
	return policy.BaselineFrom(name, []release.Scan{{
		Tool: "t", Completeness: release.ScanComplete, Rules: rules, Findings: findings,
	}}, time.Time{})
}

func found(rule, fingerprint, message string) release.Finding {
	return release.Finding{Tool: "t", Rule: rule, Fingerprint: fingerprint, FingerprintKind: "context", Message: message, Level: release.LevelWarning}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	gone := found("gone", "7", "tool says gone")
	gone.Baseline = release.BaselineAbsent
	before := side("a", []string{"r", "s"}, found("r", "1", "x"), found("r", "2", "x"), found("r", "3", "x"), found("s", "4", "x"))
	after := side("b", []string{"r"}, found("r", "1", "x"), found("r", "2", "y"), found("r", "5", "z"), gone)
	c := policy.Compare(before, after)
	var got []string
	for _, j := range c.Judgements {
		got = append(got, fmt.Sprintf("%s %s %d %t", j.Finding.Baseline, j.Finding.Fingerprint, j.Scan, j.Unseen))
	}
	want := []string{"new 5 0 false", "updated 2 0 false", "absent 3 -1 false", "absent 4 -1 true", "unchanged 1 0 false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("judgements (-want +got):\n%s", diff)
	}
	if c.New != 1 || c.Updated != 1 || c.Unchanged != 1 || c.Absent != 2 || c.Unseen != 1 || c.Before != "a" || c.After != "b" {
		t.Errorf("counts of %+v", c)
	}
	for range 20 {
		if diff := cmp.Diff(c, policy.Compare(before, after)); diff != "" {
			t.Fatalf("two comparisons differ:\n%s", diff)
		}
	}
}

// A finding that is absent in the record of the later side counts as one that is not there.
func TestCompareWithARecord(t *testing.T) {
	t.Parallel()
	d := policy.Default().Decide(policy.Request{
		Baseline: side("older", []string{"r"}, found("r", "1", "x"), found("r", "2", "x")),
		Scans:    []release.Scan{{Tool: "t", Completeness: release.ScanComplete, Rules: []string{"r"}, Findings: []release.Finding{found("r", "2", "x")}}},
	})
	c := policy.Compare(side("a", []string{"r"}, found("r", "1", "x"), found("r", "2", "x")), policy.BaselineOf("b", d, time.Time{}))
	if c.Unchanged != 1 || c.Absent != 1 || c.New != 0 || c.Judgements[1].Verb == "" {
		t.Errorf("%+v", c)
	}
}

// What lies in no scan of its side is not compared, and what nobody looked for is told apart
// from what is gone.
func TestCompareAtItsBounds(t *testing.T) {
	t.Parallel()
	after := side("b", []string{"r"}, found("r", "1", "x"))
	for _, scan := range []int{-1, 1} {
		after.Judgements = append(after.Judgements, release.Judgement{Finding: found("r", fmt.Sprint("in scan", scan), "x"), Scan: scan})
	}
	before := side("a", []string{"r", "s"}, found("r", "1", "x"), found("r", "2", "y"), found("r", "3", "z"), found("s", "4", "x"))
	c := policy.Compare(before, after)
	if c.Unchanged != 1 || c.New != 0 || c.Absent != 3 || c.Unseen != 1 {
		t.Errorf("%d unchanged, %d new, %d absent, %d of them unseen", c.Unchanged, c.New, c.Absent, c.Unseen)
	}
}
