// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/fakecluster"
)

const commit = release.Commit("0123456789abcdef0123456789abcdef01234567")

// TestWhatAJobHandsBackIsAboutWhatWasAsked changes one thing of a good answer at a time.
func TestWhatAJobHandsBackIsAboutWhatWasAsked(t *testing.T) {
	t.Parallel()
	q := Request{Subject: release.Subject{App: "shop", Environment: "test", Run: "1", Commit: commit}}
	s := release.Snapshot{Claim: "db"}
	good := release.Backup{ID: "0af1", App: "shop", Environment: "test", Run: "1", Commit: commit, Volume: "db"}
	if err := q.doubt(release.Copies{Backups: []release.Backup{good}}, s); err != nil {
		t.Error(err)
	}
	if err := q.doubt(release.Copies{}, s); err == nil {
		t.Error("no backup was taken for one")
	}
	for name, change := range map[string]func(*release.Backup){
		"another application": func(b *release.Backup) { b.App = "bank" },
		"another environment": func(b *release.Backup) { b.Environment = "" },
		"another run":         func(b *release.Backup) { b.Run = "2" },
		"another commit":      func(b *release.Backup) { b.Commit = "" },
		"another claim":       func(b *release.Backup) { b.Volume = "db-2" },
		"no id":               func(b *release.Backup) { b.ID = "" },
		"an id for a shell":   func(b *release.Backup) { b.ID = "$(rm -r /)" },
		"less than nothing":   func(b *release.Backup) { b.Unread = -1 },
	} {
		b := good
		change(&b)
		if err := q.doubt(release.Copies{Backups: []release.Backup{b}}, s); err == nil {
			t.Errorf("%s was believed", name)
		}
	}
}

// A Job that ends well and hands nothing back made no backup that anybody knows of.
func TestAJobThatHandsNothingBackSavedNothing(t *testing.T) {
	t.Parallel()
	c := fakecluster.New(t, "shop",
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv"}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}})
	(&fakecluster.Jobs{Program: func(context.Context, *corev1.Pod, *corev1.Container) (int32, string) {
		message, err := work.Encode(nil, nil)
		if err != nil {
			panic(err)
		}
		return 0, string(message)
	}}).Play(t, c)
	q := Request{
		Subject: release.Subject{App: "shop", Environment: "test", Run: "1", Commit: commit}, Image: "knowngood:1", Memory: "1Gi", Start: time.Minute, Deadline: time.Hour,
		Snapshots: []release.Snapshot{{Namespace: "shop", Claim: "db", Name: "db-cut", UID: "1", Ready: true, StorageClass: "fast", ClaimBytes: 1}},
	}
	copies, err := Save(t.Context(), c.Cluster, q)
	if fault.StatusOf(err) != fault.Failed || !strings.Contains(err.Error(), "handed no result back") || len(copies.Backups) != 0 {
		t.Errorf("%d backups, error %v", len(copies.Backups), err)
	}
}

func TestTheStatusOfManyIsThatOfTheWorst(t *testing.T) {
	t.Parallel()
	failed, usage := errors.New("x"), fault.Usagef("y")
	for _, test := range []struct {
		good int
		errs []error
		want fault.Status
	}{
		{2, []error{nil, nil}, fault.Done},
		{1, []error{nil, failed}, fault.Partial},
		{0, []error{failed, failed}, fault.Failed},
		{0, []error{failed, usage}, fault.Usage},
		{1, []error{fault.Exit(fault.Partial, failed)}, fault.Partial},
	} {
		if got := fault.StatusOf(outcome(t.Context(), test.good, test.errs)); got != test.want {
			t.Errorf("%d good, %v: status %d, want %d", test.good, test.errs, got, test.want)
		}
	}
}

func TestATemporaryClaimIsAsTheOneThatWasCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		s     release.Snapshot
		class string
		mode  corev1.PersistentVolumeAccessMode
		bytes int64
	}{
		{release.Snapshot{StorageClass: "fast", ClaimBytes: 5, RestoreBytes: 7, AccessModes: []string{"ReadWriteOnce"}}, "fast", "ReadWriteOnce", 7},
		{release.Snapshot{StorageClass: "fast", ClaimBytes: 9, RestoreBytes: 7, AccessModes: []string{"ReadWriteMany", "ReadOnlyMany"}}, "fast", "ReadWriteOnce", 9},
		{release.Snapshot{StorageClass: "fast", ClaimBytes: 9, AccessModes: []string{"ReadOnlyMany"}}, "fast", "ReadOnlyMany", 9},
	} {
		spec := Request{}.claim("x", test.s).Spec
		if *spec.StorageClassName != test.class || spec.AccessModes[0] != test.mode || spec.Resources.Requests.Storage().Value() != test.bytes {
			t.Errorf("of %+v: %+v", test.s, spec)
		}
	}
	if got := *(Request{Class: "slow"}).claim("x", release.Snapshot{StorageClass: "fast"}).Spec.StorageClassName; got != "slow" {
		t.Errorf("class %s", got)
	}
}

func TestTheJobGoesWhereTheApplicationGoes(t *testing.T) {
	t.Parallel()
	seconds := int64(300)
	own := corev1.Toleration{Key: "database", Operator: corev1.TolerationOpExists}
	pods := []corev1.Pod{
		{Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{own, {Key: "node.kubernetes.io/not-ready", TolerationSeconds: &seconds}}}},
		{Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{own}}},
	}
	if diff := cmp.Diff([]corev1.Toleration{own}, tolerations(pods)); diff != "" {
		t.Errorf("tolerations (-want +got):\n%s", diff)
	}
}
