// SPDX-License-Identifier: Apache-2.0

package retire

import (
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// unrecorded tells of a snapshot that no record names by its uid, where it looks like ours.
func (j *judging) unrecorded(s *snapshotv1.VolumeSnapshot) {
	if s.Labels[release.LabelManagedBy] != release.ManagedBy || s.Annotations[release.AnnotationApp] != j.App {
		return
	}
	if j.Environment != "" && s.Annotations[release.AnnotationEnvironment] != j.Environment {
		return
	}
	about := release.Subject{
		App: j.App, Environment: s.Annotations[release.AnnotationEnvironment], Run: s.Annotations[release.AnnotationRun],
		Commit: release.Commit(s.Annotations[release.AnnotationCommit]),
	}
	o := Orphan{Subject: about, Kind: OrphanSnapshot, Name: s.Name, uid: string(s.UID), version: s.ResourceVersion}
	switch other := foreign(s); {
	case other != "":
		o.Kind, o.Why = OrphanForeign, other
	case j.names[s.Namespace+"/"+s.Name]:
		o.Kind, o.Why = OrphanOther, "its uid is another: it was made anew, or brought from another cluster"
	case s.DeletionTimestamp != nil:
		o.Kind, o.Why = OrphanDeleted, "its finalizers: "+strings.Join(s.Finalizers, ", ")
	case len(holdsOf(s)) > 0:
		o.Why = "on hold by " + told(holdsOf(s))
	case j.Needed[o.uid] != "":
		o.Why = j.Needed[o.uid]
	case len(j.readers(s.Name)) > 0:
		o.Why = "claim " + j.readers(s.Name)[0] + " is being made from it"
	case j.shared(s) != "":
		o.Why = j.shared(s)
	case j.Now.Sub(s.CreationTimestamp.Time) < settled:
		o.Why = "less than a day old: its run may be at work"
	case !j.some:
		o.Why = "the catalog has no record at all of the application: it may be another one"
	case !j.Orphans:
		o.Why = "run " + kube.OneLine(s.Annotations[release.AnnotationRun]) + "; goes with --orphans"
	default:
		o.Goes, o.Why = true, "run "+kube.OneLine(s.Annotations[release.AnnotationRun])
	}
	j.orphan(o)
}

// foreign says by what a snapshot shows that another program made it, or made it its own.
func foreign(s *snapshotv1.VolumeSnapshot) string {
	if len(s.OwnerReferences) > 0 {
		return "owned by " + kube.OneLine(s.OwnerReferences[0].Kind+" "+s.OwnerReferences[0].Name)
	}
	ours := []string{
		release.LabelManagedBy, release.LabelApp, release.LabelCommit, release.LabelEnvironment, release.LabelRun, release.LabelClaim,
	}
	for label := range s.Labels {
		if !slices.Contains(ours, label) {
			return "it bears the label " + kube.OneLine(label)
		}
	}
	return ""
}

// orphanedContents tells of contents whose snapshots records name and which are gone. Those go
// where a prune had given the snapshot up, and that is told.
func (j *judging) orphanedContents() {
	for i := range j.Contents {
		c := &j.Contents[i]
		ref := c.Spec.VolumeSnapshotRef
		of := j.byUID[string(ref.UID)]
		if of == nil || ref.Namespace != j.Namespace || j.live[string(ref.UID)] != nil || j.bound(c.Name) {
			continue
		}
		o := Orphan{Kind: OrphanContent, Name: c.Name, uid: string(c.UID), version: c.ResourceVersion}
		switch {
		case c.DeletionTimestamp != nil:
			o.Why = "it is being deleted"
		case j.twin(c) != "":
			o.Why = "content " + j.twin(c) + " has the same snapshot of the storage"
		case !j.pruned[of.key()]:
			o.Why = "snapshot " + of.Snapshot.Name + " was deleted, and not by a prune"
		case !j.Stored:
			o.Why = "its class keeps what the storage has of " + of.Snapshot.Name + "; goes with --retained-contents"
		default:
			o.Goes, o.Why = true, "with what the storage has of "+of.Snapshot.Name
		}
		j.orphan(o)
	}
}

// bound tells whether a snapshot that is there has the content.
func (j *judging) bound(content string) bool {
	for _, s := range j.live {
		source := s.Spec.Source.VolumeSnapshotContentName
		if source != nil && *source == content || j.contentOf(s) != nil && j.contentOf(s).Name == content {
			return true
		}
	}
	return false
}

// missing tells of snapshots that were good and are not there any more.
func (j *judging) missing() {
	for uid, of := range j.byUID {
		switch {
		case j.live[uid] != nil, !of.Snapshot.Ready, j.pruned[of.key()], j.missed[of.key()]:
		case !of.placed:
			j.orphan(Orphan{Kind: OrphanUnknown, Name: of.Snapshot.Name, Why: "run " + kube.OneLine(of.Run)})
		default:
			j.plan.Gone = append(j.plan.Gone, of.Copy)
		}
	}
}
