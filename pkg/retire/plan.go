// SPDX-License-Identifier: Apache-2.0

package retire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retain"
)

// ErrPlan is the error of a plan that is no longer what it was when it was shown.
var ErrPlan = errors.New("the plan has changed")

// A Request says what is wanted, and what is known outside of the cluster.
type Request struct {
	// App is the application, Environment one of its environments, "" for all.
	App, Environment string
	// Records are all of the application: what none of them names is an orphan.
	Records []release.Record
	Rules   retain.Rules
	// Zone is where days begin at midnight; nil is UTC.
	Zone *time.Location
	// Backups are those in the repository that stay in it. Without a repository there is none: what
	// the records say of backups is no proof that they are there.
	Backups []release.Backup
	// Uses tells of VolumeSnapshots, by uid, why a restore needs them.
	Uses func(context.Context) (map[string]string, error)
	// Orphans gives up snapshots of ours that no record names, too; Stored what the storage keeps
	// of snapshots that are given up.
	Orphans, Stored bool

	// Plan is the digest of the one plan that may be carried out; "" allows any.
	Plan string
	// Wait is how long another prune may hold this one up, Timeout how long each deletion may take.
	Wait, Timeout time.Duration
	// Before is called with the plan before anything is given up. An error of it ends the prune.
	Before func(context.Context, Plan) error
}

// A Plan is what would be given up in a namespace, and why.
type Plan struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	// Digest names what the plan gives up; two plans of one digest give up the same.
	Digest  string   `json:"plan"`
	Fates   []Fate   `json:"snapshots"`
	Orphans []Orphan `json:"orphans,omitempty"`
	// Gone are recorded snapshots that are not there, though no prune had given them up.
	Gone []Copy `json:"gone,omitempty"`
	// Elsewhere counts the recorded snapshots of other namespaces and clusters.
	Elsewhere int `json:"elsewhere,omitempty"`
}

// A Copy is a recorded snapshot, and the run that took it.
type Copy struct {
	release.Subject
	Snapshot release.Snapshot `json:"snapshot"`
}

// Name is the snapshot's, with its namespace, as records of prunes have it.
func (c Copy) Name() string { return c.Snapshot.Namespace + "/" + c.Snapshot.Name }

// A Fate is what becomes of a snapshot, and why.
type Fate struct {
	Copy
	Taken time.Time `json:"taken"`
	Keep  bool      `json:"keep"`
	Why   string    `json:"why"`
	// Retained is true where its class keeps the content, and what the storage has of it, when it
	// goes; Stored where that is told to go with it.
	Retained bool `json:"retained,omitempty"`
	Stored   bool `json:"stored,omitempty"`

	version             string
	content, contentUID string
}

// An Orphan is something that belongs to nothing that is known.
type Orphan struct {
	// Subject is that of the run which took it, as far as that is known.
	release.Subject `json:"-"`

	Kind string `json:"kind"`
	Name string `json:"name"`
	Why  string `json:"why,omitempty"`
	// Goes is true when the plan takes it away.
	Goes bool `json:"goes,omitempty"`

	uid, version string
}

// Kinds of orphans.
const (
	OrphanSnapshot = "snapshot that no record names"
	OrphanForeign  = "snapshot of another program that bears our labels"
	OrphanOther    = "snapshot with the name of a recorded one"
	OrphanContent  = "content whose snapshot is gone"
	OrphanUnknown  = "recorded snapshot that is not here, of a cluster that the record does not name"
	OrphanDeleted  = "snapshot that is being deleted"
	OrphanJob      = "Job that a killed run left"
)

// Given returns the snapshots that the plan gives up.
func (p Plan) Given() []Fate {
	return slices.DeleteFunc(slices.Clone(p.Fates), func(f Fate) bool { return f.Keep })
}

// digest names what the plan gives up.
func (p Plan) digest() string {
	var lines []string
	for _, f := range p.Given() {
		line := "snapshot " + f.Snapshot.UID
		if f.Stored {
			line += " and what is stored"
		}
		lines = append(lines, line)
	}
	for _, o := range p.Orphans {
		if o.Goes {
			lines = append(lines, o.Kind+" "+o.Name+" "+o.uid)
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(p.Cluster + "/" + p.Namespace + "\n" + strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:6])
}
