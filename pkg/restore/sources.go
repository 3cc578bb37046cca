// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"

	"github.com/knowngood/knowngood/pkg/kube"
)

// Sources returns the VolumeSnapshots of the namespace, by uid, that restores in place are made
// from which are under way or which nobody has confirmed, with the reason in words.
func Sources(ctx context.Context, cluster *kube.Cluster) (map[string]string, error) {
	p := &Plan{cluster: cluster}
	all, err := p.keeping(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, k := range all {
		switch uid := k.From.SnapshotUID; {
		case uid == "":
		case !k.Done || k.Undo != "":
			found[uid] = fmt.Sprintf("restore %s is under way from it", kube.OneLine(k.Restore))
		case found[uid] == "":
			found[uid] = fmt.Sprintf("restore %s from it is not confirmed", kube.OneLine(k.Restore))
		}
	}
	return found, nil
}
