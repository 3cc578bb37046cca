// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// Outcome is what a gate decided.
type Outcome string

// Outcomes, best first. The zero value is no decision and must never be read as a pass.
const (
	Pass Outcome = "pass"
	Warn Outcome = "warn"
	Fail Outcome = "fail"
)

// Risk is how much is at stake when the commit ships; snapshot and backup protect by it.
type Risk string

// Risks, least first.
const (
	RiskNone     Risk = "none"
	RiskLow      Risk = "low"
	RiskMedium   Risk = "medium"
	RiskHigh     Risk = "high"
	RiskCritical Risk = "critical"
)

// Protect is how much of the data is kept before a commit ships. Each holds what those before
// it hold. The zero value means that the policy does not say.
type Protect string

// Ways to protect, least first.
const (
	ProtectNothing  Protect = "nothing"
	ProtectSnapshot Protect = "snapshot"
	ProtectBackup   Protect = "backup" // snapshots, and an encrypted copy of them elsewhere
	ProtectVerify   Protect = "verify" // a backup that was restored once to prove it
)

// Mode says whether a decision binds.
type Mode string

// Modes.
const (
	// Enforce lets a failing decision close the gate.
	Enforce Mode = "enforce"
	// Audit lowers findings to warnings. An unusable scan fails all the same.
	Audit Mode = "audit"
)

// A Decision is the gate's answer about one commit, with everything that explains it.
type Decision struct {
	Outcome Outcome `json:"outcome"`
	Risk    Risk    `json:"risk"`
	Mode    Mode    `json:"mode"`

	// Protect is what the policy wants kept at this risk, ProtectBecause the line that says so.
	Protect        Protect `json:"protect,omitempty"`
	ProtectBecause string  `json:"protect_because,omitempty"`

	// Reasons stand for what decided, worst first; a pass has one too.
	Reasons []string `json:"reasons"`

	// Policy names where the rules came from ("built-in", or a file and its digest).
	Policy string `json:"policy"`
	// Baseline names what the findings were compared with, "" when with nothing.
	Baseline string `json:"baseline,omitempty"`

	Scans []ScanSummary `json:"scans"`

	// Judgements are the findings with what was decided about each, worst first.
	Judgements []Judgement `json:"judgements,omitempty"`

	Waivers []WaiverUse `json:"waivers,omitempty"`
}

// Verb is what a policy does with one finding.
type Verb string

// Verbs.
const (
	Block  Verb = "block"
	Notice Verb = "notice"
	Allow  Verb = "allow"
	Waive  Verb = "waive"
)

// A Judgement is one finding and what the policy says of it, and why.
type Judgement struct {
	Finding Finding `json:"finding"`
	Verb    Verb    `json:"verb"`
	// Scan is the place of the finding's scan in Decision.Scans; -1 when the finding is not
	// in a scan (it is absent now, and only the baseline had it).
	Scan int `json:"scan"`
	// Because names the line of the policy that decided, for a person.
	Because string `json:"because"`
	// Match says why the finding is taken for one of the baseline, or for a new one.
	Match string `json:"match,omitempty"`
	// MatchScore is how sure that is, 1 to 100; 0 where nothing was matched.
	MatchScore int `json:"match_score,omitempty"`
	// Unseen is true of a finding of the baseline that was not found now and for which no
	// whole scan says that it looked: it may be there still.
	Unseen bool `json:"unseen,omitempty"`
	// Since is when a finding was first seen, as far as the baselines go back.
	Since time.Time `json:"since,omitzero"`
}

// A ScanSummary is a scan without its findings: what later questions need.
type ScanSummary struct {
	File         string       `json:"file"`
	Digest       string       `json:"digest,omitempty"`
	Tool         string       `json:"tool"`
	Version      string       `json:"version,omitempty"`
	Category     string       `json:"category,omitempty"`
	Commit       Commit       `json:"commit,omitempty"`
	Ended        time.Time    `json:"ended,omitzero"`
	Completeness Completeness `json:"completeness"`
	Notes        []string     `json:"notes,omitempty"`
	Rules        []string     `json:"rules,omitempty"`
	Findings     int          `json:"findings"`
}

// A WaiverUse tells what a waiver did in a decision.
type WaiverUse struct {
	Waiver string `json:"waiver"`
	Owner  string `json:"owner"`
	// Findings is how many findings it accepted; 0 is an unused waiver.
	Findings int `json:"findings"`
	// DaysLeft until it expires; negative when it has expired.
	DaysLeft int  `json:"days_left"`
	Expired  bool `json:"expired,omitempty"`
}

// A Comparison is what differs between the findings of two commits or of two files.
type Comparison struct {
	// Before and After name the two sides.
	Before string `json:"before"`
	After  string `json:"after"`

	New       int `json:"new"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	// Absent is how many are gone; Unseen is how many of these nobody has looked for.
	Absent int `json:"absent"`
	Unseen int `json:"unseen"`

	// Scans are those of the later side.
	Scans []ScanSummary `json:"scans"`
	// Judgements are the findings of both sides with their baseline's state, worst first. Those
	// of a record keep their verb; those of a file have none.
	Judgements []Judgement `json:"judgements"`
}
