// SPDX-License-Identifier: Apache-2.0

// Package fakecluster is a Kubernetes in memory for tests: client-go's fake clientsets, which
// keep objects and serve watches, and an API server's habit of giving each new object a uid
// and a creation time. It has no controllers: a test that needs one reacts to what it sees.
package fakecluster

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	cmfake "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/fake"
	snapfake "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/fake"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corefake "k8s.io/client-go/kubernetes/fake"
	metafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/kube"
)

// A Cluster is a kube.Cluster and the fakes behind it, to which tests add reactors.
type Cluster struct {
	*kube.Cluster
	CoreFake        *corefake.Clientset
	SnapshotFake    *snapfake.Clientset
	CertificateFake *cmfake.Clientset
	MetadataFake    *metafake.FakeMetadataClient
}

// New makes a cluster that holds the objects, with namespace as its own.
func New(tb testing.TB, namespace string, objects ...runtime.Object) *Cluster {
	tb.Helper()
	scheme := metafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{
		CoreFake:        corefake.NewSimpleClientset(), // NewClientset reads the whole OpenAPI, 0.2 s each time
		SnapshotFake:    snapfake.NewSimpleClientset(), //nolint:staticcheck // this module has no NewClientset
		CertificateFake: cmfake.NewSimpleClientset(),
		MetadataFake:    metafake.NewSimpleMetadataClient(scheme),
	}
	var created atomic.Int64
	name := func(object runtime.Object) {
		access, err := meta.Accessor(object)
		if err != nil {
			return
		}
		if access.GetUID() == "" {
			access.SetUID(types.UID(fmt.Sprintf("uid-%d", created.Add(1))))
		}
		if stamp := access.GetCreationTimestamp(); stamp.IsZero() {
			access.SetCreationTimestamp(metav1.NewTime(time.Now()))
		}
	}
	trackers := []clienttesting.ObjectTracker{c.CoreFake.Tracker(), c.SnapshotFake.Tracker(), c.CertificateFake.Tracker()}
	for _, object := range objects {
		name(object)
		add(tb, trackers, object)
	}
	for _, fake := range []*clienttesting.Fake{&c.CoreFake.Fake, &c.SnapshotFake.Fake, &c.CertificateFake.Fake} {
		fake.PrependReactor("create", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if create, ok := action.(clienttesting.CreateAction); ok {
				name(create.GetObject())
			}
			return false, nil, nil
		})
	}
	c.Cluster = &kube.Cluster{
		Namespace: namespace, Host: "https://fake.example",
		Core: c.CoreFake, Snapshots: c.SnapshotFake, Certificates: c.CertificateFake, Metadata: c.MetadataFake,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	return c
}

// add keeps the object in the first tracker whose scheme knows its type.
func add(tb testing.TB, trackers []clienttesting.ObjectTracker, object runtime.Object) {
	tb.Helper()
	var last error
	for _, tracker := range trackers {
		if last = tracker.Add(object.DeepCopyObject()); last == nil {
			return
		}
	}
	tb.Fatalf("no fake keeps a %T: %v", object, last)
}
