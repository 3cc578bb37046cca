// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// wholly refuses claims that are only some of the restore's: it is undone, or what it kept given
// up, as a whole.
func (p *Plan) wholly(group []kept) error {
	for _, k := range group {
		if len(p.request.Claims) > 0 && !slices.Contains(p.request.Claims, k.Claim) {
			return fault.Hint(fault.Usagef("restore %s, which is meant, is of claim %s as well", k.Restore, k.Claim), "give that claim too, with --claim %s", k.Claim)
		}
	}
	return nil
}

// undone returns an error where another undo than this is under way with the volume.
func (p *Plan) undone(volume *corev1.PersistentVolume) error {
	var j journal
	if err := json.Unmarshal([]byte(volume.Annotations[release.AnnotationRestore]), &j); err != nil {
		return fmt.Errorf("the journal on volume %s: %w", volume.Name, err)
	}
	return p.rival(volume.Name, j)
}

func (p *Plan) rival(volume string, j journal) error {
	if j.Undo == "" || j.Undo == p.Name {
		return nil
	}
	return fmt.Errorf("undo %s is under way, which puts volume %s back", kube.OneLine(j.Undo), volume)
}

// belongs makes sure that a claim has the volume and is not about to go: what is kept no longer
// would go with it.
func (p *Plan) belongs(ctx context.Context, name, volume string) error {
	now, err := p.claim(ctx, name)
	switch {
	case err != nil:
		return err
	case now == nil || now.DeletionTimestamp != nil || now.Spec.VolumeName != volume:
		return fmt.Errorf("claim %s is being deleted or has another volume by now: volume %s is kept still", name, volume)
	}
	return nil
}
