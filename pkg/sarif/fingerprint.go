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
var steadyPartials = []string{"equalIndicator", "contextRegionHash", "issueHash", "mergeKey"} //nolint:gochecknoglobals // a table that nobody changes

// readPartial keeps GitHub's line hash, ours, and the best of the others that are of use.
func (r *run) readPartial(p *pending, name []byte) error {
	if string(name) == kindLineHash {
		return r.keep(&p.lineHash)
	}
	if string(name) == "primaryLocationStartColumnFingerprint" {
		return r.skip()
	}
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

// fingerprint gives a finding its fingerprint. All of them are hashes that take in tool and
// rule, so that none can be confused with another tool's, and none can carry text out of the
// file; those in a file that we wrote are such hashes already. shared says that the tool's own
// stands on other results too.
func (r *run) fingerprint(f *release.Finding, p *pending, shared bool) {
	by := func(kind, what string) {
		f.FingerprintKind = kind
		f.Fingerprint = r.identify(f, f.Location.Path, telling(f, what))
		f.Likeness = r.identify(f, "", telling(f, what))
	}
	switch {
	case p.restored != "":
		f.FingerprintKind, f.Fingerprint, f.Likeness = kindRestored, p.restored, p.likeness
	case p.own != "" && !shared:
		f.FingerprintKind = r.kindOf("fingerprints/", p.ownName)
		f.Fingerprint = r.identify(f, "", telling(f, p.own))
		f.Likeness = f.Fingerprint
	case p.lineHash != "":
		by(kindLineHash, p.lineHash)
	case p.part != "":
		by(r.kindOf("partialFingerprints/", p.partName), p.part)
	case p.content != hash{}:
		by(kindContext, string(p.content[:]))
	default:
		f.FingerprintKind = kindWeak
		f.Fingerprint = r.identify(f, f.Location.Path, strconv.Itoa(f.Location.Line)+"\x00"+telling(f, p.logical)+"\x00"+telling(f, f.Message))
	}
}

// kindOf names a kind; findings share the text.
func (r *run) kindOf(prefix, name string) string {
	key := kindKey{prefix, name}
	kind, known := r.kinds[key]
	if !known {
		kind = prefix + clean(name, 60)
		r.kinds[key] = kind
	}
	return kind
}

type kindKey struct{ prefix, name string }

// A comparison is what only all results together tell.
type comparison struct {
	// shared are the tool's fingerprints that stand on results of different rules or files:
	// they identify something else than a result.
	shared map[string]bool
	// hashes are the line hashes from the source, by result, of those that nothing in the
	// file identifies.
	hashes map[int]string
}

func (r *run) compareResults() comparison {
	type home struct{ rule, path string }
	c := comparison{shared: map[string]bool{}}
	homes := map[string]home{}
	for i := range r.results.n {
		if !r.results.hasOwn(i) {
			continue
		}
		p := r.results.at(i)
		at := home{ruleID(&p, r.lookup(p.rule).rule), r.fileOf(&p)}
		if other, seen := homes[p.own]; seen && other != at {
			c.shared[p.own] = true
		}
		homes[p.own] = at
	}
	if r.source != nil {
		c.hashes = r.hashLines(c.shared)
	}
	return c
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
	var text [2 * len(hash{})]byte
	hex.Encode(text[:], sum[:len(hash{})])
	return string(text[:])
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
