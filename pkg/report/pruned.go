// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// givenUp are the ids of the backups that prunes of the record gave up.
func givenUp(record release.Record) map[string]bool {
	gone := map[string]bool{}
	for _, e := range record.Entries {
		if e.Pruned != nil {
			for _, id := range e.Pruned.Backups {
				gone[id] = true
			}
		}
	}
	return gone
}

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
