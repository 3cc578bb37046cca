// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// givenUp are the ids of the backups that prunes of the record gave up. What was copied to
// another repository is given up when its copy is.
func givenUp(record release.Record) map[string]bool {
	gone := map[string]bool{}
	for _, e := range record.Entries {
		if e.Pruned != nil {
			for _, id := range e.Pruned.Backups {
				gone[id] = true
			}
		}
	}
	for _, e := range slices.Backward(record.Entries) {
		if e.Copies == nil {
			continue
		}
		for _, one := range e.Copies.Backups {
			if one.CopyOf != "" {
				gone[one.CopyOf] = gone[one.ID]
			}
		}
	}
	return gone
}

// snapshotsGone says of each snapshot of the record, by namespace/name, what became of it where it
// is not there any more.
func snapshotsGone(record release.Record) map[string]string {
	gone := map[string]string{}
	for _, e := range record.Entries {
		if e.Pruned == nil {
			continue
		}
		for _, name := range e.Pruned.Snapshots {
			gone[name] = "a prune gave it up"
		}
		for _, name := range e.Pruned.Gone {
			gone[name] = "it is gone, and no prune gave it up"
		}
	}
	return gone
}

// there are the snapshots of the record's protection as they are now: those that are gone are not
// ready, and say why.
func there(record release.Record, taken []release.Snapshot) []release.Snapshot {
	gone := snapshotsGone(record)
	if len(gone) == 0 {
		return taken
	}
	now := slices.Clone(taken)
	for i := range now {
		if why := gone[now[i].Namespace+"/"+now[i].Name]; why != "" && now[i].Ready {
			now[i].Ready, now[i].Error = false, why
		}
	}
	return now
}

// copied are the copies of backups in other repositories, by the id of what they are copies of.
func copied(record release.Record) map[string]copyAt {
	made := map[string]copyAt{}
	for _, e := range record.Entries {
		if e.Copies == nil {
			continue
		}
		for _, one := range e.Copies.Backups {
			if one.CopyOf != "" {
				made[one.CopyOf] = copyAt{one.ID, e.Copies.Repository}
			}
		}
	}
	return made
}

type copyAt struct{ id, place string }

// prunedWords are what the row of a pruning says.
func prunedWords(p *release.Pruned) string {
	var words []string
	if n := len(p.Backups); n > 0 {
		words = append(words, count(n, "backup"))
	}
	if n := len(p.Snapshots); n > 0 {
		words = append(words, count(n, "snapshot"))
	}
	told := "gave up " + strings.Join(words, " and ")
	if len(words) == 0 {
		told = "nothing given up"
	}
	if n := len(p.Gone); n > 0 {
		told += ", found " + count(n, "snapshot") + " gone"
	}
	return told
}
