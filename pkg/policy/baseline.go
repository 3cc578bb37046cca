// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Baseline is what was known before. A nil Baseline compares with nothing.
type Baseline struct {
	// Name is shown in explanations, e.g. the baseline's commit or file.
	Name     string
	Findings []release.Finding
}

// known is a baseline made ready for matching. Each of its findings is matched at most once,
// so that a second copy of an old finding is new.
type known struct {
	baseline *Baseline
	by       map[string][]int
	taken    []bool
}

// index returns nil for no baseline.
func (b *Baseline) index() *known {
	if b == nil {
		return nil
	}
	k := &known{baseline: b, by: map[string][]int{}, taken: make([]bool, len(b.Findings))}
	for i, finding := range b.Findings {
		for _, key := range keys(finding) {
			k.by[key.text] = append(k.by[key.text], i)
		}
	}
	return k
}

type key struct{ text, why string }

// keys are the ways in which a finding is recognised, surest first: the tool's or our
// fingerprint in the same file, the fingerprint anywhere, and the likeness without the path.
func keys(f release.Finding) []key {
	who := strings.ToLower(f.Tool) + "\x00" + f.Rule + "\x00"
	all := []key{{who + "place\x00" + f.Fingerprint + "\x00" + f.Location.Path, "the same " + f.FingerprintKind + " fingerprint in the same file"}}
	if f.FingerprintKind != "weak" {
		all = append(all, key{who + "print\x00" + f.Fingerprint, "the same " + f.FingerprintKind + " fingerprint"})
	}
	if f.Likeness != "" {
		all = append(all, key{who + "like\x00" + f.Likeness, "the same code in a file of another name"})
	}
	return all
}

// match returns how a finding relates to the baseline, and why.
func (k *known) match(f release.Finding) (release.Baseline, string) {
	for _, key := range keys(f) {
		for _, i := range k.by[key.text] {
			if k.taken[i] {
				continue
			}
			k.taken[i] = true
			before := k.baseline.Findings[i]
			state := release.BaselineUnchanged
			if before.Level != f.Level || before.Message != f.Message || before.Severity != f.Severity {
				state = release.BaselineUpdated
			}
			return state, fmt.Sprintf("%s had it (%s)", k.baseline.Name, key.why)
		}
	}
	return release.BaselineNew, ""
}

// absent returns the findings that only the baseline has, of tools that scanned again. Of a
// tool that did not, nothing is known.
func (k *known) absent(scans []release.Scan) []release.Finding {
	if k == nil {
		return nil
	}
	tools := map[string]bool{}
	for _, scan := range scans {
		if scan.Completeness == release.ScanComplete || scan.Completeness == release.ScanUnknown {
			tools[strings.ToLower(scan.Tool)] = true
		}
	}
	var gone []release.Finding
	for i, finding := range k.baseline.Findings {
		if !k.taken[i] && tools[strings.ToLower(finding.Tool)] {
			finding.Baseline = release.BaselineAbsent
			gone = append(gone, finding)
		}
	}
	return gone
}
