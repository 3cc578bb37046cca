// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/release"
)

// AnnotationBackupLabel holds PostgreSQL's backup_label of a snapshot cut in backup mode. It
// is needed only to replay archived WAL on top of the snapshot.
const AnnotationBackupLabel = "knowngood.dev/postgresql-backup-label"

// clockTolerance is how far the storage's clock may be from the API server's. Both are kept
// by NTP wherever certificates and leases work.
const clockTolerance = 2 * time.Second

// conclude decides, now that all is over, what each snapshot is worth, and writes it on the
// VolumeSnapshot.
func (t *taking) conclude(ctx context.Context, sessions []*session) {
	if len(sessions) == 0 {
		return
	}
	sort.Slice(t.hooked, func(i, j int) bool { return t.hooked[i].Pod < t.hooked[j].Pod })
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	offset, within, err := t.cluster.Skew(asking)
	if err != nil {
		t.note("the API server's clock could not be compared with ours: %v", err)
	}
	clock := clocks{offset: offset, within: within + clockTolerance}
	for _, target := range t.targets {
		holding := slices.DeleteFunc(slices.Clone(sessions), func(s *session) bool { return !slices.Contains(s.hook.claims, target) })
		if !target.record.Ready || len(holding) == 0 || target.record.Reused {
			continue
		}
		doubts := t.doubts(target, holding, clock)
		if len(doubts) == 0 {
			target.record.Consistency = release.ConsistencyApplication
		} else {
			t.note("claim %s is not proved to be consistent for its application: %s", target.claim.Name, strings.Join(doubts, "; "))
		}
		t.annotate(asking, target, holding)
	}
}

// doubts returns why the hooks do not prove that the snapshot is of a quiesced application.
func (t *taking) doubts(target *target, holding []*session, clock clocks) []string {
	var doubts []string
	for _, pod := range t.unhooked[target.claim.Name] {
		doubts = append(doubts, fmt.Sprintf("pod %s mounts it and has no hook", pod))
	}
	for _, s := range holding {
		for _, doubt := range s.doubts {
			doubts = append(doubts, fmt.Sprintf("pod %s: %s", s.hook.pod.Name, doubt))
		}
		if !s.quiet {
			doubts = append(doubts, fmt.Sprintf("pod %s was not quiesced", s.hook.pod.Name))
		}
		if why := proves(target, s.record, clock); why != "" {
			doubts = append(doubts, fmt.Sprintf("pod %s: %s", s.hook.pod.Name, why))
		}
	}
	return doubts
}

// clocks says how the storage's clock relates to ours: what it shows, less offset, is our
// time, give or take within.
type clocks struct{ offset, within time.Duration }

// proves returns "" when the hook held while the snapshot was cut, by cause and by clock.
func proves(target *target, hook release.Hook, clock clocks) string {
	quiesced, thawed := hook.Quiesce.Ended, hook.Thaw.Began
	switch {
	case target.createdAt.Before(quiesced):
		return "the VolumeSnapshot was there before it was quiesced"
	case target.cutSeen.IsZero() || target.record.Cut.IsZero():
		return "the storage does not tell when it cut the snapshot"
	case target.cutSeen.After(thawed):
		return "it was thawed before the storage was seen to have cut the snapshot"
	}
	earliest, latest := target.record.Cut, target.record.Cut
	if latest.Nanosecond() == 0 {
		latest = latest.Add(time.Second) // a clock that tells whole seconds
	}
	earliest, latest = earliest.Add(-clock.offset-clock.within), latest.Add(-clock.offset+clock.within)
	if latest.Before(quiesced) || earliest.After(thawed) {
		return fmt.Sprintf("the storage says that it cut at %s, and by the clock of the API server (%s ahead of ours) it was quiesced from %s to %s",
			target.record.Cut.Format(time.RFC3339Nano), clock.offset.Round(time.Millisecond),
			quiesced.Add(clock.offset).UTC().Format(time.RFC3339Nano), thawed.Add(clock.offset).UTC().Format(time.RFC3339Nano))
	}
	return ""
}

// annotate writes what was proved on the VolumeSnapshot. Failing that it goes on saying
// "unproven", which is less than the record says and never more.
func (t *taking) annotate(ctx context.Context, target *target, holding []*session) {
	annotations := map[string]string{release.AnnotationConsistency: string(target.record.Consistency)}
	for _, s := range holding {
		if s.label != "" && len(holding) == 1 {
			annotations[AnnotationBackupLabel] = s.label
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err == nil {
		_, err = t.snapshots().Patch(ctx, target.record.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.note("VolumeSnapshot %s still says that it is unproven: %v", target.record.Name,
			t.cluster.Explain(ctx, t.call("patch", volumeSnapshots, target.record.Name), err))
	}
}
