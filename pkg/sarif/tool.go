// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/knowngood/knowngood/pkg/release"
)

// A component is the driver, an extension or a taxonomy.
type component struct {
	shelf               // of its rules
	name, guid, version string
	semantic            string
	notifications, taxa shelf
	messages            map[string]string
}

// maxComponents bounds the extensions, and the taxonomies, of one run.
const maxComponents = 1000

// A rule is a reporting descriptor: of a rule, a notification or a taxon.
type rule struct {
	id, guid, name string
	deprecated     []string
	level          string
	off            bool
	enabled        bool    // said, not just by default
	rank           float64 // -1: not known
	score          score
	cwe            []int
	relations      []reference
	help           string
	short          string
	messages       map[string]string
	secret         bool

	// What results ask for again and again, made once.
	shown    string // the id as it is told
	plain    release.Level
	cwes     []int // with those in the id
	isSecret bool
}

// A score is a security-severity. A value that is no number from 0 to 10 is kept in odd.
type score struct {
	value float64
	ok    bool
	odd   string
}

func (r *run) readComponent(into *[]component, how strictness) error {
	if how == strict && r.dec.PeekKind() != jsontext.KindBeginObject {
		return r.wrong("an object")
	}
	if len(*into) >= maxComponents {
		return r.tooMany("tool components", maxComponents)
	}
	var c component
	err := r.object(how, func(name []byte) error { return r.componentMember(&c, name) })
	if c.semantic != "" {
		c.version = c.semantic
	}
	*into = append(*into, c)
	return cmp.Or(err, r.charge(ruleOverhead))
}

func (r *run) componentMember(c *component, name []byte) error {
	switch string(name) {
	case "name":
		return r.keep(&c.name)
	case "guid":
		return r.keep(&c.guid)
	case "semanticVersion":
		return r.keep(&c.semantic)
	case "version", "dottedQuadFileVersion":
		plain := string(name) == "version"
		text, err := r.text()
		if text != "" && (plain || c.version == "") {
			c.version = text
		}
		return err
	case "rules":
		return r.array(strict, func(int) error { return r.readRule(&c.rules, strict) })
	case "notifications":
		return r.array(lenient, func(int) error { return r.readRule(&c.notifications.rules, lenient) })
	case "taxa":
		return r.array(lenient, func(int) error { return r.readRule(&c.taxa.rules, lenient) })
	case "globalMessageStrings":
		return r.readMessages(&c.messages)
	default:
		return r.skip()
	}
}

func (r *run) readRule(into *[]rule, how strictness) error {
	if how == strict && r.dec.PeekKind() != jsontext.KindBeginObject {
		return r.wrong("an object")
	}
	d := rule{rank: -1}
	err := r.object(how, func(name []byte) error { return r.ruleMember(&d, name) })
	*into = append(*into, d)
	return cmp.Or(err, r.charge(ruleOverhead))
}

func (r *run) ruleMember(d *rule, name []byte) error {
	switch string(name) {
	case "id":
		return r.keepWord(&d.id)
	case "guid":
		return r.keep(&d.guid)
	case "name":
		return r.keep(&d.name)
	case "deprecatedIds":
		return r.array(lenient, func(int) error {
			id, err := r.word()
			d.deprecated = append(d.deprecated, id)
			return cmp.Or(err, r.charge(16))
		})
	case "defaultConfiguration":
		return r.readConfiguration(d)
	case "properties":
		return r.object(lenient, func(name []byte) error { return r.ruleProperty(d, name) })
	case "helpUri":
		return r.keep(&d.help)
	case "messageStrings":
		return r.readMessages(&d.messages)
	case "shortDescription":
		return r.object(lenient, func(name []byte) error {
			if string(name) == "text" {
				return r.keep(&d.short)
			}
			return r.skip()
		})
	case "relationships":
		return r.array(lenient, func(int) error { return r.readRelation(d) })
	default:
		return r.skip()
	}
}

// readConfiguration reads a reporting configuration into the descriptor that it configures.
func (r *run) readConfiguration(d *rule) error {
	return r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "level":
			return r.keepLevel(&d.level)
		case "enabled":
			on, known, err := r.truth()
			d.off, d.enabled = known && !on, known && on
			return err
		case "rank":
			value, err := r.float()
			d.rank = value
			return err
		default:
			return r.skip()
		}
	})
}

func (r *run) ruleProperty(d *rule, name []byte) error {
	switch strings.ToLower(string(name)) {
	case "security-severity":
		return r.readScore(&d.score)
	case "tags":
		return r.array(lenient, func(int) error {
			tag, err := r.word()
			d.cwe = appendCWE(d.cwe, tag)
			d.secret = d.secret || secretWord(tag)
			return err
		})
	case "cwe", "cwes", "cwe-id", "cwe_id", "cweid", "cwe-ids", "cwe_ids", "cweids":
		return r.readCWE(&d.cwe)
	default:
		return r.skip()
	}
}

func (r *run) readRelation(d *rule) error {
	target := reference{index: -1}
	disjoint := false
	err := r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "target":
			return r.readReference(&target)
		case "kinds":
			return r.array(lenient, func(int) error {
				kind, err := r.word()
				disjoint = disjoint || kind == "disjoint" || kind == "incomparable"
				return err
			})
		default:
			return r.skip()
		}
	})
	if !disjoint {
		d.relations = append(d.relations, target)
	}
	return cmp.Or(err, r.charge(overhead))
}

// readMessages reads an object of multiformat message strings.
func (r *run) readMessages(into *map[string]string) error {
	return r.object(lenient, func(name []byte) error {
		id := string(name)
		var plain, markdown string
		err := r.object(lenient, func(name []byte) error {
			switch string(name) {
			case "text":
				return r.keep(&plain)
			case "markdown":
				return r.keep(&markdown)
			default:
				return r.skip()
			}
		})
		if plain == "" {
			plain = markdown
		}
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[id] = plain
		return cmp.Or(err, r.charge(len(id)+overhead))
	})
}

// readScore reads a security-severity, which tools write as a string or as a number. Of several,
// whose names differ in case alone, the highest counts.
func (w *walker) readScore(s *score) error {
	kind := w.dec.PeekKind()
	value, err := w.dec.ReadValue()
	if err != nil {
		return err
	}
	written := string(value)
	if kind == jsontext.KindString {
		written = string(unquoted(value))
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(written), 64)
	switch {
	case kind == jsontext.KindNull || written == "":
	case err != nil || math.IsNaN(n) || n < 0 || n > 10:
		s.odd = clean(written, 40)
	case !s.ok || n > s.value:
		s.value, s.ok = n, true
	}
	return nil
}

// float reads a number; anything else is -1.
func (w *walker) float() (float64, error) {
	value, err := w.bytes(jsontext.KindNumber)
	if value == nil || err != nil {
		return -1, err
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		w.strange(w.dec.StackPointer)
		return -1, nil //nolint:nilerr // it is noted as strange
	}
	return f, nil
}

// parseLevel returns the level that a tool wrote. Case does not matter; "" is absent. Words
// that are no level are not known: then odd is true, and the finding counts at least as a
// warning.
func parseLevel(written string) (level release.Level, odd bool) {
	switch strings.ToLower(strings.TrimSpace(written)) {
	case "":
		return "", false
	case "none":
		return release.LevelNone, false
	case "note":
		return release.LevelNote, false
	case "warning":
		return release.LevelWarning, false
	case "error":
		return release.LevelError, false
	case "critical", "high", "fatal", "severe":
		return release.LevelError, true
	default:
		return "", true
	}
}
