// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// A Backup is a copy of one volume in a repository.
type Backup struct {
	// ID names the backup in its repository.
	ID          string `json:"id"`
	App         string `json:"app,omitempty"`
	Environment string `json:"environment,omitempty"`
	Commit      Commit `json:"commit,omitempty"`
	Run         string `json:"run,omitempty"`
	// Volume is the folder or the claim that was saved.
	Volume string    `json:"volume"`
	Taken  time.Time `json:"taken"`

	Entries int64 `json:"entries"`
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	// Stored is how many bytes the backup added to the repository.
	Stored  int64   `json:"stored_bytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`

	// Unread and Torn count the entries whose content is missing, and the files that changed
	// while they were read. Lacking names some of both.
	Unread  int64    `json:"unread,omitempty"`
	Torn    int64    `json:"torn,omitempty"`
	Lacking []string `json:"lacking,omitempty"`

	// Verified is the newest test restore; nil when there was none.
	Verified *Verification `json:"verified,omitempty"`
	// Hold keeps the backup whatever the rules of retention say; nil when nobody holds it.
	Hold *Hold `json:"hold,omitempty"`
}

// A Hold is why a backup stays.
type Hold struct {
	At     time.Time `json:"at"`
	Owner  string    `json:"owner"`
	Reason string    `json:"reason,omitempty"`
}

// Whole tells whether the backup lacks nothing.
func (b Backup) Whole() bool { return b.Unread == 0 && b.Torn == 0 }

// A Verification is a backup restored to a scratch place and compared with its manifest.
type Verification struct {
	At time.Time `json:"at"`
	// Proved is true only when all of it came back as it was, and the check, if there was
	// one, succeeded.
	Proved  bool    `json:"proved"`
	Files   int64   `json:"files"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	// Check is the application's own check of the restored data, "" when there was none.
	Check string `json:"check,omitempty"`
	// Differences name what did not come back as it was.
	Differences []string `json:"differences,omitempty"`
}

// Copies is what the backup steps leave.
type Copies struct {
	// Repository is where the backups lie, without secrets.
	Repository string   `json:"repository"`
	Backups    []Backup `json:"backups"`
	// InClear is the server that was spoken to without TLS, because the person allowed it; ""
	// where nobody on the way could listen.
	InClear string `json:"in_clear,omitempty"`
}
