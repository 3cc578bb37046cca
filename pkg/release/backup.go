// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"time"
)

// A Backup is a copy of one volume in a repository.
type Backup struct {
	// ID names the backup in its repository.
	ID          string `json:"id"`
	App         string `json:"app,omitempty"`
	Environment string `json:"environment,omitempty"`
	Commit      Commit `json:"commit,omitempty"`
	Run         string `json:"run,omitempty"`
	// Volume is the folder or the claim that was saved.
	Volume string `json:"volume"`
	// Device is true where it was a raw block device: the backup then holds one file, its image.
	Device bool      `json:"device,omitempty"`
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

	// CopyOf is the id of the backup in another repository that this one is a copy of, "" for
	// one that was saved.
	CopyOf string `json:"copy_of,omitempty"`

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
	// CheckError is how the check ended where it found that the data is not good.
	CheckError string `json:"check_error,omitempty"`
	// Differences name what did not come back as it was.
	Differences []string `json:"differences,omitempty"`
	// Carried is true of what a copy has from the backup that it is a copy of: that one was
	// restored, and the copy was read back whole and is the same by every content and entry.
	Carried bool `json:"carried,omitempty"`
}

// Copies is what the backup steps leave.
type Copies struct {
	// Repository is where the backups lie, without secrets.
	Repository string `json:"repository"`
	// Address is how the repository is given to a command, with all of its query that is no
	// secret, "" where Repository says it.
	Address string   `json:"address,omitempty"`
	Backups []Backup `json:"backups"`
	// InClear is the server that was spoken to without TLS, because the person allowed it; ""
	// where nobody on the way could listen.
	InClear string `json:"in_clear,omitempty"`
	// Console is the page of the provider's own console about the place, "" where none is known.
	Console string `json:"console,omitempty"`
	// Probe is what the bucket was seen to do before the first save; nil where it was not tried.
	Probe *Probe `json:"probe,omitempty"`
}

// Given is how the repository is given to a command, without secrets.
func (c Copies) Given() string { return cmp.Or(c.Address, c.Repository) }

// A Probe is what a bucket was seen to do by trying it, and what its provider says of it.
type Probe struct {
	// Creates is true when the bucket refuses to write what must be written once a second time,
	// Deletes when what was written can be taken away again.
	Creates bool `json:"creates_once"`
	Deletes bool `json:"deletes"`
	// Ahead is by how many seconds the bucket's clock is ahead of the machine's.
	Ahead float64 `json:"ahead_seconds"`
	// Locks, Versions and Expiry say whether objects can be locked, are kept when they are
	// deleted, and are deleted by a rule of the bucket: what is there, "none" or "not known".
	Locks    string `json:"locks"`
	Versions string `json:"versions"`
	Expiry   string `json:"expiry"`
	// Concerns are what a person should know or change.
	Concerns []string `json:"concerns,omitempty"`
}
