// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

var errNoneKept = errors.New("no restore that is meant keeps a volume")

// meant returns, of the volumes that are kept, those of the restore which is meant: the one that
// was named, or the only one. Several are an error that names them.
func (p *Plan) meant(all []kept) ([]kept, error) {
	groups, order := map[string][]kept{}, []string{}
	for _, k := range all {
		if len(groups[k.Restore]) == 0 {
			order = append(order, k.Restore)
		}
		groups[k.Restore] = append(groups[k.Restore], k)
	}
	order = slices.DeleteFunc(order, func(name string) bool { return !p.means(name, groups[name], all) })
	switch len(order) {
	case 0:
		return nil, fault.Hint(fault.Usagef("%w for a claim of namespace %s", errNoneKept, p.cluster.Namespace), "%s", p.others(all))
	case 1:
		return groups[order[0]], p.wholly(groups[order[0]])
	}
	var words []string
	for _, name := range order {
		words = append(words, describeGroup(groups[name]))
	}
	return nil, fault.Hint(fault.Usagef("%d restores keep volumes for claims of namespace %s", len(order), p.cluster.Namespace),
		"name one of them with --run: %s", strings.Join(words, "; "))
}

// means tells whether a restore may be the one that is meant. One that was an undo is undone
// only by its name: an undo whose end was not seen can then be repeated without harm.
func (p *Plan) means(name string, of, all []kept) bool {
	earlier := p.request.Earlier
	switch {
	case slices.ContainsFunc(all, func(k kept) bool { return k.Undo == name }): // the other half of an undo under way
		return false
	case earlier == "" && p.request.Way == release.RestoreUndo && of[0].Way == release.RestoreUndo:
		return false
	case earlier != "" && name != earlier && !slices.ContainsFunc(of, func(k kept) bool { return k.Undo == earlier }):
		return false
	}
	return !slices.ContainsFunc(p.request.Claims, func(claim string) bool {
		return !slices.ContainsFunc(of, func(k kept) bool { return k.Claim == claim })
	})
}

// others says what there is where nothing is meant.
func (p *Plan) others(all []kept) string {
	var words []string
	for _, k := range all {
		if text := describeGroup([]kept{k}); !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	if len(words) == 0 {
		return "check --namespace; only a restore with --in-place keeps what was there, until it is confirmed or undone"
	}
	return "name one with --run; what keeps volumes: " + strings.Join(words, "; ")
}

func describeGroup(of []kept) string {
	var names []string
	state := ""
	for _, k := range of {
		names = append(names, k.Claim)
		switch {
		case !k.Done || k.Undo != "":
			state = ", not finished"
		case k.Way == release.RestoreUndo:
			state = ", an undo"
		}
	}
	return fmt.Sprintf("%s (%s, %s%s)", of[0].Restore, of[0].Began.Format("2006-01-02 15:04:05"), strings.Join(names, " "), state)
}

// An undoing is one claim whose kept volume is put back.
type undoing struct {
	kept
	now *corev1.PersistentVolumeClaim
	// away is the volume that the claim has now and that is kept in its turn, "" for none.
	away string
	into *release.RestoredClaim
}

// untouched tells whether the restore had not come to delete the claim.
func (u *undoing) untouched() bool {
	return u.now != nil && u.now.UID == u.ClaimUID && u.now.DeletionTimestamp == nil
}

// back tells whether the claim has its old volume already.
func (u *undoing) back() bool { return u.Undo != "" && madeBy(u.now, u.Undo, u.volume) }

// planUndo plans to bind kept volumes to their claims again, or what is left of that.
func (p *Plan) planUndo(ctx context.Context) error {
	all, err := p.keeping(ctx)
	if err != nil {
		return err
	}
	left, err := p.leftovers(ctx, all)
	if err != nil {
		return err
	}
	group, err := p.meant(all)
	if alone := p.meantLeft(left); errors.Is(err, errNoneKept) && len(alone) > 0 {
		p.commit = release.Commit(alone[0].Labels[release.LabelCommit])
		return p.actLeft(ctx, alone)
	} else if err != nil {
		return err
	}
	p.commit = group[0].Source.Commit
	if begun := slices.IndexFunc(group, func(k kept) bool { return k.Undo != "" }); begun >= 0 {
		p.Name, p.Resumed = group[begun].Undo, true
	}
	undo := make([]*undoing, len(group))
	p.result.Claims = make([]release.RestoredClaim, len(group))
	for i, k := range group {
		now, err := p.claim(ctx, k.Claim)
		if err != nil {
			return err
		}
		if k.policy != corev1.PersistentVolumeReclaimRetain {
			return fault.Hint(fault.Usagef("volume %s has the policy %s: what restore %s kept is given up already", k.volume, k.policy, k.Restore),
				"if it is there still, tell it to stay first: kubectl patch persistentvolume %s -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'", k.volume)
		}
		undo[i] = &undoing{kept: k, now: now, into: &p.result.Claims[i]}
		if now != nil && now.Spec.VolumeName != k.volume {
			undo[i].away = now.Spec.VolumeName
		}
		p.result.Claims[i] = release.RestoredClaim{Namespace: k.Namespace, Claim: k.Claim, Of: k.Claim, Volume: k.volume, Kept: undo[i].away}
	}
	if err := p.actUndo(ctx, undo); err != nil {
		return err
	}
	return p.actLeft(ctx, slices.DeleteFunc(left, func(claim *corev1.PersistentVolumeClaim) bool {
		return claim.Annotations[release.AnnotationRestore] != group[0].Restore
	}))
}

func (p *Plan) actUndo(ctx context.Context, undo []*undoing) error {
	var names []string
	left := false
	for _, u := range undo {
		names = append(names, u.Claim)
		left = left || !u.untouched() && !u.back()
	}
	found, err := p.users(ctx, names)
	if err != nil {
		return fmt.Errorf("%s cannot be put back: %w", claimWords(names), err)
	}
	p.result.Notes = append(p.result.Notes, found.notes...)
	p.safe = "nothing is lost: the volumes of " + claimWords(names) + " are kept, the older and the newer ones"
	for _, u := range undo {
		p.actMark(u)
	}
	held, err := p.stop(found, left, []string{undo[0].Restore, p.Name})
	if err != nil {
		return err
	}
	for _, u := range undo {
		p.actBack(u)
	}
	p.start(held)
	for _, u := range undo {
		p.add(func(ctx context.Context) error {
			if u.away != "" {
				p.note("what claim %s held until now is kept on volume %s: go back with knowngood restore --undo --run %s, or delete it with --confirm --run %s", u.Claim, u.away, p.Name, p.Name)
			}
			if err := p.belongs(ctx, u.Claim, u.volume); err != nil {
				return err
			}
			return p.release(ctx, u.volume, u.Policy)
		},
			"end the keeping of volume %s, which is claim %s's again, with its policy %s", u.volume, u.Claim, u.Policy)
	}
	return nil
}

// actMark notes on the volumes what is going on, before anything is taken away.
func (p *Plan) actMark(u *undoing) {
	if u.Undo == "" {
		p.add(func(ctx context.Context) error {
			return p.rewrite(ctx, u.volume, func(j *journal) error {
				if err := p.rival(u.volume, *j); err != nil {
					return err
				}
				j.Undo = p.Name
				return nil
			})
		}, "note on volume %s that it is put back", u.volume)
	}
	if u.away == "" || u.back() {
		return
	}
	p.add(func(ctx context.Context) error { _, err := p.setAside(ctx, u); return err },
		"keep volume %s, which holds what claim %s holds now, when the claim goes", u.away, u.Claim)
}

// setAside keeps the volume that the claim has by now, and returns its name. A claim that had
// none when the plan was made may have got one since.
func (p *Plan) setAside(ctx context.Context, u *undoing) (string, error) {
	now, err := p.claim(ctx, u.Claim)
	if err != nil || now == nil || now.UID != u.now.UID || now.Spec.VolumeName == "" || now.Spec.VolumeName == u.volume {
		return u.now.Spec.VolumeName, err
	}
	if now.Status.Phase != corev1.ClaimBound { // it was made a moment ago, with its volume's name
		if err := p.await(ctx, &release.RestoredClaim{Claim: u.Claim}); err != nil {
			return "", err
		}
	}
	volume, err := p.volume(ctx, now.Spec.VolumeName)
	if err != nil {
		return "", err
	}
	u.away, u.into.Kept = volume.Name, volume.Name
	policy := volume.Spec.PersistentVolumeReclaimPolicy
	if u.Staged != nil && u.Staged.Volume == volume.Name {
		policy = u.Staged.Policy
	}
	return volume.Name, p.keep(ctx, volume.Name, journal{
		Restore: p.Name, Way: release.RestoreUndo, Began: p.cluster.Now().UTC(), Namespace: u.Namespace, Claim: u.Claim, ClaimUID: now.UID,
		Policy: policy, Bare: bare(now), Source: release.Lineage{Commit: u.Source.Commit}, Done: true,
	})
}

// actBack binds one kept volume to its claim again.
func (p *Plan) actBack(u *undoing) {
	if s := u.Staged; s != nil && u.away != s.Volume && !u.Done {
		p.add(func(ctx context.Context) error { return p.dropped(ctx, s, u.kept) }, "delete claim %s and its volume, into which backup %s was brought", s.Claim, u.From.Backup)
	}
	if u.untouched() {
		return
	}
	if !u.back() {
		if u.now != nil {
			p.add(func(ctx context.Context) error {
				volume, err := p.setAside(ctx, u)
				if err != nil {
					return err
				}
				return p.takeAway(ctx, u.Claim, u.now.UID, volume)
			}, "delete claim %s%s", u.Claim, stays(u.now.Spec.VolumeName))
		}
		p.add(func(ctx context.Context) error { return p.free(ctx, u.kept) }, "let volume %s be bound again", u.volume)
		made := bound(u.Bare, u.volume, p.Name)
		p.add(func(ctx context.Context) error { return p.create(ctx, made) }, "make claim %s (%s) with volume %s", u.Claim, describe(made), u.volume)
	}
	p.add(func(ctx context.Context) error { return p.await(ctx, u.into) }, "wait until claim %s has volume %s", u.Claim, u.volume)
}

func stays(volume string) string {
	if volume == "" {
		return ", which has no volume yet"
	}
	return "; volume " + volume + " stays"
}
