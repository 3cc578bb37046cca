// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// The kinds of fingerprints besides "fingerprints/NAME" and "partialFingerprints/NAME", best
// first.
const (
	kindRestored = "knowngood"
	kindLineHash = "primaryLocationLineHash"
	kindContext  = "context"
	kindWeak     = "weak"
)

// readFingerprint keeps the best of a tool's own fingerprints, whatever their order: see
// betterName. Values that identify nothing are passed over: Semgrep writes "requires login".
func (r *run) readFingerprint(p *pending, name []byte) error {
	key := string(name)
	value, err := r.text()
	if err != nil || len(value) < 8 || strings.ContainsAny(value, " \t\n") || !strings.ContainsAny(value, "0123456789") {
		return err
	}
	if p.own == "" || betterName(key, p.ownName) {
		p.own, p.ownName = value, key
	}
	return nil
}

// steadyPartials are the partial fingerprints which are known to tell what a finding is and
// not where it stands: Qodana's, the SARIF SDK's, Clang's and Coverity's. Others hold columns,
// commits or authors.
var steadyPartials = []string{"equalIndicator", "contextRegionHash", "issueHash", "mergeKey"}

// readPartial keeps GitHub's line hash, ours, and the best of the others that are of use.
func (r *run) readPartial(p *pending, name []byte) error {
	key := string(name)
	family, _ := versioned(key)
	switch {
	case family == kindLineHash:
		return r.keep(&p.lineHash)
	case key == fingerprintName:
		return r.restore(&p.restored)
	case key == likenessName:
		return r.restore(&p.likeness)
	case !slices.Contains(steadyPartials, family):
		return r.skip()
	}
	value, err := r.text()
	if err == nil && len(value) >= 8 && (p.part == "" || betterName(key, p.partName)) {
		p.part, p.partName = value, key
	}
	return err
}

// restore reads a fingerprint that Write has written; anything else is none.
func (r *run) restore(into *string) error {
	value, err := r.text()
	id, count, counted := strings.Cut(value, "-")
	if strings.Trim(id, "0123456789abcdef") != "" || len(id) != 2*len(hash{}) || (counted && (count == "" || strings.Trim(count, "0123456789") != "")) {
		return err
	}
	*into = value
	return err
}

// betterName orders the names of fingerprints: a later version before an earlier one, and
// names made of digits alone, which number positions, last.
func betterName(name, than string) bool {
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if digits(name) != digits(than) {
		return digits(than)
	}
	family, version := versioned(name)
	family2, version2 := versioned(than)
	if family != family2 {
		return family < family2
	}
	return version > version2
}

// versioned splits "NAME/v2" (§3.5.4.2).
func versioned(name string) (family string, version int) {
	at := strings.LastIndex(name, "/v")
	if at < 0 {
		return name, 0
	}
	n, err := strconv.Atoi(name[at+2:])
	if err != nil {
		return name, 0
	}
	return name[:at], n
}

// fingerprint gives every finding of the run its fingerprint. All of them are hashes that
// take in tool and rule, so that none can be confused with another tool's, and none can
// carry text out of the file; those in a file that we wrote are such hashes already. Findings
// that come out alike are told apart by their order.
func (r *run) fingerprint(findings []release.Finding) {
	shared := r.sharedFingerprints(findings)
	r.hashSource(findings, shared)
	for i := range findings {
		f, p := &findings[i], r.results.at(i)
		switch {
		case p.restored != "":
			f.FingerprintKind, f.Fingerprint, f.Likeness = kindRestored, p.restored, p.likeness
		case p.own != "" && !shared[p.own]:
			f.FingerprintKind = "fingerprints/" + clean(p.ownName, 60)
			f.Fingerprint = r.identify(f, "", telling(f, p.own))
			f.Likeness = f.Fingerprint
		case p.lineHash != "":
			f.FingerprintKind = kindLineHash
			f.Fingerprint = r.identify(f, f.Location.Path, telling(f, p.lineHash))
			f.Likeness = r.identify(f, "", telling(f, p.lineHash))
		case p.part != "":
			f.FingerprintKind = "partialFingerprints/" + clean(p.partName, 60)
			f.Fingerprint = r.identify(f, f.Location.Path, telling(f, p.part))
			f.Likeness = r.identify(f, "", telling(f, p.part))
		case p.content != hash{}:
			f.FingerprintKind = kindContext
			f.Fingerprint = r.identify(f, f.Location.Path, telling(f, string(p.content[:])))
			f.Likeness = r.identify(f, "", telling(f, string(p.content[:])))
		default:
			f.FingerprintKind = kindWeak
			f.Fingerprint = r.identify(f, f.Location.Path, strconv.Itoa(f.Location.Line)+"\x00"+telling(f, p.logical)+"\x00"+telling(f, f.Message))
		}
	}
	r.number(findings)
}

// hashSource finds the results that have to be known by their source.
func (r *run) hashSource(findings []release.Finding, shared map[string]bool) {
	if r.source == nil {
		return
	}
	waiting := map[string][]*pending{}
	for i := range findings {
		p, file := r.results.at(i), findings[i].Location.Path
		weak := p.restored == "" && (p.own == "" || shared[p.own]) && p.lineHash == "" && p.part == "" && p.content == (hash{})
		if weak && file != "" && p.region.line > 0 {
			waiting[file] = append(waiting[file], p)
		}
	}
	r.hashLines(waiting)
}

// sharedFingerprints returns the tool's fingerprints that stand on results of different
// rules or files: they identify something else than a result.
func (r *run) sharedFingerprints(findings []release.Finding) map[string]bool {
	type home struct{ rule, path string }
	homes := map[string]home{}
	shared := map[string]bool{}
	for i := range findings {
		own := r.results.at(i).own
		if own == "" {
			continue
		}
		at := home{findings[i].Rule, findings[i].Location.Path}
		if other, seen := homes[own]; seen && other != at {
			shared[own] = true
		}
		homes[own] = at
	}
	return shared
}

// telling is what of a text may go into a fingerprint. Of a secret it is 12 bits of its
// hash: enough to tell two secrets of one file apart, far too few to find either by guessing.
func telling(f *release.Finding, text string) string {
	if !f.Secret {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return string([]byte{sum[0], sum[1] & 0xf0})
}

func (r *run) identify(f *release.Finding, path, content string) string {
	r.scratch = r.scratch[:0]
	for _, part := range [...]string{f.Tool, f.Rule, path, content} {
		r.scratch = append(append(r.scratch, part...), 0)
	}
	sum := sha256.Sum256(r.scratch)
	return hex.EncodeToString(sum[:16])
}

// number tells findings with the same fingerprint apart by where they stand, not by where
// the file lists them: the second one's ends in -2.
func (r *run) number(findings []release.Finding) {
	first := make(map[string]int, len(findings))
	same := map[string][]int{}
	for i := range findings {
		id := findings[i].Fingerprint
		if other, seen := first[id]; !seen {
			first[id] = i
		} else if len(same[id]) == 0 {
			same[id] = []int{other, i}
		} else {
			same[id] = append(same[id], i)
		}
	}
	for _, group := range same {
		slices.SortStableFunc(group, func(a, b int) int {
			return compare(&findings[a], &findings[b])
		})
		for n, i := range group[1:] {
			findings[i].Fingerprint += "-" + strconv.Itoa(n+2)
		}
	}
}

// compare orders findings of one fingerprint by where they stand, then by what else tells
// them apart: only those that are alike in all of it may change places with the file's order.
func compare(x, y *release.Finding) int {
	value := func(f *float64) float64 {
		if f == nil {
			return -1
		}
		return *f
	}
	return cmp.Or(
		cmp.Compare(x.Location.Path, y.Location.Path), cmp.Compare(x.Location.Line, y.Location.Line),
		cmp.Compare(x.Location.Column, y.Location.Column), cmp.Compare(x.Location.EndLine, y.Location.EndLine),
		cmp.Compare(x.Message, y.Message), cmp.Compare(x.Level, y.Level), cmp.Compare(x.Kind, y.Kind),
		cmp.Compare(x.Baseline, y.Baseline), cmp.Compare(value(x.Score), value(y.Score)),
		cmp.Compare(value(x.Rank), value(y.Rank)), slices.Compare(x.CWE, y.CWE),
		slices.CompareFunc(x.Suppressions, y.Suppressions, func(a, b release.Suppression) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Justification, b.Justification))
		}),
	)
}
