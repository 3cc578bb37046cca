// SPDX-License-Identifier: Apache-2.0

package retire_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retire"
)

// A prune is killed after each of its requests in turn: none of them may leave a good copy lost,
// and the next prune finishes.
func TestKilledAfterAnyRequest(t *testing.T) {
	t.Parallel()
	for n, more := 0, true; more; n++ {
		inFake(t, func(t *testing.T, s *stage) {
			t.Helper()
			for _, run := range []string{"r1", "r2", "r3", "r4"} {
				s.release(t, run, run < "r3", "data", "logs")
			}
			s.fake.allow(n)
			_, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) {
				q.Stored = true
				note := q.Before
				q.Before = func(ctx context.Context, p retire.Plan) error {
					if s.fake.spent() {
						return errKilled
					}
					return note(ctx, p)
				}
			}))
			more = err != nil || s.fake.spent()
			s.fake.allow(-1)
			s.nothingIsLost(t, n)
			did, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) { q.Stored = true }))
			if err != nil {
				t.Fatalf("killed after %d requests, the next prune ends with %v", n, err)
			}
			if len(did.Plan.Gone) > 0 {
				t.Errorf("killed after %d requests, %v count as lost", n, did.Plan.Gone)
			}
			s.expect(t, "r4")
			if left := s.kept(t); left != 2 {
				t.Errorf("killed after %d requests, %d contents are left in the end, want two", n, left)
			}
		})
		if !more {
			t.Logf("killed after each of %d requests", n)
		}
		if n > 500 {
			t.Fatal("it has no end")
		}
	}
}

// nothingIsLost makes sure that the last copies are there, and that what is not was noted first.
func (s *stage) nothingIsLost(t *testing.T, n int) {
	t.Helper()
	plan, err := retire.Look(t.Context(), s.Cluster, s.request())
	fatal(t, err)
	if len(plan.Gone) > 0 {
		t.Errorf("killed after %d requests, %v are gone and nobody noted it", n, plan.Gone)
	}
	for _, claim := range []string{"data", "logs"} {
		if !slices.ContainsFunc(plan.Fates, func(f retire.Fate) bool { return f.Run == "r4" && f.Snapshot.Claim == claim && f.Keep }) {
			t.Errorf("killed after %d requests, the last copy of %s is lost", n, claim)
		}
	}
}

// What is not known is not free to go: a cluster that does not answer all that is asked gives
// nothing up.
func TestWhatIsNotKnownStays(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, s *stage) {
		t.Helper()
		s.release(t, "r1", false, "data")
		s.release(t, "r2", false, "data")
		unknown := errors.New("the volumes cannot be listed")
		_, err := retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) {
			q.Uses = func(context.Context) (map[string]string, error) { return nil, unknown }
		}))
		if !errors.Is(err, unknown) {
			t.Errorf("error %v", err)
		}
		s.expect(t, "r1 r2")
		calls := 0
		_, err = retire.Retire(t.Context(), s.Cluster, s.request(func(q *retire.Request) {
			q.Uses = func(context.Context) (map[string]string, error) {
				if calls++; calls == 1 {
					return nil, nil
				}
				return map[string]string{s.records[0].Entries[0].Protection.Snapshots[0].UID: "restore r is under way from it"}, nil
			}
		}))
		if !errors.Is(err, retire.ErrPlan) {
			t.Errorf("error %v, want that a restore has begun meanwhile", err)
		}
		s.expect(t, "r1 r2")
	})
}

// A hold is of the snapshots of one run of one application.
func TestHoldIsOfOneRun(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, s *stage) {
		t.Helper()
		s.release(t, "r1", false, "data", "logs")
		s.release(t, "r2", false, "data")
		names, err := retire.Hold(t.Context(), s.Cluster, release.Subject{App: "shop", Run: "r1"}, release.Hold{Owner: "eve"})
		fatal(t, err)
		if len(names) != 2 {
			t.Errorf("%v are held, want both of r1", names)
		}
		if names, err = retire.Hold(t.Context(), s.Cluster, release.Subject{App: "other", Run: "r1"}, release.Hold{Owner: "eve"}); err != nil || len(names) != 0 {
			t.Errorf("%v of another application are held, error %v", names, err)
		}
	})
}
