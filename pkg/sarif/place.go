// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"crypto/sha256"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A place is an artifact location (§3.4). An index of -1 is absent.
type place struct {
	uri, base string
	index     int
}

// A region is where in an artifact a result lies, as the tool counts.
type region struct {
	line, column, endLine int
}

func (r *run) readPlace(into *place) error {
	into.index = -1
	return r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "uri":
			return r.keepWord(&into.uri)
		case "uriBaseId":
			return r.keepWord(&into.base)
		case "index":
			return r.keepNumber(&into.index)
		default:
			return r.skip()
		}
	})
}

// readLocation reads a location into a result that has no place yet.
func (r *run) readLocation(p *pending) error {
	return r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "physicalLocation":
			return r.object(lenient, func(name []byte) error {
				switch string(name) {
				case "artifactLocation":
					return r.readPlace(&p.place)
				case "region":
					return r.readRegion(&p.region)
				case "contextRegion":
					// Looked into only if nothing better identifies the result.
					value, err := r.bytes(jsontext.KindBeginObject)
					r.context = append(r.context[:0], value...)
					return err
				default:
					return r.skip()
				}
			})
		case "logicalLocations":
			return r.array(lenient, func(i int) error {
				if i > 0 {
					return r.skip()
				}
				return r.readLogical(&p.logical)
			})
		default:
			return r.skip()
		}
	})
}

func (r *run) readLogical(into *string) error {
	var short string
	err := r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "fullyQualifiedName":
			return r.keepWord(into)
		case "name":
			return r.keepWord(&short)
		default:
			return r.skip()
		}
	})
	if *into == "" {
		*into = short
	}
	return err
}

// readRegion reads where a region is, and its snippet's text into the room for it.
func (r *run) readRegion(into *region) error {
	return r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "startLine":
			return r.keepNumber(&into.line)
		case "startColumn":
			return r.keepNumber(&into.column)
		case "endLine":
			return r.keepNumber(&into.endLine)
		case "snippet":
			return r.object(lenient, func(name []byte) error {
				if string(name) != "text" {
					return r.skip()
				}
				value, err := r.bytes(jsontext.KindString)
				if value != nil {
					r.snippet = append(r.snippet[:0], value...)
				}
				return err
			})
		default:
			return r.skip()
		}
	})
}

// A hash identifies a text whatever its white space; the zero value is no text.
type hash [16]byte

// settle keeps of a result's snippets what is needed of them, once all of it was read: what
// masks a secret, and what identifies the result if the tool gave it no better fingerprint.
func (r *run) settle(p *pending) {
	snippet := ""
	if len(r.snippet) > 0 {
		snippet = string(unquoted(r.snippet))
		p.snippet = cut(snippet, maxText)
	}
	if p.lineHash != "" || p.part != "" || p.restored != "" {
		return
	}
	if p.content = r.hash(snippet); p.content != (hash{}) || len(r.context) == 0 {
		return
	}
	var around struct {
		Snippet struct {
			Text string `json:"text"`
		} `json:"snippet"`
	}
	if json.Unmarshal(r.context, &around) == nil {
		p.content = r.hash(around.Snippet.Text)
	}
}

func (r *run) hash(snippet string) hash {
	r.scratch = r.scratch[:0]
	for field := range strings.FieldsSeq(snippet) {
		r.scratch = append(append(r.scratch, field...), ' ')
	}
	if len(r.scratch) == 0 {
		return hash{}
	}
	sum := sha256.Sum256(r.scratch)
	return hash(sum[:16])
}
