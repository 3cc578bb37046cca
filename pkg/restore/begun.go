// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"slices"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// same tells whether what a journal says was, or is being, restored is what is asked for.
func (p *Plan) same(s release.Snapshot, from release.RestoredClaim) bool {
	if from.Backup == "" {
		return p.request.From != FromBackup && s.UID == from.SnapshotUID
	}
	b := p.backup(s.Claim)
	return p.request.From != FromSnapshot && b != nil && b.ID == from.Backup
}

// already tells whether every claim is the one that a restore made from these very snapshots, and
// what was there before is kept still. A command that is repeated has nothing to do then.
func (p *Plan) already(ctx context.Context, all []kept) (bool, error) {
	var claims []release.RestoredClaim
	name := ""
	for _, s := range p.request.Snapshots {
		now, err := p.claim(ctx, s.Claim)
		if err != nil {
			return false, err
		}
		at := slices.IndexFunc(all, func(k kept) bool {
			return k.Done && k.Undo == "" && k.Way == release.RestoreInPlace && k.Claim == s.Claim && p.same(s, k.From) && madeBy(now, k.Restore, copyID(k.From))
		})
		if at < 0 || name != "" && name != all[at].Restore {
			return false, nil
		}
		from := all[at].From
		from.Volume, from.Kept = now.Spec.VolumeName, all[at].volume
		claims, name = append(claims, from), all[at].Restore
	}
	p.Name, p.Resumed, p.result.Claims = name, true, claims
	p.note("restore %s has done that, and what was there before is kept; give --again to do it once more", p.Name)
	return true, nil
}

// unfinished are the names of restores of which a claim has not come to its end. The journals of
// their other claims, which may have, belong to what is to be finished.
func unfinished(all []kept) []string {
	var names []string
	for _, k := range all {
		if !k.Done && !slices.Contains(names, k.Restore) {
			names = append(names, k.Restore)
		}
	}
	return names
}

// begun returns the journals of a restore of these snapshots that has not come to its end.
// Another restore of the same claims under way is an error.
func (p *Plan) begun(all []kept) ([]kept, error) {
	var begun []kept
	open := unfinished(all)
	for _, k := range all {
		at := slices.IndexFunc(p.request.Snapshots, func(s release.Snapshot) bool { return s.Claim == k.Claim })
		switch {
		case at < 0:
		case k.Undo != "":
			return nil, fault.Hint(fault.Usagef("claim %s is being put back by undo %s, which is not finished", k.Claim, k.Undo), "finish it with knowngood restore --undo")
		case !slices.Contains(open, k.Restore):
		case !p.same(p.request.Snapshots[at], k.From):
			return nil, fault.Hint(fault.Usagef("claim %s is being restored from %s by restore %s, which is not finished", k.Claim, copyWords(k.From), k.Restore),
				"finish that with --in-place --claim %s --run %s, or go back from it with knowngood restore --undo --run %s", k.Claim, k.Source.Run, k.Restore)
		case len(begun) > 0 && begun[0].Restore != k.Restore:
			return nil, fault.Hint(fault.Usagef("claims %s and %s are being restored by two restores, %s and %s", begun[0].Claim, k.Claim, begun[0].Restore, k.Restore), "finish them one after the other")
		default:
			begun = append(begun, k)
		}
	}
	for _, k := range all {
		if len(begun) > 0 && k.Restore == begun[0].Restore && !slices.ContainsFunc(begun, func(b kept) bool { return b.Claim == k.Claim }) {
			return nil, fault.Hint(fault.Usagef("restore %s, which is not finished, is of claim %s as well", k.Restore, k.Claim), "give that claim too, with --claim %s", k.Claim)
		}
	}
	return begun, nil
}
