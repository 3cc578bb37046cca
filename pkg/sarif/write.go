// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/owenrumney/go-sarif/v2/sarif"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// What GitHub's code scanning takes of one file.
const (
	maxRuns        = 20
	maxResults     = 25_000
	maxRules       = 25_000
	maxTags        = 10
	maxDescription = 1024
	maxPacked      = 10 << 20

	// maxMessage is our own: a message of that length has said what it has to say.
	maxMessage = 8 << 10
)

// errTooLarge is a decision that does not fit into one file for GitHub.
var errTooLarge = errors.New("more than GitHub takes in one file")

// A Form says for whom a decision is written.
type Form int

// Forms.
const (
	// Upload is for GitHub's code scanning, which heeds neither baselines nor suppressions:
	// findings that are absent are left out, and what does not block is a warning at most, or
	// GitHub's own check would fail where the policy does not.
	Upload Form = iota
	// Comparison is for tools that heed them: with the findings that only the baseline had, as
	// absent ones in their tool's first run, and with the levels of the scanners.
	Comparison
)

// Write writes a decision as SARIF 2.1.0 within GitHub's limits: a run for each scan whose
// results count, with the baseline's states, with waivers as external suppressions, and with
// the score of each rule as GitHub reads it.
//
// Each run has a category of its own below "knowngood/", because GitHub refuses two runs of one
// tool and category, and because the upload must not take the place of the scanner's own. Of
// more findings than GitHub takes the worst are written, and the run says that it is not whole.
func Write(w io.Writer, d release.Decision, form Form) error {
	if form == Upload {
		d.Judgements = forUpload(d.Judgements)
	}
	runs, err := divide(d)
	if err != nil {
		return err
	}
	for most := maxResults; ; most /= 2 {
		text, packed, err := encode(d, runs, most)
		if err != nil {
			return fmt.Errorf("write SARIF: %w", err)
		}
		if packed > maxPacked && most > 1 {
			continue
		}
		if packed > maxPacked {
			return fmt.Errorf("write SARIF: %d bytes when packed: %w", packed, errTooLarge)
		}
		_, err = w.Write(text)
		return err
	}
}

func forUpload(judgements []release.Judgement) []release.Judgement {
	var all []release.Judgement
	for _, j := range judgements {
		if j.Finding.Baseline == release.BaselineAbsent {
			continue
		}
		if j.Verb != release.Block && j.Finding.Level == release.LevelError {
			j.Finding.Level = release.LevelWarning
		}
		all = append(all, j)
	}
	return all
}

// encode returns the file, and how large it is when packed as the upload packs it.
func encode(d release.Decision, runs []part, most int) (text []byte, packed int, err error) {
	report, err := sarif.New(sarif.Version210)
	if err != nil {
		return nil, 0, err
	}
	for _, run := range runs {
		report.AddRun(run.build(d, most))
	}
	var file, zipped bytes.Buffer
	if err := report.PrettyWrite(&file); err != nil {
		return nil, 0, err
	}
	if file.Len() <= maxPacked {
		return file.Bytes(), file.Len(), nil
	}
	packer := gzip.NewWriter(&zipped)
	if _, err := packer.Write(file.Bytes()); err != nil {
		return nil, 0, err
	}
	if err := packer.Close(); err != nil {
		return nil, 0, err
	}
	return file.Bytes(), zipped.Len(), nil
}

// A part is what becomes one run: scans of one tool, and the places of their judgements.
type part struct {
	category   string
	scans      []release.ScanSummary
	judgements []int
}

// divide says which scans make which run: each its own or, where those are more than GitHub
// takes, the scans of a tool together.
func divide(d release.Decision) ([]part, error) {
	var usable []int
	for i, scan := range d.Scans {
		if scan.Completeness != release.ScanAbsent && scan.Completeness != release.ScanUnusable {
			usable = append(usable, i)
		}
	}
	key := func(i int) string { return strconv.Itoa(i) }
	if len(usable) > maxRuns {
		key = func(i int) string { return d.Scans[i].Tool }
	}
	var parts []part
	places, firsts := map[string]int{}, map[string]int{}
	for _, i := range usable {
		scan := d.Scans[i]
		at, known := places[key(i)]
		if !known {
			at = len(parts)
			places[key(i)] = at
			parts = append(parts, part{})
		}
		if _, known := firsts[scan.Tool]; !known {
			firsts[scan.Tool] = at
		}
		parts[at].scans = append(parts[at].scans, scan)
	}
	if len(parts) > maxRuns {
		err := fmt.Errorf("write SARIF: runs of %d tools: %w, which is %d", len(parts), errTooLarge, maxRuns)
		return nil, fault.Hint(err, "write the findings of some of the tools to a file of their own")
	}
	for i := range d.Judgements {
		at, known := firsts[d.Judgements[i].Finding.Tool]
		if scan := d.Judgements[i].Scan; scan >= 0 && scan < len(d.Scans) {
			at, known = places[key(scan)]
		}
		if known {
			parts[at].judgements = append(parts[at].judgements, i)
		}
	}
	name(parts)
	return parts, nil
}

// name gives each part a category that no other has. It is made of what stays the same from
// one commit to the next, because GitHub follows a finding within its category.
func name(parts []part) {
	taken := map[string]bool{}
	for i := range parts {
		scan := parts[i].scans[0]
		base := "knowngood/" + cmp.Or(strings.Trim(scan.Category, "/"), strings.ReplaceAll(scan.Tool, "/", "-"), "scan")
		category := base
		for n := 2; taken[strings.ToLower(category)]; n++ {
			category = fmt.Sprintf("%s-%d", base, n)
		}
		taken[strings.ToLower(category)] = true
		parts[i].category = category
	}
}

func (p part) build(d release.Decision, most int) *sarif.Run {
	first := p.scans[0]
	run := sarif.NewRun(*sarif.NewSimpleTool(cmp.Or(first.Tool, "unknown")))
	if first.Version != "" {
		run.Tool.Driver.Version = &first.Version
	}
	run.AutomationDetails = sarif.NewRunAutomationDetails().WithID(p.category + "/")
	run.Results = []*sarif.Result{}
	rules := &ruleList{run: run, places: map[string]uint{}}
	states := p.states(d)
	for i, at := range p.judgements {
		j := d.Judgements[at]
		if len(run.Results) == most {
			run.Invocations = append(run.Invocations, ended(true,
				fmt.Sprintf("%d findings are not in this file: GitHub takes %d of a run", len(p.judgements)-i, most)))
			break
		}
		if !states {
			if j.Finding.Baseline == release.BaselineAbsent {
				continue
			}
			j.Finding.Baseline = ""
		}
		if index, ok := rules.add(j.Finding.Rule, &j.Finding); ok {
			run.AddResult(resultOf(j, index))
		}
	}
	for _, scan := range p.scans {
		for _, rule := range scan.Rules {
			rules.add(rule, nil)
		}
		if scan.Completeness != release.ScanUnknown {
			run.Invocations = append(run.Invocations, ended(scan.Completeness == release.ScanIncomplete, scan.Notes...))
		}
	}
	if rules.left > 0 {
		run.Invocations = append(run.Invocations, ended(true,
			fmt.Sprintf("%d rules or their findings are not in this file: GitHub takes %d of a run", rules.left, maxRules)))
	}
	return run
}

// states tells whether every result has a baseline state: SARIF wants that of all or none.
func (p part) states(d release.Decision) bool {
	return !slices.ContainsFunc(p.judgements, func(at int) bool { return d.Judgements[at].Finding.Baseline == "" })
}

// ended says how a scan ended. GitHub refuses a run that was not successful, so one that is
// not whole says so by a notification of level error, as CodeQL does.
func ended(lacking bool, notes ...string) *sarif.Invocation {
	success := true
	said := &sarif.Invocation{ExecutionSuccessful: &success}
	if !lacking {
		return said
	}
	if len(notes) == 0 {
		notes = []string{"the scan is not complete"}
	}
	for _, note := range notes {
		said.ToolExecutionNotifications = append(said.ToolExecutionNotifications,
			sarif.NewNotification().WithLevel("error").WithTextMessage(cutText(note, maxMessage)))
	}
	return said
}

func cutText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
