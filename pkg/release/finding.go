// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// Level is SARIF's level of a result (SARIF 2.1.0, §3.27.10), after the level chain
// has been followed to its end.
type Level string

// Levels, least first.
const (
	LevelNone    Level = "none"
	LevelNote    Level = "note"
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Severity is a band of security-severity scores as GitHub names them. SeverityUnknown
// is the zero value's meaning: the tool gave no usable score. It is never "none".
type Severity string

// Severities, least first.
const (
	SeverityUnknown  Severity = "unknown"
	SeverityNone     Severity = "none"
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// SeverityOf returns GitHub's band of a security-severity score: at least 9.0 critical,
// 7.0 high, 4.0 medium, above 0 low; 0 and anything outside 0…10 none.
func SeverityOf(score float64) Severity {
	switch {
	case score > 10 || !(score > 0):
		return SeverityNone
	case score >= 9:
		return SeverityCritical
	case score >= 7:
		return SeverityHigh
	case score >= 4:
		return SeverityMedium
	default:
		return SeverityLow
	}
}

// Baseline says how a finding relates to the baseline (SARIF 2.1.0, §3.27.24).
// The zero value means that no baseline was consulted.
type Baseline string

// Baseline states.
const (
	BaselineNew       Baseline = "new"
	BaselineUnchanged Baseline = "unchanged"
	BaselineUpdated   Baseline = "updated"
	BaselineAbsent    Baseline = "absent"
)

// Kind is SARIF's kind of a result (SARIF 2.1.0, §3.27.9). Absent in a file means fail.
type Kind string

// Kinds.
const (
	KindFail          Kind = "fail"
	KindPass          Kind = "pass"
	KindOpen          Kind = "open"
	KindReview        Kind = "review"
	KindInformational Kind = "informational"
	KindNotApplicable Kind = "notApplicable"
)

// A Finding is one SARIF result made uniform. All text in it comes from a tool and is
// hostile: it is escaped where it is shown, never here.
type Finding struct {
	Tool    string `json:"tool"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Level   Level  `json:"level"`
	Kind    Kind   `json:"kind,omitempty"`

	// Score is the rule's security-severity, nil when the tool gave none or nonsense.
	Score    *float64 `json:"score,omitempty"`
	Severity Severity `json:"severity"`

	// CWE holds the numbers of the weaknesses that the tool named, sorted.
	CWE []int `json:"cwe,omitempty"`

	Location Location `json:"location,omitzero"`

	// Fingerprint identifies the finding across scans; FingerprintKind says which
	// way it was made, as "knowngood" (read back from a file of ours), "fingerprints/NAME",
	// "primaryLocationLineHash", "partialFingerprints/NAME", "context" or "weak".
	Fingerprint     string `json:"fingerprint"`
	FingerprintKind string `json:"fingerprint_kind"`

	// Likeness is made as Fingerprint is, but without the path: it finds the finding again
	// when its file was renamed. It names no finding by itself. "" when nothing but the
	// place tells the finding from others.
	Likeness string `json:"likeness,omitempty"`

	// Suppressed is true when the scan itself accepted the finding: Suppressions.Accepted.
	Suppressed    bool         `json:"suppressed,omitempty"`
	Justification string       `json:"justification,omitempty"`
	Suppressions  Suppressions `json:"suppressions,omitempty"`

	// Rank is the tool's own priority, 0 to 100; nil when it gave none. Tools disagree on
	// its meaning, so nothing decides by it unless a policy says so.
	Rank *float64 `json:"rank,omitempty"`

	// Secret is true when the finding is a secret that lies open in the source. Its text
	// is masked, and nobody shows its source line.
	Secret bool `json:"secret,omitempty"`

	// Baseline is the tool's own until a gate has compared the finding with a baseline.
	Baseline Baseline `json:"baseline,omitempty"`
	Help     string   `json:"help,omitempty"`
}

// A Suppression is one entry of a result's suppressions (SARIF 2.1.0, §3.35).
type Suppression struct {
	// Kind is "inSource" or "external"; anything else is kept as the tool wrote it.
	Kind string `json:"kind"`
	// Status is "accepted", "underReview" or "rejected"; absent in a file means accepted.
	Status        string `json:"status"`
	Justification string `json:"justification,omitempty"`
}

// Suppression kinds and statuses.
const (
	SuppressionInSource    = "inSource"
	SuppressionExternal    = "external"
	SuppressionAccepted    = "accepted"
	SuppressionUnderReview = "underReview"
	SuppressionRejected    = "rejected"
)

// Suppressions are all suppressions of one result. The zero value means that the tool said
// nothing, or that it said there are none; neither suppresses.
type Suppressions []Suppression

// Accepted is the truth table: true when at least one suppression is accepted and every
// other one is accepted too. One that is under review, rejected or of a status unknown to
// SARIF keeps the finding alive.
func (s Suppressions) Accepted() bool {
	for _, suppression := range s {
		if suppression.Status != SuppressionAccepted {
			return false
		}
	}
	return len(s) > 0
}

// A Location is a place in the source. The zero value means that the tool named none:
// the finding then concerns the repository.
type Location struct {
	// Path is relative to the repository's root, with forward slashes, percent-decoded.
	// A place outside of the repository keeps what the tool wrote.
	Path string `json:"path,omitempty"`
	// Line and Column count from 1; 0 means not known.
	Line    int `json:"line,omitempty"`
	EndLine int `json:"end_line,omitempty"`
	Column  int `json:"column,omitempty"`
}

// Completeness says how far a scan got. "Not known" is never "fine": only ScanComplete is.
type Completeness string

// Completeness values.
const (
	// ScanComplete: results are present and the tool says that it ran to its end.
	ScanComplete Completeness = "complete"
	// ScanUnknown: results are present and the tool says nothing of its run.
	ScanUnknown Completeness = "unknown"
	// ScanIncomplete: the tool says that it failed or that part of the code was not read.
	ScanIncomplete Completeness = "incomplete"
	// ScanAbsent: no results were produced (absent or null; an empty list is a clean scan).
	ScanAbsent Completeness = "absent"
	// ScanUnusable: the file could not be read to its end; nothing of it counts.
	ScanUnusable Completeness = "unusable"
)

// A Scan is one SARIF run, or a file that yielded none: then Tool is "" and Completeness
// says why.
type Scan struct {
	File string `json:"file"`
	// Digest is "sha256:" and the hex SHA-256 of the file's bytes; "" when not taken.
	Digest   string `json:"digest,omitempty"`
	Tool     string `json:"tool"`
	Version  string `json:"version,omitempty"`
	Category string `json:"category,omitempty"`
	// Commit is what the tool says it scanned; "" when it does not say.
	Commit Commit `json:"commit,omitempty"`
	// Ended is when the tool says it ended; zero when it does not say.
	Ended time.Time `json:"ended,omitzero"`

	Completeness Completeness `json:"completeness"`
	// Notes say why the scan is not complete, and what was tolerated while reading it.
	Notes []string `json:"notes,omitempty"`

	// Rules are the ids of the rules that the tool says it evaluated, sorted. Empty means
	// that the tool lists none, so that "evaluated and absent" cannot be told from
	// "not evaluated".
	Rules []string `json:"rules,omitempty"`

	Findings []Finding `json:"findings,omitempty"`
}
