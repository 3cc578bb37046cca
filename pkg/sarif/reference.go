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

// component returns an extension, or the driver for -1.
func (r *run) component(i int) *component {
	if i < 0 || i >= len(r.extensions) {
		return &r.driver
	}
	return &r.extensions[i]
}

// index makes ready for looking rules up. Of rules that share an id, the most severe stands
// for it, unless a result's index says which one is meant.
func (r *run) index() {
	for c := -1; c < len(r.extensions); c++ {
		component := r.component(c)
		component.byID = make(map[string]int, len(component.rules))
		component.byGUID = map[string]int{}
		component.notificationByID = map[string]*rule{}
		for i := range component.notifications {
			component.notificationByID[component.notifications[i].id] = &component.notifications[i]
		}
		for i := range component.rules {
			d := &component.rules[i]
			d.cwe = r.weaknesses(d.cwe, d.relations)
			slices.Sort(d.cwe)
			d.help = webLink(d.help)
			component.add(d.id, i)
			if d.guid != "" {
				component.byGUID[strings.ToLower(d.guid)] = i
			}
		}
		for i := range component.rules {
			for _, id := range component.rules[i].deprecated {
				if _, taken := component.byID[id]; !taken {
					component.add(id, i)
				}
			}
		}
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

func (c *component) add(id string, i int) {
	if id == "" {
		return
	}
	if other, taken := c.byID[id]; taken && !c.rules[i].worse(&c.rules[other]) {
		return
	}
	c.byID[id] = i
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

// lookup finds the rule that a result names: in the component that it names, else in the
// driver, else wherever the id stands. An id wins over an index that says otherwise, because
// tools get indexes wrong. Where no rule has the id, the one at the index is a guess.
func (r *run) lookup(ref reference) (d *rule, guessed bool) {
	home := r.home(ref.component)
	if d := home.find(ref); d != nil {
		return d, false
	}
	if ref.id == "" && ref.guid == "" {
		return nil, false
	}
	loose := reference{id: ref.id, guid: ref.guid, index: -1}
	for c := -1; c < len(r.extensions); c++ {
		if other := r.component(c); other != home {
			if d := other.find(loose); d != nil {
				return d, false
			}
		}
	}
	if ref.index >= 0 && ref.index < len(home.rules) {
		return &home.rules[ref.index], true
	}
	return nil, false
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

func (c *component) find(ref reference) *rule {
	var indexed *rule
	if ref.index >= 0 && ref.index < len(c.rules) {
		indexed = &c.rules[ref.index]
	}
	if ref.id == "" {
		if i, ok := c.byGUID[strings.ToLower(ref.guid)]; ok && ref.guid != "" {
			return &c.rules[i]
		}
		return indexed
	}
	for id := ref.id; id != ""; id = parent(id) {
		if indexed != nil && indexed.id == id {
			return indexed
		}
		if i, ok := c.byID[id]; ok {
			return &c.rules[i]
		}
	}
	if i, ok := c.byGUID[strings.ToLower(ref.guid)]; ok && ref.guid != "" {
		return &c.rules[i]
	}
	return nil
}

// parent drops the last part of a hierarchical id; "" is the end.
func parent(id string) string {
	return id[:max(strings.LastIndexByte(id, '/'), 0)]
}
