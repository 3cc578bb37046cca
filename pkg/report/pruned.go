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
	if len(words) == 0 {
		return "nothing given up"
	}
	return "gave up " + strings.Join(words, " and ")
}
