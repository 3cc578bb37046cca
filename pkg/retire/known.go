// SPDX-License-Identifier: Apache-2.0

package retire

import (
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// known is what records say of the snapshots of one namespace of one cluster.
type known struct {
	byUID map[string]*recorded
	names map[string]bool
	// pruned are the snapshots that prunes gave up, missed those found gone before: each by its
	// environment and its name, which another environment has in another cluster.
	pruned, missed map[[2]string]bool
	elsewhere      int
	some           bool
}

// recorded is a snapshot that a record names.
type recorded struct {
	Copy
	taken time.Time
	of    *run
	// placed is true where the record names the cluster.
	placed bool
}

// key is by what notes of prunes name a recorded snapshot.
func (r *recorded) key() [2]string { return [2]string{r.Environment, r.Name()} }

// A run is what a record says of the run itself.
type run struct {
	// deployed is true of one whose deploy succeeded, ended of one that will not touch its
	// snapshots any more.
	deployed, ended bool
}

// settled is how long after its last entry a run that never told its end is over.
const settled = 24 * time.Hour

// know gathers what records say.
func know(records []release.Record, environment, cluster, namespace string, now time.Time) known {
	k := known{byUID: map[string]*recorded{}, names: map[string]bool{}, pruned: map[[2]string]bool{}, missed: map[[2]string]bool{}, some: len(records) > 0}
	for i := range records {
		record := &records[i]
		of := ran(record, now)
		for j := range record.Entries {
			e := &record.Entries[j]
			if e.Pruned != nil {
				mark(k.pruned, record.Environment, e.Pruned.Snapshots)
				mark(k.missed, record.Environment, e.Pruned.Gone)
			}
			if e.Protection == nil || environment != "" && record.Environment != environment {
				continue
			}
			for _, s := range e.Protection.Snapshots {
				switch at := e.Protection.Cluster; {
				case s.UID == "":
				case s.Namespace != namespace || at != "" && at != cluster:
					k.elsewhere++
				default:
					k.note(e, s, of, at != "")
				}
			}
		}
	}
	return k
}

func mark(set map[[2]string]bool, environment string, names []string) {
	for _, name := range names {
		set[[2]string{environment, name}] = true
	}
}

// note keeps a snapshot. What an attempt of the run found good counts, whatever another said.
func (k *known) note(e *release.Entry, s release.Snapshot, of *run, placed bool) {
	there := k.byUID[s.UID]
	if there != nil && there.Snapshot.Ready {
		there.placed = there.placed || placed
		return
	}
	taken := s.Cut
	if taken.IsZero() {
		taken = e.Ended
	}
	one := &recorded{Copy: Copy{Subject: e.Subject, Snapshot: s}, taken: taken, of: of, placed: placed}
	k.byUID[s.UID], k.names[one.Name()] = one, true
}

// ran tells of a record's run whether its deploy succeeded, and whether it has ended.
func ran(record *release.Record, now time.Time) *run {
	r := &run{}
	var last time.Time
	for i := range record.Entries {
		e := &record.Entries[i]
		if release.Upkeep(e.Step) {
			continue
		}
		if e.Ended.After(last) {
			last = e.Ended
		}
		switch {
		case e.Step == "deploy-finish":
			r.ended, r.deployed = true, e.State == release.Done
		case e.Protection != nil: // the run has begun once more
			r.ended = false
		}
	}
	r.ended = r.ended || now.Sub(last) > settled
	return r
}
