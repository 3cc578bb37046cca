// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"maps"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// planNew plans a claim of its own for each snapshot.
func (p *Plan) planNew(ctx context.Context) error {
	if p.request.NewClaim != "" && len(p.request.Snapshots) != 1 {
		return fault.Usagef("--new-claim names one claim, and %d are to be restored", len(p.request.Snapshots))
	}
	// The acts write into the elements, so the slice must not grow afterwards.
	p.result.Claims = make([]release.RestoredClaim, 0, len(p.request.Snapshots))
	for _, s := range p.request.Snapshots {
		if err := p.planNewClaim(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) planNewClaim(ctx context.Context, s release.Snapshot) error {
	from, err := p.usable(ctx, s)
	if err != nil {
		return err
	}
	if from.Claim = p.request.NewClaim; from.Claim == "" {
		from.Claim = kube.Name(s.Claim, "restored", from.SnapshotUID[:min(8, len(from.SnapshotUID))])
	}
	claim := recorded(s, from.Claim)
	waits, err := p.class(ctx, &claim, s.Driver)
	if err != nil {
		return err
	}
	made := filled(claim, from, p.Name)
	maps.Copy(made.Labels, p.labels(s.Claim))
	made.Annotations[release.AnnotationClaim] = s.Claim
	p.result.Claims = append(p.result.Claims, from)
	into := &p.result.Claims[len(p.result.Claims)-1]

	there, err := p.claim(ctx, from.Claim)
	switch {
	case err != nil:
		return err
	case there != nil && (there.Annotations[release.AnnotationSource] != from.SnapshotUID || there.DeletionTimestamp != nil):
		return fault.Hint(fault.Usagef("there is a claim %s already, and it was not made from VolumeSnapshot %s", from.Claim, s.Name),
			"give another name with --new-claim, or put the data into the claim itself with --in-place")
	case there != nil:
		p.Resumed, into.Volume = true, there.Spec.VolumeName
		p.note("claim %s was made from that snapshot before, and is left as it is", from.Claim)
	default:
		p.add(func(ctx context.Context) error { return p.create(ctx, made) },
			"make claim %s (%s) from VolumeSnapshot %s", from.Claim, describe(made), s.Name)
	}
	switch {
	case into.Volume != "":
	case waits:
		p.note("claim %s gets its volume and its data when the first pod that mounts it is scheduled: its class binds no earlier", from.Claim)
	default:
		p.add(func(ctx context.Context) error { return p.await(ctx, into) }, "wait until claim %s has its volume", from.Claim)
	}
	return nil
}

// labels are those of what a restore makes for itself.
func (p *Plan) labels(claim string) map[string]string {
	return map[string]string{
		release.LabelManagedBy: release.ManagedBy, release.LabelApp: kube.LabelValue(p.request.App),
		release.LabelEnvironment: kube.LabelValue(p.request.Environment), release.LabelCommit: p.request.Lineage.Commit.Label(),
		release.LabelRun: kube.LabelValue(p.request.Lineage.Run), release.LabelClaim: kube.LabelValue(claim),
	}
}
