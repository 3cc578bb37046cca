// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/snapshot"
)

// onCreate shows each VolumeSnapshot as it is created.
func onCreate(w *world, see func(*snapshotv1.VolumeSnapshot)) {
	w.fake.SnapshotFake.PrependReactor("create", "volumesnapshots", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if create, ok := action.(clienttesting.CreateAction); ok {
			see(create.GetObject().(*snapshotv1.VolumeSnapshot)) //nolint:forcetypeassert // it is what is created
		}
		return false, nil, nil
	})
}

func TestNoSnapshotController(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		database := newPostgreSQL()
		w.play(database, &commands{})
		w.fake.absent = true
		w.claim(t, "data", "loop")
		w.pod(t, "db-0", holding, []string{"data"})
		got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Timeout = 5 * time.Minute }))
		if !errors.Is(err, kube.ErrTimeout) || fault.StatusOf(err) != fault.Failed {
			t.Fatalf("error %v, want the deadline", err)
		}
		mentions(t, "error", err.Error(), "no boundVolumeSnapshotContentName after", "is snapshot-controller running?")
		mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "snapshot-controller")
		if !database.quiet() || got.FrozenSeconds > 61 || len(w.there(t)) != 0 {
			t.Errorf("frozen %v s, left %v; want the database thawed after a minute and nothing left", got.FrozenSeconds, w.there(t))
		}
	})
}

// The timeout is each volume's own, and what was asked for is what is kept.
func TestTheTimeoutIsHonoured(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Second, 77 * time.Second, 10 * time.Minute, 5 * time.Hour} {
		inFake(t, func(t *testing.T, w *world) {
			w.claim(t, "data", "loop")
			w.claim(t, "media", "loop")
			w.mount(t, "web", "data", "media")
			class := w.faulty(t, "never", map[string]string{"knowngood.test/ready-after": "never"})
			began := time.Now()
			_, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class; r.Timeout = timeout }))
			if took := time.Since(began).Round(time.Second); took != timeout || !errors.Is(err, kube.ErrTimeout) {
				t.Errorf("ended after %s, want %s: %v", took, timeout, err)
			}
		})
	}
}

func TestErrorsOfTheStorage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code  string
		heals int
		after time.Duration // when the wait is given up; 0: it succeeds
		is    error
	}{
		"quota":                    {code: "ResourceExhausted", after: 10 * time.Second},
		"not found":                {code: "NotFound", after: 10 * time.Second},
		"invalid":                  {code: "InvalidArgument", after: 10 * time.Second},
		"permission":               {code: "PermissionDenied", after: 10 * time.Second},
		"a quota that is freed":    {code: "ResourceExhausted", heals: 2},
		"internal":                 {code: "Internal", after: 60 * time.Second},
		"internal, and heals":      {code: "Internal", heals: 4},
		"unavailable for ever":     {code: "Unavailable", after: 10 * time.Minute, is: kube.ErrTimeout},
		"unavailable for a while":  {code: "Unavailable", heals: 7},
		"too slow, and then quick": {code: "DeadlineExceeded", heals: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				w.fake.heals = test.heals
				w.claim(t, "data", "loop")
				w.mount(t, "web", "data")
				class := w.faulty(t, "bad", map[string]string{"knowngood.test/fail": "bad luck", "knowngood.test/fail-code": test.code})
				began := time.Now()
				got, err := snapshot.Take(t.Context(), w.Cluster, w.request(func(r *snapshot.Request) { r.Class = class; r.Timeout = 10 * time.Minute }))
				if test.after == 0 {
					fatal(t, err)
					return
				}
				took := time.Since(began).Round(time.Second)
				if err == nil || fault.StatusOf(err) != fault.Failed || took != test.after || test.is != nil && !errors.Is(err, test.is) {
					t.Fatalf("error %v after %s, want one after %s", err, took, test.after)
				}
				mentions(t, "error", err.Error(), "code = "+test.code+" desc = bad luck", driver)
				if test.is != nil {
					mentions(t, "error", err.Error(), "event SnapshotCreationFailed")
				}
				if len(fault.Hints(err)) == 0 || len(got.Snapshots) != 1 || len(w.there(t)) != 0 {
					t.Errorf("hints %q, record %+v, left %v", fault.Hints(err), got.Snapshots, w.there(t))
				}
			})
		})
	}
}

func TestReadyIsNotEnough(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		strange func(*snapshotv1.VolumeSnapshotContent)
		want    string
	}{
		"bound to another": {func(c *snapshotv1.VolumeSnapshotContent) { c.Spec.VolumeSnapshotRef.UID = "another" }, "not bound both ways"},
		"bound elsewhere":  {func(c *snapshotv1.VolumeSnapshotContent) { c.Spec.VolumeSnapshotRef.Namespace = "other" }, "not bound both ways"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				w.fake.strange = test.strange
				w.claim(t, "data", "loop")
				w.mount(t, "web", "data")
				got, err := snapshot.Take(t.Context(), w.Cluster, w.request())
				if err == nil || got.Snapshots[0].Ready {
					t.Fatalf("error %v, record %+v; want it refused", err, got.Snapshots)
				}
				mentions(t, "error", err.Error(), test.want)
			})
		})
	}
}

func TestForbiddenNamesVerbAndResource(t *testing.T) {
	t.Parallel()
	for call, test := range map[string]struct{ verb, resource string }{
		"list pods in namespace shop":                                            {"list", "pods"},
		"list persistentvolumeclaims in namespace shop":                          {"list", "persistentvolumeclaims"},
		"list statefulsets.apps in namespace shop":                               {"list", "statefulsets"},
		"list jobs.batch in namespace shop":                                      {"list", "jobs"},
		"get persistentvolumes pvc-data":                                         {"get", "persistentvolumes"},
		"list volumesnapshotclasses.snapshot.storage.k8s.io":                     {"list", "volumesnapshotclasses"},
		"create volumesnapshots.snapshot.storage.k8s.io data-0123456789ab-shop-": {"create", "volumesnapshots"},
		"list volumesnapshots.snapshot.storage.k8s.io in namespace shop":         {"list", "volumesnapshots"},
		"watch volumesnapshots.snapshot.storage.k8s.io data-0123456789ab-shop-":  {"watch", "volumesnapshots"},
		"get volumesnapshotcontents.snapshot.storage.k8s.io snapcontent-":        {"get", "volumesnapshotcontents"},
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			inFake(t, func(t *testing.T, w *world) {
				w.claim(t, "data", "loop")
				w.mount(t, "web", "data")
				forbid(w, test.verb, test.resource)
				_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
				if !errors.Is(err, kube.ErrForbidden) || fault.StatusOf(err) != fault.Failed {
					t.Fatalf("error %v, want forbidden", err)
				}
				mentions(t, "error", err.Error(), call)
				mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), `verbs: ["`+test.verb+`"]`, `"`+test.resource+`"`)
			})
		})
	}
}

func forbid(w *world, verb, resource string) {
	refusal := apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no rule"))
	for _, fake := range []*clienttesting.Fake{&w.fake.CoreFake.Fake, &w.fake.SnapshotFake.Fake} {
		if verb == "watch" {
			fake.PrependWatchReactor(resource, func(clienttesting.Action) (bool, watch.Interface, error) { return true, nil, refusal })
			continue
		}
		fake.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refusal })
	}
}

func TestNoSnapshotAPI(t *testing.T) {
	t.Parallel()
	inFake(t, func(t *testing.T, w *world) {
		w.claim(t, "data", "loop")
		w.mount(t, "web", "data")
		absent := apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{Resource: "volumesnapshotclasses"}, "", "404 page not found", 0, true)
		w.fake.SnapshotFake.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, absent })
		_, err := snapshot.Take(t.Context(), w.Cluster, w.request())
		if !errors.Is(err, kube.ErrNoAPI) {
			t.Fatalf("error %v, want that there is no such API", err)
		}
		mentions(t, "hint", strings.Join(fault.Hints(err), "\n"), "external-snapshotter")
	})
}
