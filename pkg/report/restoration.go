// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// Plan returns what a restore will do as text for a terminal: where the data comes from, each
// act in its order, and what a person should know.
func Plan(r release.Restoration) string {
	p := &page{}
	p.lineage(r)
	if len(r.Plan) == 0 {
		p.field("  plan", "nothing is left to do")
	}
	for i, text := range r.Plan {
		label := ""
		if i == 0 {
			label = "  plan"
		}
		p.field(label, fmt.Sprintf("%d. %s", i+1, Clean(oneLine(text))))
	}
	p.remarks(r)
	return p.String()
}

// Restoration returns what a restore left as text for a terminal or a log.
func Restoration(r release.Restoration) string {
	p := &page{}
	p.restoration(&r)
	return p.String()
}

// Manifests says which objects were written to a folder, and what is not among them.
func Manifests(m release.Manifests, of release.Lineage, folder string) string {
	p := &page{}
	p.field("✓ written", fmt.Sprintf("%s to %s", count(len(m.Objects), "object"), Clean(folder)))
	p.field("  from", "run "+name(of.Run)+": "+lineageWords(of))
	p.names("  objects", m.Objects)
	p.names("! secrets", prefixed("make it yourself: ", m.Secrets))
	p.names("! withheld", m.Withheld)
	p.names("! missing", m.Missing)
	return p.String()
}

func prefixed(with string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, with+name)
	}
	return all
}

func (p *page) names(label string, names []string) {
	for i, name := range names {
		if i == textItems {
			p.field("", fmt.Sprintf("and %s more", thousands(len(names)-i)))
			return
		}
		if i > 0 {
			label = ""
		}
		p.field(label, cut(Clean(oneLine(name)), errorLength))
	}
}

// manifestsWords say what was kept beside snapshots, "" for nothing.
func manifestsWords(m *release.Manifests) string {
	if m == nil {
		return ""
	}
	words := count(len(m.Objects), "object") + " kept beside the data"
	if n := len(m.Withheld); n > 0 {
		words += ", " + count(n, "value") + " withheld that may be secret"
	}
	if n := len(m.Missing); n > 0 {
		words += fmt.Sprintf(", %s missing", thousands(n))
	}
	return words
}

func (p *page) lineage(r release.Restoration) {
	if l := r.Source; l.Run != "" {
		p.field("  from", "run "+name(l.Run)+": "+lineageWords(l))
	}
}

func (p *page) remarks(r release.Restoration) {
	for _, note := range r.Notes {
		p.field("  note", cut(Clean(oneLine(note)), errorLength))
	}
}

// lineageWords say which data a source holds, with respect to the release that it belongs to.
func lineageWords(l release.Lineage) string {
	commit := "commit " + Clean(l.Commit.Short())
	text := "taken " + moment(l.Taken)
	switch {
	case l.DeployBegan.IsZero():
		text += " for " + commit + ", which that run did not deploy"
	case l.Taken.After(l.DeployBegan):
		text += " when the deploy of " + commit + " had begun"
	default:
		text += ", before " + commit + " was deployed"
	}
	if l.Decision == "" {
		text += "; no gate decided about it"
	} else {
		text += "; the gate's decision: " + outcomeWord(l.Decision)
	}
	switch {
	case l.Deployed == release.Done:
		text += "; the deploy ended well"
	case l.Deployed != "":
		text += "; the deploy " + stateWord(l.Deployed)
	case !l.DeployBegan.IsZero():
		text += "; the deploy has not ended"
	}
	return text
}

// restorationWords are what the row of a restore says.
func restorationWords(r *release.Restoration) string {
	if len(r.Claims) == 0 {
		return "nothing restored"
	}
	done := 0
	for _, c := range r.Claims {
		if c.Volume != "" && r.Way != release.RestoreConfirm || c.Removed {
			done++
		}
	}
	words := count(len(r.Claims), "claim")
	if done < len(r.Claims) {
		words = fmt.Sprintf("%d of %s", done, words)
	}
	switch r.Way {
	case release.RestoreUndo:
		return words + " put back as before a restore"
	case release.RestoreConfirm:
		return words + ": what was kept is deleted"
	case release.RestoreNew:
		words += " restored beside the old"
	case release.RestoreInPlace:
		words += " restored in place"
	}
	if l := r.Source; l.Run != "" {
		words += " from before commit " + Clean(l.Commit.Short())
	}
	return words
}

func (p *page) restoration(r *release.Restoration) {
	if r == nil {
		return
	}
	p.blank()
	p.lineage(*r)
	for i, c := range r.Claims {
		if i == textItems {
			p.field("", fmt.Sprintf("and %s more, in the record", count(len(r.Claims)-i, "claim")))
			break
		}
		p.field(restoredLabel(r.Way, c), restoredClaimWords(c))
	}
	for _, w := range r.Workloads {
		label := "  workload"
		if !w.Ready {
			label = "! not ready"
		}
		p.field(label, fmt.Sprintf("%s %s, %s", Clean(w.Kind), Clean(w.Name), count(w.Replicas, "replica")))
	}
	p.remarks(*r)
}

func restoredLabel(way release.RestoreWay, c release.RestoredClaim) string {
	switch {
	case way == release.RestoreConfirm && c.Removed:
		return "  deleted"
	case c.Volume == "":
		return "! no volume yet"
	case way == release.RestoreUndo:
		return "  put back"
	}
	return "  restored"
}

func restoredClaimWords(c release.RestoredClaim) string {
	words := []string{"claim " + Clean(c.Claim)}
	if c.Of != c.Claim {
		words = append(words, "with the data of "+Clean(c.Of))
	}
	if c.Snapshot != "" {
		words = append(words, "from "+Clean(c.Snapshot), consistencyWord(c.Consistency), "taken "+moment(c.Cut))
	}
	if c.Backup != "" {
		words = append(words, "from backup "+Clean(c.Backup))
	}
	if v := c.Verified; v != nil {
		words = append(words, fmt.Sprintf("%s compared with it in %.1f s", fileWords(v.Files, v.Bytes), v.Seconds))
	}
	if c.Volume != "" && !c.Removed {
		words = append(words, "on volume "+Clean(c.Volume))
	}
	if c.Kept != "" && !c.Removed {
		words = append(words, "what was there before is kept on volume "+Clean(c.Kept))
	}
	if c.Removed {
		words = append(words, "volume "+Clean(c.Kept)+" is deleted")
	}
	return strings.Join(words, ", ")
}

// restorations are the claims that the run's restore made, for Markdown.
func (s story) restorations(most int) block {
	e := s.record.Last("restore")
	if e == nil || e.Restoration == nil {
		return block{}
	}
	b := table("#### Restored\n\n", "| claim | from | taken | what was there before |\n|:--|:--|:--|:--|\n", rankSnapshots, most, 4)
	for _, c := range e.Restoration.Claims {
		from := c.Snapshot
		if c.Backup != "" {
			from = c.Backup
		}
		if from == "" {
			from = c.Volume
		}
		b.items = append(b.items, fmt.Sprintf("| %s | %s | %s | %s |\n", code(c.Claim, pathLength), code(from, 253), together(moment(c.Cut)), keptWords(c)))
	}
	if l := e.Restoration.Source; l.Run != "" {
		b.close += "From run " + code(l.Run, nameLength) + ": " + prose(lineageWords(l), messageLength) + ".\n\n"
	}
	return b.orNothing()
}

func keptWords(c release.RestoredClaim) string {
	switch {
	case c.Kept == "":
		return "was not touched"
	case c.Removed:
		return "is deleted"
	}
	return "is kept on volume " + code(c.Kept, 253)
}
