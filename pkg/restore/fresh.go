// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

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
	if p.fills != "" {
		p.beside = len(p.acts)
	}
	return nil
}

func (p *Plan) planNewClaim(ctx context.Context, s release.Snapshot) error {
	from, b, err := p.origin(ctx, s)
	if err != nil {
		return err
	}
	id := copyID(from)
	if from.Claim = p.request.NewClaim; from.Claim == "" {
		from.Claim = kube.Name(s.Claim, "restored", id[:min(8, len(id))])
	}
	claim, driver := recorded(s, from.Claim), s.Driver
	claim.Namespace = p.cluster.Namespace
	if b != nil {
		driver = ""
	}
	waits, err := p.class(ctx, &claim, driver)
	if err != nil {
		return err
	}
	var made *corev1.PersistentVolumeClaim
	if b != nil {
		made = unfilled(tagged(&claim, p.Name, id))
		if b.Device { // its storage may have given more than was asked for
			made = roomy(made, b.Bytes)
		}
	} else {
		made = cloned(claim, from, p.Name)
	}
	maps.Copy(made.Labels, p.labels(s.Claim))
	made.Annotations[release.AnnotationClaim] = s.Claim
	p.result.Claims = append(p.result.Claims, from)
	into := &p.result.Claims[len(p.result.Claims)-1]

	there, err := p.claim(ctx, from.Claim)
	switch {
	case err != nil:
		return err
	case there != nil && (there.Annotations[release.AnnotationSource] != id || there.DeletionTimestamp != nil):
		return fault.Hint(fault.Usagef("there is a claim %s already, and it was not made from %s", from.Claim, copyWords(from)),
			"give another name with --new-claim, or put the data into the claim itself with --in-place")
	case there != nil:
		p.Resumed, into.Volume = true, there.Spec.VolumeName
		if b != nil {
			return p.actFill(ctx, there, *b, into)
		}
		p.note("claim %s was made from that snapshot before, and is left as it is", from.Claim)
	default:
		p.add(func(ctx context.Context) error { return p.create(ctx, made) },
			"make claim %s (%s) from %s", from.Claim, describe(made), copyWords(from))
		if b != nil {
			return p.actFill(ctx, made, *b, into)
		}
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

// actFill plans to bring a backup into a claim that is made for it. The claim may be of an earlier
// attempt, whose name it bears.
func (p *Plan) actFill(ctx context.Context, claim *corev1.PersistentVolumeClaim, b release.Backup, into *release.RestoredClaim) error {
	if v, whole := filled(claim); whole {
		into.Verified = &v
		p.note("backup %s was brought into claim %s before, and is left as it is", b.ID, claim.Name)
		return nil
	}
	if err := p.unmounted(ctx, claim.Name); err != nil {
		return err
	}
	p.fills = b.ID
	name, restore := claim.Name, claim.Annotations[release.AnnotationRestore]
	p.add(func(ctx context.Context) error { return p.fill(ctx, name, restore, b, into) },
		"bring backup %s (%s, %s) into claim %s, and compare all of it", b.ID, holds(b), megabytes(b.Bytes), name)
	p.add(func(ctx context.Context) error { return p.await(ctx, into) }, "wait until claim %s has its volume", name)
	return nil
}

func holds(b release.Backup) string {
	if b.Device {
		return "a raw device"
	}
	return fmt.Sprintf("%d files", b.Files)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// labels are those of what a restore makes for itself.
func (p *Plan) labels(claim string) map[string]string {
	return map[string]string{
		release.LabelManagedBy: release.ManagedBy, release.LabelApp: kube.LabelValue(p.request.App),
		release.LabelEnvironment: kube.LabelValue(p.request.Environment), release.LabelCommit: p.request.Lineage.Commit.Label(),
		release.LabelRun: kube.LabelValue(p.request.Lineage.Run), release.LabelClaim: kube.LabelValue(claim),
	}
}
