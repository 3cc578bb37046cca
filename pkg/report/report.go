// SPDX-License-Identifier: Apache-2.0

// Package report turns what a run left into what people read: Markdown for a pull request and
// for a job's summary, plain text for a terminal or a log, and the one line of a commit status.
//
// For other machines it writes a decision as JUnit XML and as GitLab's SAST report.
//
// The one idea: text from scanners, commits and clusters is hostile, and this package is the
// only place where it is made harmless. Markdown that leaves it holds no live HTML, link, image,
// mention or reference but its own; text that leaves it holds no control character and no
// workflow command. Every function is pure: a record in, a string out.
package report

import (
	"slices"

	"github.com/knowngood/knowngood/pkg/release"
)

// Sizes that GitHub enforces, in bytes of UTF-8.
const (
	// CommentLimit is the most that a comment holds.
	CommentLimit = 65536
	// SummaryLimit is the most that a step may add to the job's summary. GitHub drops the
	// whole summary when it is larger.
	SummaryLimit = 1 << 20

	// margin is left free for the marker that the sticky comment carries, and for servers
	// that count what they add (a carriage return for each line).
	margin = 4096
	// smallest is below what any limit may ask: the decision and the links must fit.
	smallest = 16384
)

// Options are what a record does not know of the place where it is told.
type Options struct {
	// Server is where the repository is browsed, e.g. https://github.com. Without it, and
	// without the record's repository, no place in the source is a link.
	Server string
	// Gitea is true where Server is a Gitea or a Forgejo, whose pages of the source have other
	// addresses.
	Gitea bool
	// Record says where the record lies. It is shown as it is, so it bears no credentials.
	Record string
	// LinkTemplate makes the address of a backup, see CheckLinkTemplate; "" makes none.
	LinkTemplate string
	// Notes tell what the reader should know of this report, e.g. what could not be written.
	Notes []string
	// Source returns the line of the source at a place, for Text alone; nil, or "", is none.
	Source func(release.Location) string
	// Limit is the most bytes that the text may have; 0 is the limit of the place.
	Limit int
	// Unverified is true for a record that nobody vouches for, such as one of a fork's run. Only
	// its gate is told, and what that says is never told as a fact.
	Unverified bool

	pointed string // how many findings a check run annotates
}

// tell is the story of the record as the options want it.
func (o Options) tell(record release.Record) story {
	if !o.Unverified {
		s := tell(record)
		s.linkTemplate = o.LinkTemplate
		return s
	}
	record.Entries = slices.DeleteFunc(slices.Clone(record.Entries), func(e release.Entry) bool { return e.Step != "gate" })
	return tell(record).unverified()
}

// Comment returns the record as the Markdown of a pull request's comment. The decision and the
// links come first and are never cut; details are cut, with a count, so that the text stays
// under the limit.
func Comment(record release.Record, options Options) string {
	return render(record, options, options.limit(CommentLimit), extent{findings: 20, others: 40, rows: 60})
}

// Summary returns the record as the Markdown of a job's summary: the comment with more room.
func Summary(record release.Record, options Options) string {
	return render(record, options, options.limit(SummaryLimit), extent{findings: 1000, others: 2000, rows: 1000})
}

func (o Options) limit(place int) int {
	if o.Limit > 0 {
		place = min(place, o.Limit)
	}
	return max(place-margin, smallest-margin)
}

// An extent is how many items of a kind are shown at most; more would not be read.
type extent struct{ findings, others, rows int }
