// SPDX-License-Identifier: Apache-2.0

package rotate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/pkg/rotate"
	"github.com/knowngood/knowngood/test/peer"
	"github.com/knowngood/knowngood/test/realcluster"
)

// real is a namespace of the real cluster with an issuer.
type real struct{ *realcluster.Cluster }

func newReal(t *testing.T, servers ...realcluster.Server) *real {
	t.Helper()
	t.Parallel()
	r := &real{realcluster.New(t, "rotate")}
	r.Authority(t)
	r.Serve(t, servers...)
	return r
}

var (
	web = realcluster.Server{
		Kind: "Deployment", Name: "web", Replicas: 2,
		Annotations: map[string]string{rollout.AnnotationTLSPort: "8443"},
	}
	database = realcluster.Server{
		Kind: "StatefulSet", Name: "db", Replicas: 1, Database: true,
		Annotations: map[string]string{rollout.AnnotationTLSPort: "5432/postgresql", rollout.AnnotationReload: `["/opt/db/reload"]`},
	}
)

func asked(change func(*rotate.Request)) rotate.Request {
	request := rotate.Request{When: cert.Auto, Timeout: 3 * time.Minute}
	if change != nil {
		change(&request)
	}
	return request
}

func only(app string) func(*rotate.Request) {
	return func(r *rotate.Request) { r.Selector = "app=" + app }
}

func (r *real) prepare(t *testing.T, change func(*rotate.Request)) *release.TLS {
	t.Helper()
	left, err := rotate.Prepare(t.Context(), r.Cluster.Cluster, asked(change))
	if err != nil {
		t.Fatal(err)
	}
	return &left
}

// prove proves and returns what was left in short, without the authority, which is passed over.
func (r *real) prove(t *testing.T, change func(*rotate.Request)) (string, error) {
	t.Helper()
	left, err := rotate.Prove(t.Context(), r.Cluster.Cluster, asked(change))
	return told(left), err
}

// pods returns the pods of an app that live, as "name uid restarts", a line each.
func (r *real) pods(t *testing.T, app string) string {
	t.Helper()
	list, err := r.Core.CoreV1().Pods(r.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && len(pod.Status.ContainerStatuses) > 0 {
			lines = append(lines, fmt.Sprintf("%s %s %d", pod.Name, pod.UID, pod.Status.ContainerStatuses[0].RestartCount))
		}
	}
	return strings.Join(lines, "\n")
}

// served asks a pod itself, past everything that Prove does, for the serial that it serves.
func (r *real) served(t *testing.T, app string, port int, protocol string) map[string]string {
	t.Helper()
	speaks, err := cert.ParseProtocol(protocol)
	if err != nil {
		t.Fatal(err)
	}
	serials := map[string]string{}
	for line := range strings.SplitSeq(r.pods(t, app), "\n") {
		pod, _, _ := strings.Cut(line, " ")
		conn, err := r.Streams.Dial(t.Context(), r.Namespace, pod, port)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := cert.Look(t.Context(), conn, speaks, app)
		if err != nil {
			t.Fatal(err)
		}
		serials[pod] = cert.Serial(seen.Leaf())
	}
	return serials
}

// A Deployment that reads its certificate once is restarted, PostgreSQL is told to reload and
// keeps running, and nothing is done to what serves the present certificate already.
func TestRealRotation(t *testing.T) {
	r := newReal(t, web, database)
	before := r.pods(t, "db")
	prepared := r.prepare(t, nil)
	for _, rotation := range prepared.Rotations {
		if !rotation.Renewed || rotation.Before.Serial == rotation.After.Serial {
			t.Errorf("Prepare() left %+v", rotation)
		}
	}
	began := time.Now()
	got, err := r.prove(t, func(q *rotate.Request) { q.Prepared = prepared })
	t.Logf("proved after %s", time.Since(began).Round(100*time.Millisecond))
	want := "db renewed=true StatefulSet/db:reload proved 1 of 1\nweb renewed=true Deployment/web:restart proved 2 of 2"
	if err != nil || got != want {
		t.Fatalf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
	if after := r.pods(t, "db"); after != before {
		t.Errorf("the database was restarted: %s, then %s", before, after)
	}
	for _, rotation := range prepared.Rotations {
		port, protocol := 8443, "tls"
		if rotation.Name == "db" {
			port, protocol = 5432, "postgresql"
		}
		for pod, serial := range r.served(t, rotation.Name, port, protocol) {
			if serial != rotation.After.Serial {
				t.Errorf("pod %s serves %s, want %s", pod, serial, rotation.After.Serial)
			}
		}
	}
	running := r.pods(t, "web")
	got, err = r.prove(t, func(q *rotate.Request) { q.Prepared = prepared })
	want = "db renewed=true StatefulSet/db:none proved 1 of 1\nweb renewed=true Deployment/web:none proved 2 of 2"
	if err != nil || got != want || r.pods(t, "web") != running {
		t.Errorf("the second Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
}

// What a restart would interrupt is refused before anything is touched, also what stands beside
// it, and is done when told to.
func TestRealRefusals(t *testing.T) {
	alone, unprobed, abrupt, fine := web, web, web, web
	alone.Name, alone.Replicas = "alone", 1
	unprobed.Name, unprobed.Change = "unprobed", func(template *corev1.PodTemplateSpec) {
		template.Spec.Containers[0].ReadinessProbe = nil
	}
	abrupt.Name, abrupt.Strategy = "abrupt", &appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	fine.Name = "fine"
	r := newReal(t, alone, unprobed, abrupt, fine)
	prepared := r.prepare(t, nil)
	names := []string{"alone", "unprobed", "abrupt", "fine"}
	before := map[string]string{}
	for _, name := range names {
		before[name] = r.pods(t, name)
	}
	_, err := r.prove(t, func(q *rotate.Request) { q.Prepared = prepared })
	for _, text := range []string{
		"it has 1 replica", "container main has no readiness probe", "takes 2 of 2 pods away at once",
	} {
		if err == nil || !strings.Contains(err.Error(), text) || fault.StatusOf(err) != fault.Failed {
			t.Errorf("Prove() = %v with status %d, want a failure with %q", err, fault.StatusOf(err), text)
		}
	}
	for _, name := range names {
		if after := r.pods(t, name); after != before[name] {
			t.Errorf("%s was touched: %s, then %s", name, before[name], after)
		}
	}
	got, err := r.prove(t, func(q *rotate.Request) { q.Prepared, q.AllowDowntime = prepared, true })
	want := "abrupt renewed=true Deployment/abrupt:restart proved 2 of 2\nalone renewed=true Deployment/alone:restart proved 1 of 1\n" +
		"fine renewed=true Deployment/fine:restart proved 2 of 2\nunprobed renewed=true Deployment/unprobed:restart proved 2 of 2"
	if err != nil || got != want {
		t.Errorf("Prove() with --allow-downtime left\n%s, %v\nwant\n%s", got, err, want)
	}
}

// One pod of two that serves what nobody here has issued is found, and the proof names it.
func TestRealEveryReadyPodIsProved(t *testing.T) {
	t.Parallel()
	r := &real{realcluster.New(t, "rotate")}
	r.Authority(t)
	stranger(t, r, "stranger-tls", "db")
	odd := database
	odd.Replicas = 2
	odd.Change = func(template *corev1.PodTemplateSpec) {
		mode := int32(0o640)
		pod := &template.Spec
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "stranger", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: "stranger-tls", DefaultMode: &mode},
		}})
		pod.Containers[0].VolumeMounts = append(pod.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "stranger", MountPath: "/stranger"})
	}
	r.Serve(t, odd)
	out, err := r.Streams.Exec(t.Context(), kube.Command{Namespace: r.Namespace, Pod: "db-1", Container: "main", Args: []string{
		"sh", "-c",
		`psql -XAtqd postgres -c "alter system set ssl_cert_file='/stranger/tls.crt'" -c "alter system set ssl_key_file='/stranger/tls.key'" && /opt/db/reload`,
	}})
	if err != nil {
		t.Fatalf("%v: %s", err, out.Stderr)
	}
	left, err := rotate.Prove(t.Context(), r.Cluster.Cluster, asked(func(q *rotate.Request) { q.Selector, q.Timeout = "app=db", 20*time.Second }))
	if err == nil || fault.StatusOf(err) != fault.Failed || !strings.Contains(err.Error(), "db-1") || strings.Contains(err.Error(), "db-0") {
		t.Errorf("Prove() = %v, want a failure of db-1 alone", err)
	}
	for _, proof := range left.Rotations[0].Proofs {
		if proof.Proved != (proof.Pod == "db-0") {
			t.Errorf("proof %+v", proof)
		}
	}
}

// stranger stores a certificate of an authority that nobody here knows.
func stranger(t *testing.T, r *real, secret, name string) {
	t.Helper()
	authority := peer.NewAuthority(t, "stranger", time.Now)
	issued := authority.Issue(t, peer.Order{Names: []string{name}})
	_, err := r.Core.CoreV1().Secrets(r.Namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secret}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": peer.PEM(issued.Leaf), "tls.key": peer.KeyPEM(t, issued)},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// copied is a web server that serves a copy of its Secret instead, as a new pod does that finds
// the old content in the kubelet's cache.
func copied(name string) realcluster.Server {
	late := web
	late.Name = name
	late.Change = func(template *corev1.PodTemplateSpec) {
		pod := &template.Spec
		copy := *pod.Volumes[0].Secret
		copy.SecretName = name + "-copy"
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "copy", VolumeSource: corev1.VolumeSource{Secret: &copy}})
		pod.Containers[0].VolumeMounts = append(pod.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "copy", MountPath: "/copy"})
		pod.Containers[0].Args = append(pod.Containers[0].Args, "--tls=/copy")
	}
	return late
}

// copySecret makes the copy of an app's Secret what the Secret is now.
func (r *real) copySecret(ctx context.Context, name string) error {
	secrets := r.Core.CoreV1().Secrets(r.Namespace)
	source, err := secrets.Get(ctx, name+"-tls", metav1.GetOptions{})
	if err != nil {
		return err
	}
	target := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name + "-copy"}, Data: source.Data}
	if _, err = secrets.Update(ctx, target, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		_, err = secrets.Create(ctx, target, metav1.CreateOptions{})
	}
	return err
}

// A new pod that has read the old Secret is not proved: the workload is restarted again, and
// given up after three restarts, each of which leaves a whole rollout.
func TestRealNewPodsThatReadTheOldSecret(t *testing.T) {
	t.Parallel()
	r := &real{realcluster.New(t, "rotate")}
	r.Authority(t)
	for _, name := range []string{"late", "never"} {
		r.issued(t, name)
		if err := r.copySecret(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	r.Serve(t, copied("late"), copied("never"))
	r.prepare(t, nil)
	done := make(chan error, 1)
	go func() { done <- r.copyAfterRestart(t.Context(), "late") }()
	got, err := r.prove(t, only("late"))
	if want := "late renewed=false Deployment/late:restart proved 2 of 2"; err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(r.Log(), "new pods have read the old Secret"); n < 1 {
		t.Errorf("the log tells %d times of new pods that have read the old Secret, want 1 or more", n)
	}
	_, err = r.prove(t, only("never"))
	if err == nil || !strings.Contains(err.Error(), "Deployment never: new pods serve an older certificate after 3 restarts") || fault.StatusOf(err) != fault.Failed {
		t.Errorf("Prove() = %v", err)
	}
	if ready := strings.Count(r.pods(t, "never"), "\n") + 1; ready != 2 {
		t.Errorf("%d pods are left, want 2", ready)
	}
}

// issued makes an app's Certificate and waits for its Secret.
func (r *real) issued(t *testing.T, name string) {
	t.Helper()
	r.Certificate(t, name)
	spec := kube.WaitSpec{What: "secret of " + name, Timeout: time.Minute, Resource: "secrets", Namespace: r.Namespace, Name: name + "-tls"}
	if err := kube.Wait(t.Context(), r.Cluster.Cluster, spec, r.Core.CoreV1().Secrets(r.Namespace), kube.Named(func(s *corev1.Secret) (kube.Progress, error) {
		return kube.Progress{Done: s != nil && len(s.Data["tls.crt"]) > 0}, nil
	})); err != nil {
		t.Fatal(err)
	}
}

// copyAfterRestart brings the copy up to date once the app's first restart has rolled out.
func (r *real) copyAfterRestart(ctx context.Context, name string) error {
	spec := kube.WaitSpec{What: "restart of " + name, Timeout: 2 * time.Minute, Resource: "apps/deployments", Namespace: r.Namespace, Name: name}
	if err := kube.Wait(ctx, r.Cluster.Cluster, spec, r.Core.AppsV1().Deployments(r.Namespace), kube.Named(func(d *appsv1.Deployment) (kube.Progress, error) {
		return kube.Progress{Done: d != nil && d.Generation > 1 && d.Status.ObservedGeneration > 1 && d.Status.UpdatedReplicas == 2}, nil
	})); err != nil {
		return err
	}
	return r.copySecret(ctx, name)
}
