// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"slices"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// Pending returns the source of a restore in place that was begun and has not ended, where it
// is of exactly the claims that are wished, or, where none is named, of one claim. Its journals
// tell it, so that going on needs no catalog. ok is false where there is none or it is another
// one.
func Pending(ctx context.Context, cluster *kube.Cluster, w Wish) (c Choice, ok bool, err error) {
	p := &Plan{cluster: cluster}
	all, err := p.keeping(ctx)
	if err != nil {
		return Choice{}, false, err
	}
	var name string
	var names []string
	open := unfinished(all)
	for _, k := range all {
		if !slices.Contains(open, k.Restore) || k.Undo != "" || w.Run != "" && k.Source.Run != w.Run || len(w.Claims) > 0 && !slices.Contains(w.Claims, k.Claim) {
			continue
		}
		if name != "" && name != k.Restore {
			return Choice{}, false, nil
		}
		name, names = k.Restore, append(names, k.Claim)
		c.Lineage = k.Source
		c.Snapshots = append(c.Snapshots, release.Snapshot{
			Namespace: k.Namespace, Claim: k.Claim, Name: k.From.Snapshot, UID: k.From.SnapshotUID, Ready: true,
			Consistency: k.From.Consistency, Cut: k.From.Cut, RestoreBytes: k.From.Bytes,
		})
		if k.From.Backup != "" {
			c.Backups = append(c.Backups, release.Backup{ID: k.From.Backup, Volume: k.Claim, Bytes: k.From.Bytes})
		}
	}
	if len(names) != max(1, len(w.Claims)) {
		return Choice{}, false, nil
	}
	return c, hasPrefix(c.Lineage.Commit, w.Commit), nil
}

func hasPrefix(commit release.Commit, prefix string) bool {
	return len(commit) >= len(prefix) && string(commit[:len(prefix)]) == prefix
}
