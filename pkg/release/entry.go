// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// Format is the version of the catalog's objects that this program writes.
const Format = 1

// State says how a step ended.
type State string

// States.
const (
	Done      State = "done"      // all that was asked
	Partial   State = "partial"   // some of it; the rest is in Error
	Failed    State = "failed"    // nothing usable, or the gate's decision is fail
	Cancelled State = "cancelled" // stopped from outside
	Started   State = "started"   // deploy start: an event, not a result
)

// NoEnvironment is the environment of an entry whose step knew none, such as a gate that runs
// apart from any cluster.
const NoEnvironment = "none"

// A Subject is what a run is about; it is the same in all entries of a run.
type Subject struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Run         string `json:"run"`
	Commit      Commit `json:"commit"`
	// Head is the pull request's head where it differs from Commit; Tree is the commit's tree.
	Head        Commit `json:"head,omitempty"`
	Tree        Commit `json:"tree,omitempty"`
	Repository  string `json:"repository,omitempty"`   // owner/name
	PullRequest int    `json:"pull_request,omitempty"` // 0: none known
	RunURL      string `json:"run_url,omitempty"`
}

// An Entry is the immutable object that one step leaves in the catalog. Exactly one of
// the pointers below Error is set, fitting Step.
type Entry struct {
	Format int    `json:"format"`
	ID     string `json:"id"` // a ULID: its time is when the entry was written
	Subject
	Step  string    `json:"step"`
	State State     `json:"state"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Checkout tells how far the files in which the step ran were the commit's; nil where they
	// were no checkout of it.
	Checkout *Checkout `json:"checkout,omitempty"`
	// Previous is the SHA-256 of the entry before this one in its run, "" for the first.
	Previous string `json:"previous,omitempty"`
	// Error is the step's error as a person read it, "" when it had none.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`

	// Config is the configuration by which the step worked; nil where there was none.
	Config *Config `json:"config,omitempty"`

	Decision   *Decision   `json:"decision,omitempty"`
	Protection *Protection `json:"protection,omitempty"`
	Copies     *Copies     `json:"copies,omitempty"`
	Pruned     *Pruned     `json:"pruned,omitempty"`
	TLS        *TLS        `json:"tls,omitempty"`
	Deploy     *Deploy     `json:"deploy,omitempty"`
	Report     *Report     `json:"report,omitempty"`

	Restoration *Restoration `json:"restoration,omitempty"`

	// Version of the program. CPUSeconds is its own work in this step, without waiting and
	// without the commands that it ran; PeakBytes its largest resident size so far.
	Version    string  `json:"version,omitempty"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"`
	PeakBytes  int64   `json:"peak_bytes,omitempty"`
	// Waited is how long the step waited for a cluster, in seconds.
	Waited float64 `json:"waited_seconds,omitempty"`
}

// Upkeep tells of a step that it adds to the record of a run which may be long over: the proofs of
// its copies, their retention, and their copies under another key.
func Upkeep(step string) bool {
	return step == "backup-verify" || step == "prune" || step == "key-rotate"
}

// A Checkout is a working folder in which the commit was checked out.
type Checkout struct {
	// Changed counts the tracked files that were not as the commit has them; Files names the
	// first of them.
	Changed int      `json:"changed"`
	Files   []string `json:"files,omitempty"`
	// Unknown says why it is not known what was changed.
	Unknown string `json:"unknown,omitempty"`
}

// Clean tells whether the files were surely those of the commit.
func (c Checkout) Clean() bool { return c.Changed == 0 && c.Unknown == "" }

// A Config is the configuration file by which a step worked.
type Config struct {
	// File is its name as the person gave it.
	File string `json:"file"`
	// Base is the commit whose file counted: the base of a pull request. "" where the file
	// counted as it lay in the checkout.
	Base Commit `json:"base,omitempty"`
	// Pending is true when the checkout has another file than the base, or one of them has
	// none: what differs takes effect after the merge.
	Pending bool `json:"pending,omitempty"`
}

// A Deploy is what is known of the deploy itself.
type Deploy struct {
	// Command is how it was started, for people; "" when a pipeline deploys by itself.
	Command string `json:"command,omitempty"`
	// ExitStatus of the command, ExitUnknown until the deploy has finished and where the
	// pipeline does not tell it.
	ExitStatus int `json:"exit_status"`
}

// ExitUnknown is the exit status of a deploy that nobody told.
const ExitUnknown = -1

// A Report is where a record was told.
type Report struct {
	Comment string `json:"comment,omitempty"` // link to the comment
	Check   string `json:"check,omitempty"`   // link to the check run
	// Statuses are the commit status contexts that were set.
	Statuses []string `json:"statuses,omitempty"`
	// Deployment is the environment of the deployment that GitHub was told of.
	Deployment string `json:"deployment,omitempty"`
	Summary    bool   `json:"summary,omitempty"`
	// Degraded says what could not be written and why; a report never breaks a release.
	Degraded []string `json:"degraded,omitempty"`
}

// A Record is what a run left, oldest entry first.
type Record struct {
	Subject
	Entries []Entry `json:"entries"`
}

// Last returns the newest entry of a step, or nil.
func (r Record) Last(step string) *Entry {
	for i := len(r.Entries) - 1; i >= 0; i-- {
		if r.Entries[i].Step == step {
			return &r.Entries[i]
		}
	}
	return nil
}
