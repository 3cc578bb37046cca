// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
)

// A Repairing is what a repair of a repository found, and did.
type Repairing struct {
	Needed, Done bool
	// Damaged objects are moved to Aside.
	Damaged []string
	Aside   string
	// Packs hold Pieces that no index named; those in Unread do not say what they hold.
	Packs, Pieces int
	Unread        []string
	// Lists are where pieces of the list of backups lie that cannot be read.
	Lists []string
	// Back are the backups that come back, Missing those that do not, which Forgot ends.
	Back, Missing []string
	Forgot        bool
}

// Repair shows what a repair found, and did.
func Repair(r Repairing) string {
	p := &page{}
	if !r.Needed {
		p.field("✓ whole", "nothing that all backups need is damaged or lost; backup verify tells of each")
	}
	p.each("! damaged", "", r.Damaged)
	p.each("! damaged", "a part of the list of backups in ", r.Lists)
	if r.Pieces > 0 {
		p.field("  found", fmt.Sprintf("%s in %s that the index does not name", count(r.Pieces, "piece"), count(r.Packs, "pack")))
	}
	p.each("! unread", "it does not say what it holds: ", r.Unread)
	p.each("  back", "backup ", r.Back)
	lost := "! lost"
	if r.Forgot {
		lost = "  forgot"
	}
	p.each(lost, "backup ", r.Missing)
	switch {
	case !r.Needed:
	case !r.Done:
		p.line("")
		p.line("Nothing is changed. To repair: the same with --dry-run=false")
	case r.Aside != "":
		p.field("✓ repaired", "what was damaged lies in "+Clean(r.Aside)+"; prove the backups: knowngood backup verify")
	default:
		p.field("✓ repaired", "prove the backups: knowngood backup verify")
	}
	return p.String()
}

// each shows names one a line, up to as many as a terminal takes.
func (p *page) each(label, before string, names []string) {
	for i, name := range names {
		if i == textItems {
			p.field("", fmt.Sprintf("and %d more, with --json", len(names)-i))
			return
		}
		p.field(label, strings.TrimSpace(before+cut(Clean(oneLine(name)), messageLength)))
	}
}
