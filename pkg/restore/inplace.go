// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// A swap is one claim that is made anew.
type swap struct {
	journal
	// old is the volume that is kept.
	old string
	// fresh is true while the volume has no journal yet.
	fresh bool
	// now is the claim as it was found, nil for none.
	now *corev1.PersistentVolumeClaim
	// made is the claim that is to be.
	made  *corev1.PersistentVolumeClaim
	waits bool
	into  *release.RestoredClaim
	// filling brings a backup into a claim beside it.
	filling []act
}

// swapped tells whether the claim is the new one already.
func (s *swap) swapped() bool { return madeBy(s.now, s.Restore, copyID(s.From)) }

// planInPlace plans to make the claims of the snapshots anew, or what is left of that.
func (p *Plan) planInPlace(ctx context.Context) error {
	all, err := p.keeping(ctx)
	if err != nil {
		return err
	}
	begun, err := p.begun(all)
	if err != nil {
		return err
	}
	switch {
	case len(begun) > 0:
		p.Name, p.Resumed = begun[0].Restore, true
	case !p.request.Again:
		if done, err := p.already(ctx, all); done || err != nil {
			return err
		}
	}
	swaps := make([]*swap, len(p.request.Snapshots))
	p.result.Claims = make([]release.RestoredClaim, len(swaps))
	for i, s := range p.request.Snapshots {
		if swaps[i], err = p.swap(ctx, s, begun); err != nil {
			return err
		}
		p.result.Claims[i] = swaps[i].From
		swaps[i].into = &p.result.Claims[i]
	}
	return p.actInPlace(ctx, swaps)
}

// swap finds out how far one claim is.
func (p *Plan) swap(ctx context.Context, s release.Snapshot, begun []kept) (*swap, error) {
	now, err := p.claim(ctx, s.Claim)
	if err != nil {
		return nil, err
	}
	w := &swap{now: now}
	if at := slices.IndexFunc(begun, func(k kept) bool { return k.Claim == s.Claim }); at >= 0 {
		w.journal, w.old = begun[at].journal, begun[at].volume
		w.From.Kept = w.old
	} else if err := p.begin(ctx, w, s); err != nil {
		return nil, err
	}
	switch {
	case w.Staged != nil && !w.fresh:
		return w, nil
	case w.swapped():
		w.made = now
	default:
		b, err := p.take(ctx, w, s)
		switch {
		case err != nil:
			return nil, err
		case b != nil:
			return w, p.stage(ctx, w, *b)
		}
		w.made = cloned(w.Bare, w.From, w.Restore)
	}
	w.waits, err = p.class(ctx, w.made, s.Driver)
	return w, err
}

// take settles which copy a claim is made from anew; of one that was begun the journal has.
func (p *Plan) take(ctx context.Context, w *swap, s release.Snapshot) (b *release.Backup, err error) {
	var from release.RestoredClaim
	if w.fresh {
		from, b, err = p.origin(ctx, s)
	} else {
		from, err = p.usable(ctx, s)
	}
	from.Claim, from.Kept = s.Claim, w.old
	w.From = from
	return b, err
}

// begin writes the journal of a restore that has not begun.
func (p *Plan) begin(ctx context.Context, w *swap, s release.Snapshot) error {
	claim := w.now
	switch {
	case claim == nil:
		return fault.Hint(fault.Usagef("there is no claim %s in namespace %s, so there is nothing to keep", s.Claim, p.cluster.Namespace),
			"make it from the snapshot under its name: leave --in-place out and give --new-claim %s", s.Claim)
	case claim.DeletionTimestamp != nil:
		return fault.Usagef("claim %s is being deleted", s.Claim)
	case claim.Spec.VolumeName == "" || claim.Status.Phase != corev1.ClaimBound:
		return fault.Hint(fault.Usagef("claim %s has no volume (%s), so there is nothing to keep", s.Claim, claim.Status.Phase),
			"delete it, then make it from the snapshot with --new-claim %s", s.Claim)
	}
	if owner := metav1.GetControllerOf(claim); owner != nil {
		return fault.Hint(fault.Usagef("claim %s belongs to %s %s, which makes and deletes it", s.Claim, owner.Kind, owner.Name),
			"restore to a new claim: leave --in-place out")
	}
	if err := sameMode(claim, s); err != nil {
		return err
	}
	volume, err := p.volume(ctx, claim.Spec.VolumeName)
	if err != nil {
		return err
	}
	if ref := volume.Spec.ClaimRef; ref == nil || ref.UID != claim.UID {
		return fmt.Errorf("claim %s names volume %s, which is not bound to it", s.Claim, volume.Name)
	}
	w.old, w.fresh = volume.Name, true
	w.journal = journal{
		Restore: p.Name, Way: release.RestoreInPlace, Began: p.cluster.Now().UTC(), Namespace: p.cluster.Namespace, Claim: s.Claim, ClaimUID: claim.UID,
		Policy: volume.Spec.PersistentVolumeReclaimPolicy, Bare: bare(claim), Source: p.request.Lineage,
	}
	return nil
}

// actInPlace lists what is left to do.
func (p *Plan) actInPlace(ctx context.Context, swaps []*swap) error {
	var names []string
	left := false
	for _, w := range swaps {
		names = append(names, w.Claim)
		left = left || !w.swapped()
	}
	u, err := p.users(ctx, names)
	if err != nil {
		return fmt.Errorf("%s cannot be restored in place: %w", claimWords(names), err)
	}
	p.result.Notes = append(p.result.Notes, u.notes...)
	p.safe = "nothing is lost: what " + claimWords(names) + " held is kept on its volume"
	for _, w := range swaps {
		p.acts = append(p.acts, w.filling...)
	}
	p.beside = len(p.acts)
	for _, w := range swaps {
		p.actKeep(w)
	}
	held, err := p.stop(u, left, []string{p.Name})
	if err != nil {
		return err
	}
	for _, w := range swaps {
		if !w.swapped() {
			p.add(func(ctx context.Context) error { return p.takeAway(ctx, w.Claim, w.ClaimUID, w.old) }, "delete claim %s; volume %s stays", w.Claim, w.old)
			p.actMake(w)
		}
		if !w.waits {
			p.add(func(ctx context.Context) error { return p.await(ctx, w.into) }, "wait until claim %s has its volume", w.Claim)
		}
	}
	p.start(held)
	for _, w := range swaps {
		if w.waits && len(held) > 0 {
			p.add(func(ctx context.Context) error { return p.await(ctx, w.into) }, "wait until claim %s has its volume, which its class binds with its first pod", w.Claim)
		} else if w.waits {
			p.note("claim %s gets its volume and its data when the first pod that mounts it is scheduled", w.Claim)
		}
		if w.Staged != nil {
			p.add(func(ctx context.Context) error { return p.returned(ctx, w) }, "let the volume of claim %s go with it again, as its class has it", w.Claim)
		}
		p.add(func(ctx context.Context) error {
			p.note("what claim %s held before is kept: go back with knowngood restore --undo --run %s, or delete it with knowngood restore --confirm --run %s", w.Claim, p.Name, p.Name)
			return p.rewrite(ctx, w.old, func(j *journal) error { j.Done = true; return nil })
		}, "note on volume %s that the restore of claim %s is done; it is kept until it is confirmed", w.old, w.Claim)
	}
	return nil
}

// actKeep plans to keep what a claim holds now, before anything is taken away.
func (p *Plan) actKeep(w *swap) {
	if w.fresh {
		p.add(func(ctx context.Context) error {
			if w.Staged != nil {
				if err := p.settle(ctx, w); err != nil {
					return err
				}
				w.into.Verified = w.From.Verified
			}
			return p.keep(ctx, w.old, w.journal)
		}, "keep volume %s, which holds what claim %s holds now, when the claim goes", w.old, w.Claim)
	}
	if w.Staged != nil && !w.swapped() {
		p.add(func(ctx context.Context) error { return p.lent(ctx, w.Staged) }, "keep the volume with backup %s when claim %s goes", w.From.Backup, w.Staged.Claim)
	}
}

// actMake plans to make the claim anew under its name.
func (p *Plan) actMake(w *swap) {
	if w.Staged != nil {
		p.add(func(ctx context.Context) error { return p.handOver(ctx, w) },
			"make claim %s (%s) with the volume of claim %s, which goes", w.Claim, describe(&w.Bare), w.Staged.Claim)
		return
	}
	p.add(func(ctx context.Context) error { return p.create(ctx, w.made) },
		"make claim %s (%s) from VolumeSnapshot %s", w.Claim, describe(w.made), w.From.Snapshot)
}

// stop plans to scale down who uses the claims, and returns those that are to be scaled up in
// the end. restores are the names of restores whose workloads are ours.
func (p *Plan) stop(u *users, left bool, restores []string) ([]*workload, error) {
	var held []*workload
	p.own = restores
	for _, w := range u.workloads {
		if err := w.claimed(&w.meta, restores); err != nil {
			return nil, err
		}
		had, _, noted := remembered(&w.meta)
		if w.replicas == 0 && !noted {
			p.note("%s has no replicas, and stays so", w)
			continue
		}
		held = append(held, w)
		if left && w.replicas > 0 {
			p.add(func(ctx context.Context) error { return p.down(ctx, w) }, "scale %s from %d to 0", w, w.replicas)
		}
		if w.scaled = left || noted; noted {
			w.replicas = had
		}
	}
	if left {
		p.add(func(ctx context.Context) error { return p.unused(ctx, u.claims) }, "wait until no pod uses %s", claimWords(u.claims))
	}
	return held, nil
}

// start plans to scale up again, and to wait until all is ready.
func (p *Plan) start(held []*workload) {
	p.result.Workloads = make([]release.HeldWorkload, len(held))
	for i, w := range held {
		p.result.Workloads[i] = release.HeldWorkload{Kind: w.kind, Name: w.name, Replicas: w.replicas}
		if w.scaled {
			p.add(func(ctx context.Context) error { return p.up(ctx, w) }, "scale %s to %d", w, w.replicas)
		}
	}
	for i, w := range held {
		p.add(func(ctx context.Context) error { return p.ready(ctx, &p.result.Workloads[i]) }, "wait until %s is ready", w)
	}
}

// takeAway deletes a claim that is to be made anew, after it has made sure once more that its
// volume stays. A claim that is gone, or is another one by now, is not touched.
func (p *Plan) takeAway(ctx context.Context, name string, uid types.UID, volume string) error {
	now, err := p.claim(ctx, name)
	if err != nil || now == nil || now.UID != uid {
		return err
	}
	if now.Spec.VolumeName != volume {
		return fault.Hint(fmt.Errorf("claim %s is not deleted: it has got volume %s in the meantime", name, now.Spec.VolumeName), "repeat the command")
	}
	if volume == "" {
		return p.remove(ctx, name, uid)
	}
	stays, err := p.volume(ctx, volume)
	if err != nil {
		return err
	}
	_, marked := stays.Labels[release.LabelKept]
	if policy := stays.Spec.PersistentVolumeReclaimPolicy; policy != corev1.PersistentVolumeReclaimRetain || !marked {
		return fmt.Errorf("claim %s is not deleted: its volume %s has the policy %s: somebody changed it", name, volume, policy)
	}
	if err := p.undone(stays); err != nil {
		return fmt.Errorf("claim %s is not deleted: %w", name, err)
	}
	if err := p.remove(ctx, name, uid); err != nil {
		return err
	}
	return p.released(ctx, volume)
}
