// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/test/fakecluster"
	"github.com/knowngood/knowngood/test/realcluster"
)

// twoClaims is a cluster with the mounted claims data and lost, where snapshots are ready as
// soon as they are created, and those of lost cannot be created.
func twoClaims(t *testing.T) *fakecluster.Cluster {
	t.Helper()
	none := int32(0)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &none}}
	objects := []runtime.Object{deployment, &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Annotations: map[string]string{"snapshot.storage.kubernetes.io/is-default-class": "true"}},
		Driver:     "csi.example", DeletionPolicy: snapshotv1.VolumeSnapshotContentRetain,
	}}
	for _, name := range []string{"data", "lost"} {
		deployment.Spec.Template.Spec.Volumes = append(deployment.Spec.Template.Spec.Volumes, corev1.Volume{
			Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}},
		})
		objects = append(objects, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name},
			Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example"},
			}},
		}, &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"name": name}},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-" + name},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		})
	}
	c := fakecluster.New(t, "shop", objects...)
	c.SnapshotFake.PrependReactor("create", "volumesnapshots", func(action clienttesting.Action) (bool, runtime.Object, error) {
		made := action.(clienttesting.CreateAction).GetObject().(*snapshotv1.VolumeSnapshot) //nolint:forcetypeassert // what is created
		if *made.Spec.Source.PersistentVolumeClaimName == "lost" {
			return true, nil, errors.New("disk on fire")
		}
		made.UID = "u"
		yes, content, now := true, "content", metav1.Now()
		made.Status = &snapshotv1.VolumeSnapshotStatus{BoundVolumeSnapshotContentName: &content, ReadyToUse: &yes, CreationTime: &now}
		back := corev1.ObjectReference{Namespace: "shop", Name: made.Name, UID: "u"}
		return false, nil, c.SnapshotFake.Tracker().Add(&snapshotv1.VolumeSnapshotContent{
			ObjectMeta: metav1.ObjectMeta{Name: content}, Spec: snapshotv1.VolumeSnapshotContentSpec{VolumeSnapshotRef: back},
			Status: &snapshotv1.VolumeSnapshotContentStatus{ReadyToUse: &yes},
		})
	})
	return c
}

func newSnapshot(connected *kube.Cluster, claims string) *Snapshot {
	s := &Snapshot{subject: theSubject()}
	s.subject.environment = "production"
	s.cluster.connected, s.cluster.timeout = connected, time.Minute
	s.snapping.claims = claims
	return s
}

func TestSnapshotLeavesWhatItDid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims string
		status fault.Status
		state  release.State
		output string
	}{
		"all good":  {"name=data", fault.Done, release.Done, "data-aaaaaaaaaaaa-shop-production-1-"},
		"some good": {"", fault.Partial, release.Partial, "data-aaaaaaaaaaaa-shop-production-1-"},
		"none good": {"name=lost", fault.Failed, release.Failed, ""},
		"no claim":  {"name=other", fault.Usage, release.Failed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, h := newRun(t)
			err := newSnapshot(twoClaims(t).Cluster, test.claims).Run(t.Context(), run)
			if fault.StatusOf(err) != test.status {
				t.Fatalf("error %v with status %d, want %d", err, fault.StatusOf(err), test.status)
			}
			entry, _ := h.result.(release.Entry)
			if entry.State != test.state || entry.Protection == nil || entry.Step != "snapshot" {
				t.Errorf("entry %+v, want state %s and a protection", entry, test.state)
			}
			if got := h.outputs["snapshots"]; !strings.HasPrefix(got, test.output) || (got == "") != (test.output == "") {
				t.Errorf("output snapshots = %q, want %q", got, test.output)
			}
			if got := h.outputs["frozen-seconds"]; got != "0.000" {
				t.Errorf("output frozen-seconds = %q", got)
			}
			if got := h.outputs["consistency"]; (got == "crash") != (test.output != "") {
				t.Errorf("output consistency = %q", got)
			}
		})
	}
}

func TestSnapshotBearsTheRiskOfTheGate(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t)
	gate := theSubject()
	gate.environment = "production"
	decided := func(_ context.Context, e *release.Entry) error {
		e.Decision = &release.Decision{Outcome: release.Warn, Risk: release.RiskMedium}
		return nil
	}
	if err := gate.record(t.Context(), run, "gate", decided); err != nil {
		t.Fatal(err)
	}
	c := twoClaims(t)
	if err := newSnapshot(c.Cluster, "name=data").Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	list, err := c.Snapshots.SnapshotV1().VolumeSnapshots("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Annotations[release.AnnotationRisk] != "medium" {
		t.Errorf("%+v, %v; want one snapshot with risk medium", list, err)
	}
}

func TestSnapshotWithoutAClusterLeavesAnEntry(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	config := filepath.Join(t.TempDir(), "kubeconfig")
	text := strings.ReplaceAll(`apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "ADDRESS"}}]
users: [{name: u, user: {token: t}}]
`, "ADDRESS", gone.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("HOME", t.TempDir())
	for name, test := range map[string]struct {
		kubeconfig string
		status     fault.Status
		says, cure string
	}{
		"none configured": {"", fault.Usage, "no cluster is configured", "--kubeconfig"},
		"does not answer": {config, fault.Failed, "cluster unreachable", "is the cluster up"},
	} {
		run, h := newRun(t)
		s := newSnapshot(nil, "")
		s.cluster.kubeconfig = test.kubeconfig
		err := s.Run(t.Context(), run)
		entry, _ := h.result.(release.Entry)
		if fault.StatusOf(err) != test.status || entry.State != release.Failed || !strings.Contains(entry.Error, test.says) || !strings.Contains(entry.Hint, test.cure) {
			t.Errorf("%s: error %v with status %d, entry %+v", name, err, fault.StatusOf(err), entry)
		}
	}
}

// rules turns declared needs into RBAC, without one verb of one resource.
func rules(needs []step.Need, cluster bool, resource, verb string) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, need := range needs {
		if need.Cluster != cluster {
			continue
		}
		verbs := slices.Clone(need.Verbs)
		if need.Resources[0] == resource {
			verbs = slices.DeleteFunc(verbs, func(v string) bool { return v == verb })
		}
		if len(verbs) > 0 {
			all = append(all, rbacv1.PolicyRule{APIGroups: []string{need.Group}, Resources: need.Resources, Verbs: verbs})
		}
	}
	return all
}

// spared are declared verbs without which a run that meets no trouble succeeds all the same.
var spared = map[string]string{
	"get volumesnapshots":    "asked only when another attempt of the run is at work",
	"delete volumesnapshots": "asked only after a failure",
	"patch volumesnapshots":  "without it the snapshot goes on saying unproven",
	"list events":            "asked only at the deadline",
	"list services":          "without it the manifests beside the data lack them, and a note says so",
	"get configmaps":         "as above, and asked only where a workload refers to one",
	"get pods/exec":          "asked by servers before 1.35",
	"create pods/exec":       "asked only where pods have hooks; tried by the tests of package kube",
}

// What the step declares is what it needs: with exactly that it works, and without any one
// verb it says which.
func TestSnapshotNeedsWhatItDeclares(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "snapshot")
	c.Apply(t, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: "%NAMESPACE%"}
spec: {accessModes: [ReadWriteOnce], storageClassName: loop, resources: {requests: {storage: 64Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: "%NAMESPACE%"}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: none.example/none:1}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`)
	c.Bound(t, "data")
	set := &step.Set{}
	(&Snapshot{}).Declare(set)
	try := func(t *testing.T, name, resource, verb string) error {
		t.Helper()
		run, _ := newRun(t)
		s := &Snapshot{subject: theSubject()}
		s.subject.run = name
		s.cluster.timeout = time.Minute
		s.cluster.kubeconfig = c.Account(t, name, rules(set.Spec.Needs, false, resource, verb), rules(set.Spec.Needs, true, resource, verb))
		return s.Run(t.Context(), run)
	}
	if err := try(t, "all", "", ""); err != nil {
		t.Fatalf("with all that is declared: %v\nhints: %q", err, fault.Hints(err))
	}
	for _, need := range set.Spec.Needs {
		for _, verb := range need.Verbs {
			resource := need.Resources[0]
			name := strings.ReplaceAll(verb+"-"+resource, "/", "-")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := try(t, name, resource, verb)
				if _, ok := spared[verb+" "+resource]; ok {
					if err != nil {
						t.Errorf("without it: %v", err)
					}
					return
				}
				said := ""
				if err != nil {
					said = err.Error() + strings.Join(fault.Hints(err), "\n")
				}
				if !errors.Is(err, kube.ErrForbidden) || !strings.Contains(said, verb+" "+resource) || !strings.Contains(said, `verbs: ["`+verb+`"]`) {
					t.Errorf("without it: %v\nhints: %q", err, fault.Hints(err))
				}
			})
		}
	}
}
