// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Pruning is a plan of what is pruned, and what was done of it.
type Pruning struct {
	// Backups and Snapshots are each nil where nobody looked there; Unseen says why not.
	Backups, Snapshots *Fates
	Unseen             []string
	Orphans            []Orphan
	// Plan is the digest of the plan; Done is true once it is carried out.
	Plan string
	Done bool
	// Upkeep is nil where maintenance did not run; Postponed says for whom it waits.
	Upkeep    *Upkeep
	Postponed string
}

// Fates are those of the copies of one kind.
type Fates struct {
	Kind string // "backup" or "snapshot"
	All  []Fate
	// Done is true once those that go are gone.
	Done bool
}

// A Fate is what becomes of a copy, and why.
type Fate struct {
	App, Environment string
	// Of is the volume, ID what tells the copy from others at a glance. Run and Name, where they are
	// given, are of what took it and of the object that goes with it.
	Of, ID, Run, Name string
	Taken             time.Time
	Keep              bool
	Why               string
}

// An Orphan is something that belongs to nothing that is known. Goes is true where the plan
// takes it away.
type Orphan struct {
	Kind, Name, Why string
	Goes            bool
}

// An Upkeep is what maintenance freed, and what waits for a later one.
type Upkeep struct {
	Objects, Freed, Unused, Locked, Prolonged int64
	// LockedUntil is when the last of the locks ends; nil where nothing is locked.
	LockedUntil *time.Time
}

// PrunePlan returns a plan of what is pruned as text for a terminal: all that goes, and all that
// stays, with the reason of each.
func PrunePlan(told Pruning) string {
	p := &page{}
	var words, done []string
	for _, fates := range []*Fates{told.Backups, told.Snapshots} {
		if fates == nil {
			continue
		}
		p.fates(fates)
		counted := fates.words()
		words = append(words, counted)
		if fates.Done {
			done = append(done, counted)
		}
	}
	for i, o := range told.Orphans {
		if i == textItems {
			p.field("", fmt.Sprintf("and %d more, with --json", len(told.Orphans)-i))
			break
		}
		label := "! told"
		if o.Goes {
			label = "  goes"
		}
		text := Clean(o.Kind) + ": " + cut(Clean(oneLine(o.Name)), messageLength)
		if o.Why != "" {
			text += " (" + cut(Clean(oneLine(o.Why)), messageLength) + ")"
		}
		p.field(label, text)
	}
	for _, unseen := range told.Unseen {
		p.field("! not looked at", Clean(unseen))
	}
	p.prunedLines(told, words, done)
	return p.String()
}

func (p *page) fates(told *Fates) {
	place := ""
	for _, f := range told.All {
		if here := f.heading(told.Kind); here != place {
			place = here
			p.line(here)
		}
		word := "keep"
		if !f.Keep {
			word = "prune"
		}
		text := f.Taken.UTC().Format("2006-01-02 15:04")
		if f.Run != "" {
			text += ", run " + cut(Clean(oneLine(f.Run)), messageLength)
		}
		p.field("  "+pad(word, 5)+" "+Clean(shortID(f.ID)), text+": "+Clean(oneLine(f.Why)))
		if f.Name != "" && !f.Keep {
			p.field("", cut(Clean(oneLine(f.Name)), messageLength))
		}
	}
	if len(told.All) > 0 {
		p.blank()
	}
}

// words count what stays and what goes.
func (f *Fates) words() string {
	kept := 0
	for _, one := range f.All {
		if one.Keep {
			kept++
		}
	}
	return fmt.Sprintf("%s kept, %s given up", count(kept, f.Kind), count(len(f.All)-kept, f.Kind))
}

func (p *page) prunedLines(told Pruning, words, done []string) {
	if len(done) > 0 {
		p.field("✓ pruned", strings.Join(done, "; "))
	}
	if !told.Done {
		unchanged := "Nothing is changed yet"
		if len(done) > 0 {
			unchanged = "The rest is not changed yet"
		}
		p.field("  plan", fmt.Sprintf("%s: %s. %s; carry it out with --dry-run=false --plan %s",
			Clean(told.Plan), strings.Join(words, "; "), unchanged, Clean(told.Plan)))
	}
	switch {
	case told.Postponed != "":
		p.field("! maintenance", "waits until nobody else is at work: "+Clean(oneLine(told.Postponed)))
	case told.Upkeep != nil:
		if n := told.Upkeep.Locked; n > 0 {
			words := count(int(n), "object") + " that nobody needs stay until their locks end"
			if until := told.Upkeep.LockedUntil; until != nil {
				words += ", the last at " + moment(*until)
			}
			p.field("  locked", words)
		}
		if n := told.Upkeep.Prolonged; n > 0 {
			p.field("  locks", count(int(n), "object")+" are locked for longer than before")
		}
		p.field("  freed", fmt.Sprintf("%s in %s; %s no longer needed, freed by later prunes, with one a day about the third day after",
			someBytes(told.Upkeep.Freed), count(int(told.Upkeep.Objects), "object"), someBytes(told.Upkeep.Unused)))
	}
}

func someBytes(bytes int64) string {
	if bytes == 0 {
		return "nothing"
	}
	return size(bytes)
}

func shortID(id string) string { return id[:min(len(id), 9)] }

// heading names what backups are copies of.
func heading(b release.Backup) string { return headingOf(b.App, b.Environment, b.Volume) }

func headingOf(app, environment, volume string) string {
	here := Clean(app)
	if environment != "" && environment != release.NoEnvironment {
		here += " in " + Clean(environment)
	}
	return here + ": " + cutFront(Clean(volume), 50)
}

// heading names what copies are of; of backups nothing else is said.
func (f Fate) heading(kind string) string {
	here := headingOf(f.App, f.Environment, f.Of)
	if kind == "backup" {
		return here
	}
	return here + " (" + kind + "s)"
}
