// SPDX-License-Identifier: Apache-2.0

// Package retain holds the rules of retention: which of many copies of a thing stay, and why. It
// knows copies alone, and neither repositories nor clusters; it asks nothing and changes nothing.
package retain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Rules say how many copies of a volume are kept: the newest, and the newest of so many days,
// weeks (from Monday), months and years that have one.
type Rules struct {
	Last    int `json:"last"`
	Daily   int `json:"daily"`
	Weekly  int `json:"weekly"`
	Monthly int `json:"monthly"`
	Yearly  int `json:"yearly"`
}

// Check refuses rules that keep nothing.
func (r Rules) Check() error {
	total := 0
	for name, n := range map[string]int{"last": r.Last, "daily": r.Daily, "weekly": r.Weekly, "monthly": r.Monthly, "yearly": r.Yearly} {
		if n < 0 {
			return fault.Usagef("keep-%s %d: want 0 or above", name, n)
		}
		total += n
	}
	if total == 0 {
		return fault.Hint(fault.Usagef("no rule keeps anything"), "give at least one of --keep-last, --keep-daily, --keep-weekly, --keep-monthly and --keep-yearly")
	}
	return nil
}

// A Copy is a backup or a snapshot as the rules see it.
type Copy struct {
	ID string `json:"id"`
	// Of is what it is a copy of; the rules count the copies of each such thing apart.
	Of    string    `json:"of"`
	Taken time.Time `json:"taken"`
	// Proved copies were found to be what they are to be, and Refuted ones were not: of a backup a
	// test restore says it. The others were not tried.
	Proved  bool `json:"proved,omitempty"`
	Refuted bool `json:"refuted,omitempty"`
	// Part is true of a copy that lacks something of what was saved.
	Part bool `json:"part,omitempty"`
	// Bound says why the copy stays whatever the rules say, "" when it does not have to.
	Bound string `json:"bound,omitempty"`
}

// A Fate is what the rules say of a copy, and why.
type Fate struct {
	Copy
	Keep bool   `json:"keep"`
	Why  string `json:"why"`
}

// Terms are the words in which fates speak of a kind of copies.
type Terms struct {
	// Proved is what a proved copy is called; Refuted says what became of one that is not.
	Proved, Refuted string
}

// Apply tells the fate of each copy; days begin at midnight in the zone. It depends on nothing
// but its arguments, and not on their order.
//
// Only proved copies that lack nothing fill the places that the rules give. The places are filled
// once more by all proved ones, and once by those and the copies that were not tried together:
// none pushes a better one out. Besides, the newest
// proved copy stays, and all that is newer: nothing better is known of that time. Where no
// copy is proved, all stay.
func (r Rules) Apply(copies []Copy, zone *time.Location, terms Terms) []Fate {
	sorted := slices.SortedFunc(slices.Values(copies), func(a, b Copy) int {
		return cmp.Or(strings.Compare(a.Of, b.Of), b.Taken.Compare(a.Taken), strings.Compare(b.ID, a.ID))
	})
	var fates []Fate
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Of == sorted[0].Of {
			n++
		}
		fates = append(fates, r.judge(sorted[:n], zone, terms)...)
		sorted = sorted[n:]
	}
	return fates
}

// judge tells the fates of the copies of one thing, the newest first.
func (r Rules) judge(copies []Copy, zone *time.Location, terms Terms) []Fate {
	why := make([][]string, len(copies))
	newest := slices.IndexFunc(copies, func(c Copy) bool { return c.Proved })
	r.fill(why, copies, zone, func(c Copy) bool { return c.Proved && !c.Part })
	r.fill(why, copies, zone, func(c Copy) bool { return c.Proved })
	r.fill(why, copies, zone, func(c Copy) bool { return !c.Refuted })
	for i, c := range copies {
		switch {
		case newest < 0:
			why[i] = []string{"none of its kind is " + terms.Proved}
		case i == newest:
			why[i] = append([]string{"the newest that is " + terms.Proved}, why[i]...)
		case i < newest:
			why[i] = []string{"newer than the newest that is " + terms.Proved}
		}
		if c.Bound != "" {
			why[i] = append([]string{c.Bound}, why[i]...)
		}
	}
	if whole := slices.IndexFunc(copies, func(c Copy) bool { return c.Proved && !c.Part }); whole > newest {
		why[whole] = append([]string{"the newest that is " + terms.Proved + " and lacks nothing"}, why[whole]...)
	}
	fates := make([]Fate, len(copies))
	for i, c := range copies {
		fates[i] = Fate{Copy: c, Keep: len(why[i]) > 0, Why: strings.Join(why[i], ", ")}
		if !fates[i].Keep {
			fates[i].Why = terms.given(c)
		}
	}
	return fates
}

// given says why a copy is given up.
func (t Terms) given(c Copy) string {
	switch {
	case c.Refuted:
		return t.Refuted + ", and a newer one is " + t.Proved
	case c.Proved:
		return "no rule keeps it"
	}
	return "no rule keeps it, and a newer one is " + t.Proved
}

// fill gives the places of the rules to the copies that may have one, the newest first.
func (r Rules) fill(why [][]string, copies []Copy, zone *time.Location, may func(Copy) bool) {
	for _, rule := range []struct {
		name   string
		places int
		period func(time.Time) string
	}{
		{"last", r.Last, nil},
		{"daily", r.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{"weekly", r.Weekly, week},
		{"monthly", r.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{"yearly", r.Yearly, func(t time.Time) string { return t.Format("2006") }},
	} {
		before := ""
		for i, c := range copies {
			if rule.places == 0 || !may(c) {
				continue
			}
			period := fmt.Sprint(i)
			if rule.period != nil {
				period = rule.period(c.Taken.In(zone))
			}
			if period == before {
				continue
			}
			before = period
			rule.places--
			if !slices.Contains(why[i], rule.name) {
				why[i] = append(why[i], rule.name)
			}
		}
	}
}

func week(t time.Time) string {
	year, number := t.ISOWeek()
	return fmt.Sprintf("%d-W%02d", year, number)
}
