// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"slices"
	"strings"
)

// A reference names a reporting descriptor (SARIF 2.1.0, §3.52). An index of -1 is absent.
type reference struct {
	id, guid  string
	index     int
	component componentRef
}

// A componentRef names a tool component (§3.54); the zero value with index -1 is the driver.
type componentRef struct {
	name, guid string
	index      int
	given      bool
}

func (r *run) readReference(into *reference) error {
	into.index, into.component.index = -1, -1
	return r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "id":
			return r.keepWord(&into.id)
		case "guid":
			return r.keepWord(&into.guid)
		case "index":
			return r.keepNumber(&into.index)
		case "toolComponent":
			into.component.given = true
			return r.object(lenient, func(name []byte) error {
				switch string(name) {
				case "name":
					return r.keepWord(&into.component.name)
				case "guid":
					return r.keepWord(&into.component.guid)
				case "index":
					return r.keepNumber(&into.component.index)
				default:
					return r.skip()
				}
			})
		default:
			return r.skip()
		}
	})
}

// A shelf holds descriptors of one sort: a component's rules, its notifications or its taxa.
type shelf struct {
	rules  []rule
	byID   map[string]int
	byGUID map[string]int
}

// index makes ready for looking descriptors up. Of those that share an id, the most severe
// stands for it, unless an index says which one is meant.
func (s *shelf) index() {
	s.byID = make(map[string]int, len(s.rules))
	s.byGUID = map[string]int{}
	for i := range s.rules {
		s.add(s.rules[i].id, i)
		if guid := s.rules[i].guid; guid != "" {
			s.byGUID[strings.ToLower(guid)] = i
		}
	}
	for i := range s.rules {
		for _, id := range s.rules[i].deprecated {
			if _, taken := s.byID[id]; !taken {
				s.add(id, i)
			}
		}
	}
}

func (s *shelf) add(id string, i int) {
	if id == "" {
		return
	}
	if other, taken := s.byID[id]; taken && !s.rules[i].worse(&s.rules[other]) {
		return
	}
	s.byID[id] = i
}

// maxParents bounds how many parts of a hierarchical id are dropped to find its rule.
const maxParents = 10

// find returns the descriptor that a reference names, nil if none is here.
func (s *shelf) find(ref reference) *rule {
	indexed := s.at(ref.index)
	if ref.id == "" {
		if d := s.withGUID(ref.guid); d != nil {
			return d
		}
		return indexed
	}
	id := ref.id
	for n := 0; id != "" && n < maxParents; n++ {
		if indexed != nil && indexed.id == id {
			return indexed
		}
		if i, ok := s.byID[id]; ok {
			return &s.rules[i]
		}
		id = parent(id)
	}
	return s.withGUID(ref.guid)
}

func (s *shelf) at(index int) *rule {
	if index < 0 || index >= len(s.rules) {
		return nil
	}
	return &s.rules[index]
}

func (s *shelf) withGUID(guid string) *rule {
	if i, ok := s.byGUID[strings.ToLower(guid)]; ok && guid != "" {
		return &s.rules[i]
	}
	return nil
}

// parent drops the last part of a hierarchical id; "" is the end.
func parent(id string) string {
	return id[:max(strings.LastIndexByte(id, '/'), 0)]
}

// worse tells whether d makes a finding more severe than other does.
func (d *rule) worse(other *rule) bool {
	if d.score.value != other.score.value {
		return d.score.value > other.score.value
	}
	return severity(d.level) > severity(other.level)
}

func severity(written string) int {
	level, odd := parseLevel(written)
	if level == "" || odd {
		level = "warning"
	}
	return levelRank(level)
}

// component returns an extension, or the driver for -1.
func (r *run) component(i int) *component {
	if i < 0 || i >= len(r.extensions) {
		return &r.driver
	}
	return &r.extensions[i]
}

// index makes ready for looking rules, notifications and taxa up.
func (r *run) index() {
	for i := range r.taxonomies {
		r.taxonomies[i].taxa.index()
	}
	for c := -1; c < len(r.extensions); c++ {
		component := r.component(c)
		component.notifications.index()
		component.taxa.index()
	}
	r.ruleNames, r.noticeNames = names{}, names{}
	secrets := secretTool(r.driver.name)
	for c := -1; c < len(r.extensions); c++ {
		component := r.component(c)
		for i := range component.rules {
			d := &component.rules[i]
			d.cwe = r.weaknesses(d.cwe, d.relations)
			slices.Sort(d.cwe)
			d.help = webLink(d.help)
			d.shown = clean(d.id, 300)
			d.plain, _ = parseLevel(d.level)
			d.cwes = appendCWE(slices.Clone(d.cwe), d.shown)
			slices.Sort(d.cwes)
			d.isSecret = secrets || secretWord(d.shown) || d.secret || secretWord(d.name)
		}
		component.index()
		r.ruleNames.add(&component.shelf)
		r.noticeNames.add(&component.notifications)
	}
}

// webLink returns a link that a person may follow, "" for anything else.
func webLink(uri string) string {
	scheme, _, found := cutScheme(uri)
	if !found || !(strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")) || strings.ContainsAny(uri, " \t\r\n\"<>`\\") {
		return ""
	}
	return mask(uri)
}

// A match is the descriptor that a reference names, and the component to which it belongs.
type match struct {
	rule    *rule // nil when there is none
	home    *component
	guessed bool // no rule has the id; this one stands at the index
}

// lookup finds the rule that a result names: in the component that it names, else in the
// driver, else wherever the id stands. An id wins over an index that says otherwise, because
// tools get indexes wrong. Where no rule has the id, the one at the index is a guess.
func (r *run) lookup(ref reference) match {
	return r.search(ref, r.ruleNames, func(c *component) *shelf { return &c.shelf })
}

// notice finds the descriptor of a notification in the same way.
func (r *run) notice(ref reference) match {
	return r.search(ref, r.noticeNames, func(c *component) *shelf { return &c.notifications })
}

// names are the ids and guids that some component of a run has: a tool may have a thousand
// components, which are not all to be asked for what none of them knows.
type names map[string]bool

func (n names) add(s *shelf) {
	for id := range s.byID {
		n[id] = true
	}
	for guid := range s.byGUID {
		n[guid] = true
	}
}

// hold tells whether shelf.find may find the reference on any shelf.
func (n names) hold(ref reference) bool {
	id := ref.id
	for tried := 0; id != "" && tried < maxParents; tried++ {
		if n[id] {
			return true
		}
		id = parent(id)
	}
	return ref.guid != "" && n[strings.ToLower(ref.guid)]
}

func (r *run) search(ref reference, known names, sort func(*component) *shelf) match {
	home := r.home(ref.component)
	if d := sort(home).find(ref); d != nil {
		return match{rule: d, home: home}
	}
	if ref.id == "" && ref.guid == "" {
		return match{home: home}
	}
	loose := reference{id: ref.id, guid: ref.guid, index: -1}
	last := len(r.extensions)
	if !known.hold(loose) {
		last = -1
	}
	for c := -1; c < last; c++ {
		if other := r.component(c); other != home {
			if d := sort(other).find(loose); d != nil {
				return match{rule: d, home: other}
			}
		}
	}
	d := sort(home).at(ref.index)
	return match{rule: d, home: home, guessed: d != nil}
}

// home returns the component that a reference names, the driver when it names none.
func (r *run) home(ref componentRef) *component {
	if !ref.given {
		return &r.driver
	}
	if ref.index >= 0 && ref.index < len(r.extensions) {
		return &r.extensions[ref.index]
	}
	for i := range r.extensions {
		e := &r.extensions[i]
		if (ref.guid != "" && strings.EqualFold(ref.guid, e.guid)) || (ref.guid == "" && ref.name != "" && ref.name == e.name) {
			return e
		}
	}
	return &r.driver
}
