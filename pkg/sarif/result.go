// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/knowngood/knowngood/pkg/release"
)

func (r *run) readResult(int) error {
	if r.dec.PeekKind() != jsontext.KindBeginObject {
		return r.wrong("an object")
	}
	if r.findings++; r.findings > r.limits.Findings {
		// The rest is counted, so that the error tells by how much.
		if r.over == nil {
			r.over = &Error{Offset: r.dec.InputOffset(), Pointer: string(r.nextPointer())}
		}
		return r.skip()
	}
	r.current = blank()
	p := &r.current
	r.snippet, r.context = r.snippet[:0], r.context[:0]
	if err := r.object(strict, r.resultMember); err != nil {
		return err
	}
	r.settle(p)
	r.results.add(p)
	return r.charge(len(p.snippet))
}

func (r *run) resultMember(name []byte) error {
	p := &r.current
	switch string(name) {
	case "ruleId":
		return r.keepWord(&p.rule.id)
	case "ruleIndex":
		return r.keepNumber(&p.rule.index)
	case "rule":
		return r.readRuleReference(p)
	case "level":
		return r.keepLevel(&p.level)
	case "kind":
		return r.keepWord(&p.kind)
	case "message":
		return r.readMessage(&p.message)
	case "locations":
		return r.array(lenient, func(int) error {
			if p.place.uri != "" || p.place.index >= 0 {
				return r.skip()
			}
			return r.readLocation(p)
		})
	case "analysisTarget":
		return r.readPlace(&p.target)
	case "fingerprints":
		return r.object(lenient, func(name []byte) error { return r.readFingerprint(p, name) })
	case "partialFingerprints":
		return r.object(lenient, func(name []byte) error { return r.readPartial(p, name) })
	case "suppressions":
		return r.array(strict, func(int) error { return r.readSuppression(p) })
	case "baselineState":
		return r.keepWord(&p.baseline)
	default:
		return r.rareMember(p, name)
	}
}

// rareMember takes the members that few tools write, and passes over the rest.
func (r *run) rareMember(p *pending, name []byte) error {
	switch string(name) {
	case "taxa":
		return r.array(lenient, func(int) error {
			var taxon reference
			err := r.readReference(&taxon)
			p.taxa = append(p.taxa, taxon)
			return cmp.Or(err, r.charge(overhead))
		})
	case "rank":
		rank, err := r.float()
		p.rank = rank
		return err
	case "provenance":
		return r.object(lenient, func(name []byte) error {
			if string(name) == "invocationIndex" {
				return r.keepNumber(&p.invocation)
			}
			return r.skip()
		})
	case "properties":
		return r.object(lenient, func(name []byte) error { return r.resultProperty(p, name) })
	default:
		return r.skip()
	}
}

func (r *run) readRuleReference(p *pending) error {
	var ref reference
	err := r.readReference(&ref)
	if p.rule.id == "" {
		p.rule.id = ref.id
	}
	if p.rule.index < 0 {
		p.rule.index = ref.index
	}
	p.rule.guid, p.rule.component = ref.guid, ref.component
	return err
}

func (r *run) resultProperty(p *pending, name []byte) error {
	switch strings.ToLower(string(name)) {
	case "security-severity":
		return r.readScore(&p.score)
	case "cwe", "cwes", "cwe-id", "cwe_id", "cweid", "cwe-ids", "cwe_ids", "cweids":
		return r.readCWE(&p.cwe)
	case "tags":
		return r.array(lenient, func(int) error {
			tag, err := r.text()
			p.cwe = appendCWE(p.cwe, tag)
			return err
		})
	default:
		return r.skip()
	}
}

func (r *run) readSuppression(p *pending) error {
	if r.dec.PeekKind() != jsontext.KindBeginObject {
		return r.wrong("an object")
	}
	s := release.Suppression{Status: release.SuppressionAccepted}
	err := r.object(strict, func(name []byte) error {
		switch string(name) {
		case "kind":
			return r.keepWord(&s.Kind)
		case "status", "state": // "state" until the last drafts of 2.1.0
			if kind := r.dec.PeekKind(); kind != jsontext.KindString && kind != jsontext.KindNull {
				return r.wrong("a string")
			}
			status, err := r.word()
			if status != "" && s.Status == release.SuppressionAccepted {
				s.Status = clean(status, 40)
			}
			return err
		case "justification":
			return r.keep(&s.Justification)
		default:
			return r.skip()
		}
	})
	s.Kind = clean(s.Kind, 40)
	p.suppressions = append(p.suppressions, s)
	return cmp.Or(err, r.charge(overhead))
}
