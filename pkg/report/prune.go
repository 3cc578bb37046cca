// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/knowngood/knowngood/pkg/release"
)

// A Pruning is a plan of what is pruned, and what was done of it.
type Pruning struct {
	Fates   []Fate
	Orphans []Orphan
	// Plan is the digest of the plan; Done is true once it is carried out.
	Plan string
	Done bool
	// Upkeep is nil where maintenance did not run; Postponed says for whom it waits.
	Upkeep    *Upkeep
	Postponed string
}

// A Fate is what becomes of a backup, and why.
type Fate struct {
	Backup release.Backup
	Keep   bool
	Why    string
}

// An Orphan is something that belongs to nothing that is known. Goes is true where the plan
// takes it away.
type Orphan struct {
	Kind, Name string
	Goes       bool
}

// An Upkeep is what maintenance freed, and what waits for a later one.
type Upkeep struct{ Objects, Freed, Unused, Locked, Prolonged int64 }

// PrunePlan returns a plan of what is pruned as text for a terminal: all that goes, and all that
// stays, with the reason of each.
func PrunePlan(told Pruning) string {
	p := &page{}
	gone, kept := 0, 0
	for i, f := range told.Fates {
		if here := heading(f.Backup); i == 0 || here != heading(told.Fates[i-1].Backup) {
			p.line(here)
		}
		word := "keep"
		if kept++; !f.Keep {
			word, gone, kept = "prune", gone+1, kept-1
		}
		p.field("  "+pad(word, 5)+" "+Clean(shortID(f.Backup.ID)),
			fmt.Sprintf("%s: %s", f.Backup.Taken.UTC().Format("2006-01-02 15:04"), Clean(oneLine(f.Why))))
	}
	if len(told.Fates) > 0 {
		p.blank()
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
		p.field(label, Clean(o.Kind)+": "+cut(Clean(oneLine(o.Name)), messageLength))
	}
	p.prunedLines(told, gone, kept)
	return p.String()
}

func (p *page) prunedLines(told Pruning, gone, kept int) {
	words := fmt.Sprintf("%s kept, %s given up", count(kept, "backup"), count(gone, "backup"))
	if !told.Done {
		p.field("  plan", fmt.Sprintf("%s: %s. Nothing is changed yet; carry it out with --dry-run=false --plan %s", Clean(told.Plan), words, Clean(told.Plan)))
		return
	}
	p.field("✓ pruned", words)
	switch {
	case told.Postponed != "":
		p.field("! maintenance", "waits until nobody else is at work: "+Clean(oneLine(told.Postponed)))
	case told.Upkeep != nil:
		if n := told.Upkeep.Locked; n > 0 {
			p.field("  locked", count(int(n), "object")+" that nobody needs stay until their locks end")
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
func heading(b release.Backup) string {
	here := Clean(b.App)
	if b.Environment != "" && b.Environment != release.NoEnvironment {
		here += " in " + Clean(b.Environment)
	}
	return here + ": " + cutFront(Clean(b.Volume), 50)
}
