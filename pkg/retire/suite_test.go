// SPDX-License-Identifier: Apache-2.0

package retire_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retain"
	"github.com/knowngood/knowngood/pkg/retire"
	"github.com/knowngood/knowngood/test/realcluster"
)

const commit = release.Commit("0123456789abcdef0123456789abcdef01234567")

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A stage is a cluster, the fake or the real one, and the records of what was done there.
type stage struct {
	*kube.Cluster
	fake *fakeStorage
	real *realcluster.Cluster
	// class is the VolumeSnapshotClass on the real cluster.
	class string

	mu      sync.Mutex
	records []release.Record
}

// release takes a snapshot of each claim for a run that is then deployed.
func (s *stage) release(t *testing.T, run string, retain bool, claims ...string) {
	t.Helper()
	about := release.Subject{App: "shop", Environment: "test", Run: run, Commit: commit}
	cluster, err := s.UID(t.Context())
	fatal(t, err)
	p := &release.Protection{Cluster: cluster}
	if s.real != nil {
		p.Snapshots = s.cutOnReal(t, about, claims)
	} else {
		for _, claim := range claims {
			p.Snapshots = append(p.Snapshots, s.fake.cut(t, about, claim, retain))
		}
		time.Sleep(time.Hour)
	}
	s.records = append(s.records, release.Record{Subject: about, Entries: []release.Entry{
		{Subject: about, Step: "snapshot", State: release.Done, Ended: time.Now(), Protection: p},
		{Subject: about, Step: "deploy-finish", State: release.Done, Ended: time.Now()},
	}})
}

// request keeps the last copy, and notes as a prune does.
func (s *stage) request(change ...func(*retire.Request)) retire.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := retire.Request{
		App: "shop", Rules: retain.Rules{Last: 1}, Records: slices.Clone(s.records), Wait: 2 * time.Minute, Timeout: time.Minute,
		Uses: func(context.Context) (map[string]string, error) { return nil, nil },
	}
	q.Before = func(_ context.Context, p retire.Plan) error { s.note(p); return nil }
	for _, c := range change {
		c(&q)
	}
	return q
}

func (s *stage) note(p retire.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range p.Given() {
		at := slices.IndexFunc(s.records, func(r release.Record) bool { return r.Run == f.Run })
		s.records[at].Entries = append(s.records[at].Entries, release.Entry{
			Subject: f.Subject, Step: "prune", Ended: time.Now(), Pruned: &release.Pruned{Snapshots: []string{f.Name()}},
		})
	}
}

// there are the runs of which there is a snapshot.
func (s *stage) there(t *testing.T) string {
	t.Helper()
	list, err := s.Snapshots.SnapshotV1().VolumeSnapshots(s.Namespace).List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	var runs []string
	for i := range list.Items {
		runs = append(runs, list.Items[i].Annotations[release.AnnotationRun])
	}
	slices.Sort(runs)
	return strings.Join(slices.Compact(runs), " ")
}

// kept are the contents of snapshots of the namespace.
func (s *stage) kept(t *testing.T) int {
	t.Helper()
	list, err := s.Snapshots.SnapshotV1().VolumeSnapshotContents().List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	n := 0
	for i := range list.Items {
		if list.Items[i].Spec.VolumeSnapshotRef.Namespace == s.Namespace {
			n++
		}
	}
	return n
}

func (s *stage) expect(t *testing.T, runs string) {
	t.Helper()
	if got := s.there(t); got != runs {
		t.Fatalf("there are snapshots of runs %q, want %q", got, runs)
	}
}

// suite runs in the fake cluster and on the real one.
var suite = map[string]func(t *testing.T, s *stage){
	"what no rule keeps goes": func(t *testing.T, s *stage) {
		t.Helper()
		for _, run := range []string{"r1", "r2", "r3"} {
			s.release(t, run, false, "data")
		}
		shown, err := retire.Look(t.Context(), s.Cluster, s.request())
		fatal(t, err)
		s.expect(t, "r1 r2 r3")
		if _, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) { q.Plan = "000000000000" })); !errors.Is(err, retire.ErrPlan) || fault.StatusOf(err) != fault.Usage {
			t.Fatalf("error %v, want that of another plan", err)
		}
		s.expect(t, "r1 r2 r3")
		did, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) { q.Plan = shown.Digest }))
		fatal(t, err)
		if !did.Done || len(did.Deleted) != 2 {
			t.Errorf("%d were given up, done %v; want two", len(did.Deleted), did.Done)
		}
		s.expect(t, "r3")
		if n := s.kept(t); n != 1 {
			t.Errorf("%d contents are left, want one", n)
		}
		again, err := retire.Retire(t.Context(), s.Cluster, s.request())
		fatal(t, err)
		if len(again.Deleted)+len(again.Plan.Gone)+len(again.Plan.Orphans) != 0 {
			t.Errorf("a second prune finds %+v", again)
		}
	},
	"a hold in between": func(t *testing.T, s *stage) {
		t.Helper()
		s.release(t, "r1", false, "data")
		s.release(t, "r2", false, "data")
		about := release.Subject{App: "shop", Run: "r1"}
		_, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) {
			q.Before = func(ctx context.Context, _ retire.Plan) error {
				_, err := retire.Hold(ctx, s.Cluster, about, release.Hold{Owner: "eve", Reason: "audit"})
				return err
			}
		}))
		if !errors.Is(err, retire.ErrPlan) {
			t.Fatalf("error %v, want a plan that has changed", err)
		}
		s.expect(t, "r1 r2")
		_, err = retire.Hold(t.Context(), s.Cluster, about, release.Hold{Owner: "bob", Reason: "law"})
		fatal(t, err)
		plan, err := retire.Look(t.Context(), s.Cluster, s.request())
		fatal(t, err)
		if at := slices.IndexFunc(plan.Fates, func(f retire.Fate) bool { return f.Run == "r1" }); plan.Fates[at].Why != "on hold by eve: audit; bob: law" {
			t.Errorf("r1 stays for %q", plan.Fates[at].Why)
		}
		for _, reason := range []string{"audit", ""} {
			plan, err := retire.Look(t.Context(), s.Cluster, s.request())
			fatal(t, err)
			if len(plan.Given()) != 0 {
				t.Errorf("before %q ends, %+v would go", reason, plan.Given())
			}
			_, err = retire.Unhold(t.Context(), s.Cluster, about, reason)
			fatal(t, err)
		}
		_, err = retire.Retire(t.Context(), s.Cluster, s.request())
		fatal(t, err)
		s.expect(t, "r2")
	},
	"what a class keeps": func(t *testing.T, s *stage) {
		t.Helper()
		s.release(t, "r1", true, "data")
		s.release(t, "r2", true, "data")
		s.release(t, "r3", true, "data")
		_, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) { q.Rules.Last = 2 }))
		fatal(t, err)
		s.expect(t, "r2 r3")
		if n := s.kept(t); n != 3 {
			t.Fatalf("%d contents are left, want all three", n)
		}
		plan, err := retire.Look(t.Context(), s.Cluster, s.request())
		fatal(t, err)
		if len(plan.Orphans) != 1 || plan.Orphans[0].Kind != retire.OrphanContent || plan.Orphans[0].Goes {
			t.Errorf("orphans %+v, want the content, told", plan.Orphans)
		}
		_, err = retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) { q.Stored = true }))
		fatal(t, err)
		s.expect(t, "r3")
		if n := s.kept(t); n != 1 {
			t.Errorf("%d contents are left, want one", n)
		}
	},
	"two at once": func(t *testing.T, s *stage) {
		t.Helper()
		for _, run := range []string{"r1", "r2", "r3"} {
			s.release(t, run, false, "data")
		}
		var both sync.WaitGroup
		var mu sync.Mutex
		working, deleted := 0, 0
		for range 2 {
			both.Go(func() {
				did, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) {
					note := q.Before
					q.Before = func(ctx context.Context, p retire.Plan) error {
						mu.Lock()
						if working++; working > 1 {
							t.Error("two prunes are at work")
						}
						mu.Unlock()
						time.Sleep(time.Second)
						mu.Lock()
						working--
						mu.Unlock()
						return note(ctx, p)
					}
				}))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				deleted += len(did.Deleted)
				mu.Unlock()
			})
		}
		both.Wait()
		s.expect(t, "r3")
		if deleted != 2 {
			t.Errorf("%d snapshots were given up, want each of two once", deleted)
		}
	},
}

func TestInFakeCluster(t *testing.T) {
	t.Parallel()
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, test)
		})
	}
}

func TestOnRealCluster(t *testing.T) {
	t.Parallel()
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, onReal(t, name == "what a class keeps"))
		})
	}
}
