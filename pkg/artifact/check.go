// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/knowngood/knowngood/pkg/release"
)

// How much an artifact may hold.
const (
	mostEntries    = 10
	mostJudgements = 5000
	mostOthers     = 1000
	mostText       = 64 << 10
)

var idForm = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

// check refuses what no gate of ours writes.
func check(record release.Record) error {
	if n := len(record.Entries); n == 0 || n > mostEntries {
		return fmt.Errorf("%d entries: want 1 to %d", n, mostEntries)
	}
	decided := false
	for i, e := range record.Entries {
		if err := checkEntry(e, record.Commit); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		decided = decided || e.Decision != nil
	}
	if !decided {
		return errors.New("no gate has decided in it")
	}
	return nil
}

func checkEntry(e release.Entry, commit release.Commit) error {
	switch {
	case e.Format != release.Format:
		return fmt.Errorf("format %d: want %d", e.Format, release.Format)
	case e.Step != gate:
		return fmt.Errorf("step %.40q: a run without rights has a gate alone", e.Step)
	case e.Protection != nil || e.TLS != nil || e.Deploy != nil || e.Report != nil:
		return errors.New("a gate's entry has a decision alone")
	case !idForm.MatchString(e.ID):
		return fmt.Errorf("id %.40q: want a ULID", e.ID)
	case e.Commit != commit:
		return fmt.Errorf("commit %.64q: the record is about %.64q", e.Commit, commit)
	case !slices.Contains([]release.State{release.Done, release.Partial, release.Failed, release.Cancelled}, e.State):
		return fmt.Errorf("state %.40q is none", e.State)
	case len(e.Error) > mostText || len(e.Hint) > mostText:
		return errors.New("an error of more than 64 KiB")
	}
	for _, id := range []release.Commit{e.Commit, e.Head, e.Tree, baseOf(e)} {
		if parsed, err := release.ParseCommit(string(id)); id != "" && (err != nil || parsed != id) {
			return fmt.Errorf("%.64q names no commit", id)
		}
	}
	if e.Decision == nil {
		return nil
	}
	return checkDecision(*e.Decision)
}

func baseOf(e release.Entry) release.Commit {
	if e.Config == nil {
		return ""
	}
	return e.Config.Base
}

func checkDecision(d release.Decision) error {
	switch {
	case !slices.Contains([]release.Outcome{release.Pass, release.Warn, release.Fail}, d.Outcome):
		return fmt.Errorf("decision %.40q is none", d.Outcome)
	case !slices.Contains([]release.Risk{release.RiskNone, release.RiskLow, release.RiskMedium, release.RiskHigh, release.RiskCritical}, d.Risk):
		return fmt.Errorf("risk %.40q is none", d.Risk)
	case d.Mode != release.Enforce && d.Mode != release.Audit:
		return fmt.Errorf("mode %.40q is none", d.Mode)
	case len(d.Judgements) > mostJudgements:
		return fmt.Errorf("%d judgements: at most %d", len(d.Judgements), mostJudgements)
	case len(d.Reasons) > mostOthers || len(d.Scans) > mostOthers || len(d.Waivers) > mostOthers:
		return fmt.Errorf("more than %d reasons, scans or waivers", mostOthers)
	}
	for i, j := range d.Judgements {
		if err := checkJudgement(j, len(d.Scans)); err != nil {
			return fmt.Errorf("judgement %d: %w", i+1, err)
		}
	}
	return nil
}

func checkJudgement(j release.Judgement, scans int) error {
	f := j.Finding
	switch {
	case !slices.Contains([]release.Verb{release.Block, release.Notice, release.Allow, release.Waive}, j.Verb):
		return fmt.Errorf("verb %.40q is none", j.Verb)
	case j.Scan < -1 || j.Scan >= scans:
		return fmt.Errorf("scan %d of %d", j.Scan, scans)
	case !slices.Contains([]release.Level{release.LevelNone, release.LevelNote, release.LevelWarning, release.LevelError}, f.Level):
		return fmt.Errorf("level %.40q is none", f.Level)
	case f.Score != nil && !(*f.Score >= 0 && *f.Score <= 10):
		return fmt.Errorf("score %g: want 0 to 10", *f.Score)
	case f.Location.Line < 0 || f.Location.Column < 0 || f.Location.EndLine < 0:
		return errors.New("a place before the first line")
	case len(f.Message) > mostText || len(f.Location.Path) > mostText:
		return errors.New("a text of more than 64 KiB")
	}
	return nil
}
