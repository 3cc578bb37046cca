// SPDX-License-Identifier: Apache-2.0

package retire

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retain"
)

// A State is what a cluster has of a namespace.
type State struct {
	Cluster, Namespace string
	Snapshots          []snapshotv1.VolumeSnapshot
	// Contents are all of the cluster.
	Contents []snapshotv1.VolumeSnapshotContent
	Claims   []corev1.PersistentVolumeClaim
	// Jobs are names of those that killed runs left.
	Jobs []string
	// Needed tells of VolumeSnapshots, by uid, why a restore needs them.
	Needed map[string]string
	Now    time.Time
}

// judging is one Judge.
type judging struct {
	Request
	State
	known
	contents map[string]*snapshotv1.VolumeSnapshotContent
	handles  map[handle][]string                   // names of contents
	live     map[string]*snapshotv1.VolumeSnapshot // by uid
	plan     Plan
}

// Judge makes a plan. It asks nobody and changes nothing.
func Judge(q Request, s State) Plan {
	j := &judging{
		Request: q, State: s, known: know(q.Records, q.Environment, s.Cluster, s.Namespace, s.Now),
		contents: map[string]*snapshotv1.VolumeSnapshotContent{}, live: map[string]*snapshotv1.VolumeSnapshot{}, handles: map[handle][]string{},
	}
	j.plan = Plan{Cluster: s.Cluster, Namespace: s.Namespace, Fates: []Fate{}, Elsewhere: j.elsewhere}
	for i := range s.Contents {
		c := &s.Contents[i]
		j.contents[c.Name] = c
		j.handles[handleOf(c)] = append(j.handles[handleOf(c)], c.Name)
	}
	copies := j.copies()
	j.fates(copies)
	j.orphanedContents()
	j.missing()
	for _, name := range s.Jobs {
		j.orphan(Orphan{Kind: OrphanJob, Name: name, Goes: true})
	}
	orphans, gone := j.plan.Orphans, j.plan.Gone
	sort.Slice(orphans, func(a, b int) bool {
		return cmp.Or(cmp.Compare(orphans[a].Kind, orphans[b].Kind), cmp.Compare(orphans[a].Name, orphans[b].Name)) < 0
	})
	sort.Slice(gone, func(a, b int) bool { return gone[a].Name() < gone[b].Name() })
	j.plan.Digest = j.plan.digest()
	return j.plan
}

func (j *judging) orphan(o Orphan) { j.plan.Orphans = append(j.plan.Orphans, o) }

// copies returns the snapshots that records name as the rules see them; the others of ours become
// orphans.
func (j *judging) copies() []retain.Copy {
	var copies []retain.Copy
	for i := range j.Snapshots {
		s := &j.Snapshots[i]
		uid := string(s.UID)
		j.live[uid] = s
		of, ok := j.byUID[uid]
		switch {
		case !ok:
			j.unrecorded(s)
		case s.DeletionTimestamp != nil:
			j.orphan(Orphan{Kind: OrphanDeleted, Name: s.Name, Why: "its finalizers: " + strings.Join(s.Finalizers, ", ")})
		default:
			copies = append(copies, j.copyOf(s, of))
		}
	}
	return copies
}

// copyOf is a snapshot as the rules see it.
func (j *judging) copyOf(s *snapshotv1.VolumeSnapshot, of *recorded) retain.Copy {
	c := retain.Copy{ID: string(s.UID), Of: fmt.Sprintf("%q in %q: %q", of.App, of.Environment, of.Snapshot.Claim), Taken: of.taken}
	ready := s.Status != nil && s.Status.ReadyToUse != nil && *s.Status.ReadyToUse
	content := j.contentOf(s)
	switch {
	case s.Status != nil && s.Status.Error != nil && !ready, content == nil, !of.Snapshot.Ready:
		c.Refuted = true
	case ready:
		c.Proved = true
	}
	var bound []string
	if held := holdsOf(s); len(held) > 0 {
		bound = append(bound, "on hold by "+told(held))
	}
	if s.Labels[release.LabelManagedBy] != release.ManagedBy {
		bound = append(bound, "somebody took our labels from it")
	}
	if why := j.Needed[c.ID]; why != "" {
		bound = append(bound, why)
	}
	for _, claim := range j.readers(s.Name) {
		bound = append(bound, "claim "+claim+" is being made from it")
	}
	if why := j.shared(s); why != "" {
		bound = append(bound, why)
	}
	if !of.of.ended {
		bound = append(bound, "its run may be at work")
	}
	c.Bound = strings.Join(bound, ", ")
	return c
}

// contentOf returns the content of a snapshot, nil where there is none.
func (j *judging) contentOf(s *snapshotv1.VolumeSnapshot) *snapshotv1.VolumeSnapshotContent {
	if s.Status == nil || s.Status.BoundVolumeSnapshotContentName == nil {
		return nil
	}
	return j.contents[*s.Status.BoundVolumeSnapshotContentName]
}

// readers are the claims that have no volume yet and get it from a snapshot.
func (j *judging) readers(snapshot string) []string {
	var names []string
	for i := range j.Claims {
		claim := &j.Claims[i]
		from := claim.Spec.DataSource
		ref := claim.Spec.DataSourceRef
		reads := from != nil && from.Kind == "VolumeSnapshot" && from.Name == snapshot ||
			ref != nil && ref.Kind == "VolumeSnapshot" && ref.Name == snapshot && (ref.Namespace == nil || *ref.Namespace == j.Namespace)
		if reads && claim.Status.Phase != corev1.ClaimBound {
			names = append(names, claim.Name)
		}
	}
	return names
}

// terms are the words for snapshots: what proves one is that the cluster can restore it.
func terms() retain.Terms {
	return retain.Terms{Proved: "good", Refuted: "it cannot be restored from"}
}

// fates lets the rules decide, and keeps what only a look at the whole of a release shows.
func (j *judging) fates(copies []retain.Copy) {
	zone := j.Zone
	if zone == nil {
		zone = time.UTC
	}
	j.wayBack(copies)
	for _, f := range j.Rules.Apply(copies, zone, terms()) {
		s, of := j.live[f.ID], j.byUID[f.ID]
		fate := Fate{Copy: of.Copy, Taken: of.taken, Keep: f.Keep, Why: f.Why, version: s.ResourceVersion}
		if content := j.contentOf(s); content != nil {
			fate.content, fate.contentUID = content.Name, string(content.UID)
			fate.Retained = content.Spec.DeletionPolicy == snapshotv1.VolumeSnapshotContentRetain
			fate.Stored = fate.Retained && j.Stored && !fate.Keep
		}
		fate.Snapshot.Ready = !f.Refuted
		j.plan.Fates = append(j.plan.Fates, fate)
	}
	j.onlyCopies()
}

// wayBack binds what is needed to go back behind deploys that did not succeed: of each claim the
// newest good copy of a release that was deployed, and the first good one after it, which holds
// what that release made of the data.
func (j *judging) wayBack(copies []retain.Copy) {
	slices.SortFunc(copies, func(a, b retain.Copy) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), b.Taken.Compare(a.Taken), cmp.Compare(b.ID, a.ID))
	})
	after, done := -1, ""
	for i := range copies {
		c := &copies[i]
		if i > 0 && copies[i-1].Of != c.Of {
			after = -1
		}
		if !c.Proved || done == c.Of {
			continue
		}
		if !j.byUID[c.ID].of.deployed {
			after = i
			continue
		}
		done = c.Of
		c.Bound = joined(c.Bound, "the newest of a release that was deployed")
		if after >= 0 {
			copies[after].Bound = joined(copies[after].Bound, "the first after the last release that was deployed")
		}
	}
}

func joined(words, more string) string {
	if words == "" {
		return more
	}
	return words + ", " + more
}

// onlyCopies keeps releases whole: where a copy of a run stays, the snapshots stay whose claim has
// no other copy that is proved.
func (j *judging) onlyCopies() {
	type place struct{ app, environment, run string }
	stays, proved := map[place]bool{}, map[place]map[string]bool{}
	for _, b := range j.Backups {
		at := place{b.App, b.Environment, b.Run}
		stays[at] = true
		if b.Verified != nil && b.Verified.Proved && b.Whole() {
			if proved[at] == nil {
				proved[at] = map[string]bool{}
			}
			proved[at][b.Volume] = true
		}
	}
	for _, f := range j.plan.Fates {
		if f.Keep {
			stays[place{f.App, f.Environment, f.Run}] = true
		}
	}
	for i := range j.plan.Fates {
		f := &j.plan.Fates[i]
		at := place{f.App, f.Environment, f.Run}
		if !f.Keep && f.Snapshot.Ready && stays[at] && !proved[at][f.Snapshot.Claim] {
			f.Keep, f.Stored, f.Why = true, false, "the only proved copy of its claim in a release of which others stay"
		}
	}
}
