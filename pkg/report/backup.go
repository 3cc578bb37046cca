// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Backups returns a table of backups for a terminal, in the order given. Those of one
// application, environment and volume stand under one heading.
func Backups(backups []release.Backup) string {
	p := &page{}
	if len(backups) == 0 {
		return "no backups\n"
	}
	p.line(backupLine("taken (UTC)", "commit", "files", "size", "verified", "backup"))
	place := ""
	for _, b := range backups {
		if here := heading(b); here != place {
			place = here
			p.line(here)
		}
		id := Clean(b.ID)
		if len(id) > 12 {
			id = id[:12]
		}
		if !b.Whole() {
			id += " part"
		}
		if b.Hold != nil {
			id += " held"
		}
		files := thousands(int(b.Files))
		if b.Device {
			files = "device"
		}
		p.line(backupLine(b.Taken.UTC().Format("2006-01-02 15:04"), Clean(b.Commit.Short()), files, size(b.Bytes), verifiedWord(b), id))
	}
	return p.String()
}

func backupLine(taken, commit, files, bytes, verified, id string) string {
	return "  " + strings.Join([]string{pad(taken, 16), pad(commit, 12), left(files, 9), left(bytes, 10), pad(verified, 8), id}, " ")
}

// left returns text at the right end of a column.
func left(text string, width int) string {
	return strings.Repeat(" ", max(0, width-columns(text))) + fit(text, width)
}

func verifiedWord(b release.Backup) string {
	switch {
	case b.Verified == nil:
		return "no"
	case b.Verified.Proved:
		return "proved"
	}
	return "failed"
}

// Copies returns what a backup step left as text for a terminal or a log.
func Copies(copies release.Copies) string {
	p := &page{}
	p.copies(&copies, nil, nil)
	return p.String()
}

// Note returns something that a person should know, as lines of a terminal's width.
func Note(text string) string {
	p := &page{}
	for _, line := range wrap(Clean(text), pageWidth) {
		p.line(line)
	}
	return p.String()
}

// Restored says where a backup lies now.
func Restored(b release.Backup, folder string) string {
	p := &page{}
	p.field("✓ restored", fmt.Sprintf("backup %s of %s, %s, to %s",
		Clean(b.ID), moment(b.Taken), contentWords(b), Clean(folder)))
	return p.String()
}

// contentWords says what a backup holds.
func contentWords(b release.Backup) string {
	if b.Device {
		return "a raw device, " + size(b.Bytes)
	}
	return fileWords(b.Files, b.Bytes)
}

func fileWords(files, bytes int64) string {
	words := count(int(files), "file")
	if text := size(bytes); text != "" {
		words += ", " + text
	}
	return words
}

// untold returns of what a step left what no later step tells again: of a backup that was saved and
// then verified, what was said last counts.
func untold(copies *release.Copies, later []release.Entry) *release.Copies {
	if copies == nil || len(copies.Backups) == 0 {
		return copies
	}
	rest := *copies
	rest.Backups = slices.Clone(copies.Backups)
	for _, e := range later {
		if e.Copies == nil {
			continue
		}
		rest.Backups = slices.DeleteFunc(rest.Backups, func(b release.Backup) bool {
			return slices.ContainsFunc(e.Copies.Backups, func(again release.Backup) bool { return again.ID == b.ID })
		})
		if e.Copies.InClear == rest.InClear {
			rest.InClear = ""
		}
	}
	if len(rest.Backups) == 0 && rest.InClear == "" && rest.Probe == nil {
		return nil
	}
	return &rest
}

// copies tells of backups. Nobody can restore those that are gone, and those that were copied
// under a new key are restored from where they are now.
func (p *page) copies(copies *release.Copies, gone map[string]bool, copied map[string]copyAt) {
	if copies == nil {
		return
	}
	p.blank()
	if copies.InClear != "" {
		p.field("! without TLS", inClearWords(copies.InClear))
	}
	if copies.Probe != nil {
		p.concerns(*copies.Probe)
	}
	if page := consolePage(copies.Console); page != "" && len(copies.Backups) > 0 {
		p.command("  console", page)
	}
	for i, b := range copies.Backups {
		if i == textItems {
			p.field("", fmt.Sprintf("and %s more, in the record", count(len(copies.Backups)-i, "backup")))
			return
		}
		p.field("  backup", fmt.Sprintf("%s of %s: %s", Clean(b.ID), Clean(b.Volume), backupWords(b)))
		for _, lack := range b.Lacking {
			p.field("! not as it is", cut(Clean(oneLine(lack)), errorLength))
		}
		if v := b.Verified; v != nil {
			p.field("  "+verifiedLabel(v), verifiedWords(b.Device, v))
			if v.CheckError != "" {
				p.field("✗ check failed", cut(Clean(oneLine(v.CheckError)), errorLength))
			}
			for _, difference := range v.Differences {
				p.field("✗ differs", cut(Clean(oneLine(difference)), errorLength))
			}
		}
		if gone[b.ID] {
			p.field("! given up", "a prune gave it up")
		} else if now, moved := copied[b.ID]; moved {
			p.field("  copied", fmt.Sprintf("under a new key, as %s in %s", Clean(now.id), Clean(now.place)))
		} else if command := restoreCommand(*copies, b.ID); command != "" {
			p.command("  restore", command)
		}
	}
}

func inClearWords(server string) string {
	return fmt.Sprintf("%s was spoken to in the clear, as --allow-http lets it: whoever listens on the way sees what is encrypted, and who asks",
		Clean(server))
}

func verifiedLabel(v *release.Verification) string {
	if v.Proved {
		return "proved"
	}
	return "not proved"
}

func verifiedWords(device bool, v *release.Verification) string {
	words := fmt.Sprintf("restored %s in %s", contentWords(release.Backup{Device: device, Files: v.Files, Bytes: v.Bytes}), seconds(v.Seconds))
	if v.Check != "" {
		words += ", checked by " + cut(Clean(v.Check), messageLength)
	}
	if v.Carried {
		words = "its original, which it equals by every content: " + words
	}
	return words
}

func backupWords(b release.Backup) string {
	words := contentWords(b)
	if b.Stored > 0 {
		words += ", " + size(b.Stored) + " new"
	}
	if !b.Whole() {
		words += fmt.Sprintf(", incomplete: %s unread, %s torn", thousands(int(b.Unread)), thousands(int(b.Torn)))
	}
	return words
}

// copiesWords are what the row of a backup step says.
func copiesWords(c *release.Copies) string {
	if len(c.Backups) == 0 {
		return "no backup"
	}
	var files, bytes int64
	whole, proved, asked := true, 0, 0
	for _, b := range c.Backups {
		files, bytes, whole = files+b.Files, bytes+b.Bytes, whole && b.Whole()
		if b.Verified != nil {
			if asked++; b.Verified.Proved {
				proved++
			}
		}
	}
	words := count(len(c.Backups), "backup") + ", " + fileWords(files, bytes)
	if asked > 0 {
		words = fmt.Sprintf("%d of %s proved by a restore", proved, count(asked, "backup"))
	}
	if !whole {
		words += ", incomplete"
	}
	return words
}

// backups are the copies of the run outside of its storage, and how they are restored.
func (s story) backups(most int) block {
	b := table("#### Backups\n\n", "| volume | backup | holds | proved |\n|:--|:--|:--|:--|\n", rankSnapshots, most, 4)
	seen, gone := map[string]bool{}, givenUp(s.record)
	clear, console, ways := "", "", restoreCommands{}
	for i := len(s.record.Entries) - 1; i >= 0; i-- {
		copies := s.record.Entries[i].Copies
		if copies == nil {
			continue
		}
		if copies.InClear != "" {
			clear = caution.sign() + " " + prose(inClearWords(copies.InClear), messageLength) + "\n\n"
		}
		if page := consolePage(copies.Console); page != "" && console == "" {
			console = "Repository " + link(codeEnd(copies.Repository, pathLength), page) + " in the provider's console.\n\n"
		}
		if copies.Probe != nil && len(seen) == 0 {
			clear += bucketWarnings(*copies.Probe)
		}
		for _, one := range copies.Backups {
			if seen[one.ID] {
				continue // what was said of it last counts
			}
			seen[one.ID], seen[one.CopyOf] = true, one.CopyOf != "" // the copy takes the place of what it is one of
			proved := "not tried"
			if one.Verified != nil {
				proved = verifiedMark(one.Verified).sign() + " " + prose(verifiedWords(one.Device, one.Verified), messageLength)
			}
			b.items = append(b.items, fmt.Sprintf("| %s | %s | %s | %s |\n",
				codeEnd(one.Volume, pathLength), link(code(one.ID, nameLength), backupLink(s.linkTemplate, copies.Repository, one)), prose(backupWords(one), messageLength), proved))
			if !gone[one.ID] {
				ways.add(*copies, one.ID)
			}
		}
	}
	if b.close = ways.block() + console + clear; b.close != "" {
		b.close = "\n" + b.close
	}
	return b.orNothing()
}

func verifiedMark(v *release.Verification) mark {
	if v.Proved {
		return good
	}
	return bad
}
