// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	"github.com/knowngood/knowngood/pkg/release"
)

// worstFirst orders judgements for people, without regard to the order of files.
func worstFirst(a, b release.Judgement) int {
	return cmp.Or(
		cmp.Compare(verbRank(b.Verb), verbRank(a.Verb)),
		cmp.Compare(riskRank(riskOf(b.Finding)), riskRank(riskOf(a.Finding))),
		-cmp.Compare(scoreOf(a.Finding), scoreOf(b.Finding)),
		cmp.Compare(a.Finding.Location.Path, b.Finding.Location.Path),
		cmp.Compare(a.Finding.Location.Line, b.Finding.Location.Line),
		cmp.Compare(a.Finding.Location.Column, b.Finding.Location.Column),
		cmp.Compare(a.Finding.Tool, b.Finding.Tool),
		cmp.Compare(a.Finding.Rule, b.Finding.Rule),
		cmp.Compare(a.Finding.Fingerprint, b.Finding.Fingerprint),
		cmp.Compare(a.Finding.Message, b.Finding.Message),
		cmp.Compare(a.Scan, b.Scan),
	)
}

func scoreOf(f release.Finding) float64 {
	if f.Score == nil {
		return -1
	}
	return *f.Score
}

func verbRank(verb release.Verb) int {
	return slices.Index([]release.Verb{release.Allow, release.Waive, release.Notice, release.Block}, verb)
}

func levelRank(level release.Level) int {
	return slices.Index([]release.Level{release.LevelNone, release.LevelNote, release.LevelWarning, release.LevelError}, level)
}

func riskRank(risk release.Risk) int {
	return slices.Index([]release.Risk{
		release.RiskNone, release.RiskLow, release.RiskMedium, release.RiskHigh, release.RiskCritical,
	}, risk)
}

func maxRisk(a, b release.Risk) release.Risk {
	if riskRank(b) > riskRank(a) {
		return b
	}
	return a
}

// riskOf returns what a finding puts at stake. Without a score its level speaks: an error may
// be anything, so it counts as high.
func riskOf(f release.Finding) release.Risk {
	switch f.Severity {
	case release.SeverityCritical:
		return release.RiskCritical
	case release.SeverityHigh:
		return release.RiskHigh
	case release.SeverityMedium:
		return release.RiskMedium
	case release.SeverityLow:
		return release.RiskLow
	case release.SeverityNone:
		return release.RiskNone
	case release.SeverityUnknown:
	}
	switch f.Level {
	case release.LevelError:
		return release.RiskHigh
	case release.LevelWarning:
		return release.RiskMedium
	case release.LevelNote:
		return release.RiskLow
	case release.LevelNone:
	}
	return release.RiskNone
}
