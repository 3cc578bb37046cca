// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"github.com/knowngood/knowngood/pkg/release"
)

// A pending is a result as it was read, before the run's other parts are all known.
type pending struct {
	rule         reference
	level, kind  string
	message      message
	place        place
	region       region
	target       place
	logical      string
	snippet      string // only until secrets are masked
	content      hash   // of the snippet, or of what stands around it
	own          string // the tool's fingerprint, and which one
	ownName      string
	lineHash     string
	part         string // the best of the tool's partial fingerprints, and which one
	partName     string
	restored     string // our own, in a file that we wrote
	likeness     string
	score        score
	rank         float64
	cwe          []int
	taxa         []reference
	suppressions release.Suppressions
	baseline     string
	invocation   int
}

// blank is a pending of which nothing is known.
func blank() pending {
	p := pending{rank: -1, invocation: -1}
	p.rule.index, p.rule.component.index, p.place.index, p.target.index = -1, -1, -1, -1
	return p
}

// A packed is a pending as it waits: results wait until the whole run was read, and most of
// them say little. One that says more is kept whole.
type packed struct {
	rule, level, text, uri, base   string
	snippet, own, ownName, hash    string
	content                        hash
	ruleIndex, component, artifact int32
	line, column, endLine          int32
	given                          bool
	whole                          *pending
}

// pack makes a pending small. Numbers fit: the reader takes none above 32 bits.
func pack(p *pending) packed {
	if !p.ordinary() {
		whole := *p
		return packed{whole: &whole}
	}
	return packed{
		rule: p.rule.id, level: p.level, text: p.message.text, uri: p.place.uri, base: p.place.base,
		snippet: p.snippet, own: p.own, ownName: p.ownName, hash: p.lineHash, content: p.content,
		ruleIndex: int32(p.rule.index), component: int32(p.rule.component.index), artifact: int32(p.place.index), //nolint:gosec // see above
		line: int32(p.region.line), column: int32(p.region.column), endLine: int32(p.region.endLine), //nolint:gosec // see above
		given: p.rule.component.given,
	}
}

// ordinary tells whether a pending says no more than a packed one can hold.
func (p *pending) ordinary() bool {
	return p.rule.guid == "" && p.rule.component.name == "" && p.rule.component.guid == "" &&
		p.kind == "" && p.message.id == "" && p.message.arguments == nil &&
		p.target == place{index: -1} && p.logical == "" &&
		p.part == "" && p.partName == "" && p.restored == "" && p.likeness == "" &&
		p.score == score{} && p.rank == -1 && p.cwe == nil && p.taxa == nil &&
		p.suppressions == nil && p.baseline == "" && p.invocation == -1
}

func (k *packed) unpack() pending {
	if k.whole != nil {
		return *k.whole
	}
	p := blank()
	p.rule.id, p.rule.index = k.rule, int(k.ruleIndex)
	p.rule.component.index, p.rule.component.given = int(k.component), k.given
	p.level, p.message.text = k.level, k.text
	p.place = place{k.uri, k.base, int(k.artifact)}
	p.region = region{int(k.line), int(k.column), int(k.endLine)}
	p.snippet, p.content, p.lineHash = k.snippet, k.content, k.hash
	p.own, p.ownName = k.own, k.ownName
	return p
}

// pendings is a list that grows without copying what it holds, and shrinks as it is taken.
type pendings struct {
	chunks [][]packed
	n      int
}

const pendingChunk = 256

func (l *pendings) add(p *pending) {
	if l.n%pendingChunk == 0 {
		l.chunks = append(l.chunks, make([]packed, pendingChunk))
	}
	l.chunks[l.n/pendingChunk][l.n%pendingChunk] = pack(p)
	l.n++
}

func (l *pendings) at(i int) pending { return l.chunks[i/pendingChunk][i%pendingChunk].unpack() }

// hasOwn tells whether a result has a fingerprint of the tool's own.
func (l *pendings) hasOwn(i int) bool {
	k := &l.chunks[i/pendingChunk][i%pendingChunk]
	return k.own != "" || (k.whole != nil && k.whole.own != "")
}

// take is at, in order, and lets go of what was taken.
func (l *pendings) take(i int) pending {
	p := l.at(i)
	if i%pendingChunk == pendingChunk-1 {
		l.chunks[i/pendingChunk] = nil
	}
	return p
}
