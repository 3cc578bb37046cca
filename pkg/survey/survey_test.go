// SPDX-License-Identifier: Apache-2.0

package survey_test

import (
	"errors"
	"strings"
	"testing"

	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/survey"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// meta is of the namespace shop.
func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }

// volume is a claim, its volume of a driver, and a pod that runs an image on it.
func volume(name, driver, image string, annotations map[string]string) []runtime.Object {
	pod := &corev1.Pod{
		ObjectMeta: meta(name + "-0"),
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "main", Image: image}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
			}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}
	pod.Annotations = annotations
	persistent := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name}}
	if driver != "" {
		persistent.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver}
	}
	return []runtime.Object{pod, persistent, &corev1.PersistentVolumeClaim{
		ObjectMeta: meta(name), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv-" + name},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}}
}

func class(driver string) runtime.Object {
	return &snapshotv1.VolumeSnapshotClass{
		ObjectMeta:     metav1.ObjectMeta{Name: driver, Annotations: map[string]string{"snapshot.storage.kubernetes.io/is-default-class": "true"}},
		Driver:         driver,
		DeletionPolicy: snapshotv1.VolumeSnapshotContentRetain,
	}
}

// cluster has the APIs and the objects, and a namespace shop; it grants everything.
func cluster(t *testing.T, apis []string, objects ...runtime.Object) *fakecluster.Cluster {
	t.Helper()
	c := fakecluster.New(t, "shop", append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})...)
	for _, api := range apis {
		c.CoreFake.Resources = append(c.CoreFake.Resources, &metav1.APIResourceList{GroupVersion: api})
	}
	grant(c, func(*authorizationv1.ResourceAttributes) bool { return true })
	return c
}

func grant(c *fakecluster.Cluster, allowed func(*authorizationv1.ResourceAttributes) bool) {
	c.CoreFake.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = review.Spec.User == "system:serviceaccount:"+c.Namespace+":knowngood-release" && allowed(review.Spec.ResourceAttributes)
		return true, review, nil
	})
}

const (
	snapshots    = "snapshot.storage.k8s.io/v1"
	certificates = "cert-manager.io/v1"
)

func grants() []survey.Grant {
	set := &step.Set{}
	set.Needs("create,get", "snapshot.storage.k8s.io/volumesnapshots", "snapshot")
	set.Needs("create", "pods/exec", "quiesce")
	set.NeedsCluster("get", "persistentvolumes", "find the driver")
	return []survey.Grant{{Account: "knowngood-release", Needs: set.Spec.Needs, File: "rbac.yaml"}}
}

// said joins the remarks, each with its cure.
func said(s survey.Survey) string {
	var all []string
	for _, r := range s.Remarks {
		all = append(all, r.What+" -> "+r.Cure)
	}
	return strings.Join(all, "\n")
}

func TestAClusterThatHasEverythingIsRemarkedNothingOf(t *testing.T) {
	t.Parallel()
	objects := append(volume("db", "csi", "registry.example/postgres:17", map[string]string{"knowngood.dev/hold": "postgresql"}),
		class("csi"), &cmv1.Certificate{ObjectMeta: meta("web")})
	c := cluster(t, []string{snapshots, certificates, "tekton.dev/v1"}, objects...)
	want := survey.Survey{Tekton: true, Claims: []string{"db"}, Certificates: []string{"web"}}
	if diff := cmp.Diff(want, survey.Look(t.Context(), c.Cluster, grants(), true)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, fake := range []*clienttesting.Fake{&c.CoreFake.Fake, &c.SnapshotFake.Fake, &c.CertificateFake.Fake} {
		for _, action := range fake.Actions() {
			if verb := action.GetVerb(); verb != "get" && verb != "list" && action.GetResource().Resource != "subjectaccessreviews" {
				t.Errorf("looking does %s %s", verb, action.GetResource().Resource)
			}
		}
	}
}

func TestWhatIsMissingIsSaidWithItsCure(t *testing.T) {
	t.Parallel()
	both := []string{snapshots, certificates}
	stored := func(name, driver, image string, annotations map[string]string) []runtime.Object {
		return append(volume(name, driver, image, annotations), class("csi"))
	}
	for _, test := range []struct {
		name    string
		apis    []string
		objects []runtime.Object
		change  func(*fakecluster.Cluster)
		says    []string
		skips   string // the reasons for which steps are left out
	}{
		{"no snapshots and no cert-manager", nil, nil, nil, nil, "the cluster has no VolumeSnapshots, the cluster has no cert-manager"},
		{"no claims", both, nil, nil, nil, "the namespace has no claims, "},
		{"no Tekton", both, stored("db", "csi", "x", nil), nil, []string{"the cluster has no Tekton"}, ", "},
		{"no namespace", both, nil, func(c *fakecluster.Cluster) { c.Namespace = "absent" }, []string{"namespace absent does not exist yet", "kubectl create namespace absent"}, ", "},
		{
			"no class", both, volume("db", "csi", "x", nil), nil,
			[]string{"a snapshot would not begin: claim shop/db: driver csi has no default VolumeSnapshotClass", "create a VolumeSnapshotClass"},
			", ",
		},
		{"no driver", both, stored("db", "", "x", nil), nil, []string{"is not of a CSI driver", "knowngood.dev/snapshot=skip"}, ", "},
		{
			"a database that nobody holds", both, stored("db", "csi", "registry.example/postgres:17@sha256:00", nil), nil,
			[]string{"Pod db-0 seems to be PostgreSQL", "knowngood.dev/hold=postgresql"},
			", ",
		},
		{
			"a hook that makes no sense", both, stored("db", "csi", "x", map[string]string{"knowngood.dev/hold": "mysql"}), nil,
			[]string{`"mysql": the one recipe is postgresql`},
			", ",
		},
		{"permissions", both, stored("db", "csi", "x", nil), func(c *fakecluster.Cluster) {
			grant(c, func(a *authorizationv1.ResourceAttributes) bool {
				return a.Verb == "get" && (a.Namespace == "shop") == (a.Resource != "persistentvolumes")
			})
		}, []string{"ServiceAccount knowngood-release may not yet: create volumesnapshots, create pods/exec", "kubectl apply -f rbac.yaml"}, ", "},
		{"nobody may ask", both, stored("db", "csi", "x", nil), func(c *fakecluster.Cluster) {
			c.CoreFake.PrependReactor("create", "subjectaccessreviews", refuse)
		}, []string{"whether the accounts of a release may do what it needs is not known: create subjectaccessreviews: forbidden"}, ", "},
		{"nobody may look", both, nil, func(c *fakecluster.Cluster) {
			c.CoreFake.PrependReactor("list", "*", refuse)
			c.CertificateFake.PrependReactor("list", "*", refuse)
		}, []string{"what a snapshot would take is not known: list pods in namespace shop: forbidden", "which certificates there are is not known"}, ", "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, test.apis, test.objects...)
			if test.change != nil {
				test.change(c)
			}
			got := survey.Look(t.Context(), c.Cluster, grants(), strings.Contains(test.name, "Tekton"))
			for _, says := range test.says {
				if !strings.Contains(said(got), says) {
					t.Errorf("it does not say %q:\n%s", says, said(got))
				}
			}
			if skips := got.NoSnapshots + ", " + got.NoCertificates; skips != test.skips {
				t.Errorf("left out for %q, want %q", skips, test.skips)
			}
			if len(test.says) == 0 && len(got.Remarks) > 0 {
				t.Errorf("it says %s", said(got))
			}
		})
	}
}

func refuse(action clienttesting.Action) (bool, runtime.Object, error) {
	return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: action.GetResource().Resource}, "", errors.New("no"))
}
