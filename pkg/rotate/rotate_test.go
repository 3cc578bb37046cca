// SPDX-License-Identifier: Apache-2.0

package rotate_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/pkg/rotate"
	"github.com/knowngood/knowngood/test/certmanager"
	"github.com/knowngood/knowngood/test/fakecluster"
	"github.com/knowngood/knowngood/test/peer"
	"github.com/knowngood/knowngood/test/workloads"
)

// A world is a namespace with a cert-manager and workloads, all of them doubles.
type world struct {
	*workloads.Double
	issuer *certmanager.Double
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster := fakecluster.New(t, certmanager.Namespace)
	w := &world{Double: workloads.Start(t, cluster), issuer: certmanager.Start(t, time.Now)}
	w.issuer.Stored = w.Store
	cluster.Certificates = w.issuer.Client
	return w
}

// app issues a Certificate of the app's name and runs the app with its Secret.
func (w *world) app(app workloads.App) {
	w.issuer.Certificate(app.Name, []string{app.Name, app.Name + ".shop.svc"}, func(c *cmapi.Certificate) {
		c.Labels = map[string]string{"app": app.Name}
	})
	app.Secret = app.Name + "-tls"
	w.Run(app)
}

var (
	reloads   = map[string]string{rollout.AnnotationReload: "reload"}
	everyTime = rotate.Request{When: cert.Auto, Timeout: 20 * time.Second}
)

func (w *world) prepare(t *testing.T) *release.TLS {
	t.Helper()
	left, err := rotate.Prepare(t.Context(), w.Cluster.Cluster, everyTime)
	if err != nil {
		t.Fatal(err)
	}
	return &left
}

func (w *world) prove(t *testing.T, change func(*rotate.Request)) (release.TLS, error) {
	t.Helper()
	request := everyTime
	if change != nil {
		change(&request)
	}
	return rotate.Prove(t.Context(), w.Cluster.Cluster, request)
}

func (w *world) restarts() map[string]int {
	restarts, _, _ := w.Count()
	return restarts
}

// told writes rotations in short: name, actions, and the proofs.
func told(left release.TLS) string {
	var lines []string
	for _, r := range left.Rotations {
		line := fmt.Sprintf("%s renewed=%v", r.Name, r.Renewed)
		for _, w := range r.Workloads {
			line += fmt.Sprintf(" %s/%s:%s", w.Kind, w.Name, w.Action)
		}
		proved := 0
		for _, p := range r.Proofs {
			if p.Proved && p.Serial == r.After.Serial && !p.At.IsZero() && p.Error == "" {
				proved++
			}
		}
		lines = append(lines, fmt.Sprintf("%s proved %d of %d", line, proved, len(r.Proofs)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestJourney(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Deployment", Name: "web", Replicas: 2})
	w.app(workloads.App{
		Kind: "StatefulSet", Name: "db", Replicas: 1, Annotations: reloads,
		Ports: map[int]func(*tls.Config) func(net.Conn){5432: peer.PostgreSQL},
	})
	prepared := w.prepare(t)
	if got, want := told(*prepared), "db renewed=true proved 0 of 0\nweb renewed=true proved 0 of 0"; got != want {
		t.Errorf("Prepare() left\n%s\nwant\n%s", got, want)
	}
	left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := told(left), "db renewed=true StatefulSet/db:reload proved 1 of 1\nweb renewed=true Deployment/web:restart proved 2 of 2"; got != want {
		t.Errorf("Prove() left\n%s\nwant\n%s", got, want)
	}
	for i, r := range left.Rotations {
		if r.Before.Serial == "" || r.Before.Serial == r.After.Serial || r.After.Serial != prepared.Rotations[i].After.Serial {
			t.Errorf("%s: from serial %q to %q, prepared %q", r.Name, r.Before.Serial, r.After.Serial, prepared.Rotations[i].After.Serial)
		}
	}
	again, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	if got, want := told(again), "db renewed=true StatefulSet/db:none proved 1 of 1\nweb renewed=true Deployment/web:none proved 2 of 2"; err != nil || got != want {
		t.Errorf("the second Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
	if restarts := w.restarts(); restarts["web"] != 1 || restarts["db"] != 0 {
		t.Errorf("restarts %v, want one of web", restarts)
	}
}

func TestProveWithoutPrepare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Deployment", Name: "web", Replicas: 2})
	left, err := w.prove(t, nil)
	if got, want := told(left), "web renewed=false Deployment/web:none proved 2 of 2"; err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
	w.prepare(t)
	left, err = w.prove(t, nil) // in another process, and the record is lost
	if got, want := told(left), "web renewed=false Deployment/web:restart proved 2 of 2"; err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
}

func TestTheDeployPicksItUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.issuer.Certificate("web", []string{"web"}, nil)
	prepared := w.prepare(t)
	w.Run(workloads.App{Kind: "Deployment", Name: "web", Secret: "web-tls", Replicas: 2})
	left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	if got, want := told(left), "web renewed=true Deployment/web:none proved 2 of 2"; err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
}

func TestOneRestartForTwoCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.issuer.Certificate("web", []string{"web"}, nil)
	w.issuer.Certificate("admin", []string{"admin"}, nil)
	w.Run(workloads.App{
		Kind: "Deployment", Name: "web", Secret: "web-tls", Replicas: 2,
		Annotations: map[string]string{rollout.AnnotationTLSPort: "8443, 9443"},
		Ports: map[int]func(*tls.Config) func(net.Conn){8443: peer.Web, 9443: func(*tls.Config) func(net.Conn) {
			return peer.Web(&tls.Config{Certificates: []tls.Certificate{w.issuer.Served("admin-tls")}})
		}},
		Change: func(template *corev1.PodTemplateSpec) {
			template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "ADMIN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "admin-tls"}, Key: "tls.crt",
			}}}}
		},
	})
	prepared := w.prepare(t)
	left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	want := "admin renewed=true Deployment/web:restart proved 2 of 2\nweb renewed=true Deployment/web:restart proved 2 of 2"
	if got := told(left); err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
	if n := w.restarts()["web"]; n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}
}

func TestRefusalsTouchNothing(t *testing.T) {
	t.Parallel()
	unprobed := func(template *corev1.PodTemplateSpec) { template.Spec.Containers[0].ReadinessProbe = nil }
	for name, test := range map[string]struct {
		app     workloads.App
		text    string
		allowed bool // with --allow-downtime
	}{
		"one replica": {workloads.App{Kind: "Deployment", Replicas: 1}, "it has 1 replica", true},
		"no probe":    {workloads.App{Kind: "Deployment", Replicas: 2, Change: unprobed}, "no readiness probe", true},
		"bare pod":    {workloads.App{Kind: "Pod", Replicas: 1}, "delete it and create it anew", false},
		"operator's":  {workloads.App{Kind: "Rollout", Replicas: 1}, "does not know how a Rollout is restarted", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.app(workloads.App{Kind: "Deployment", Name: "fine", Replicas: 2})
			test.app.Name = "web"
			w.app(test.app)
			prepared := w.prepare(t)
			left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
			if err == nil || !strings.Contains(err.Error(), test.text) || fault.StatusOf(err) != fault.Failed {
				t.Errorf("Prove() = %v, want a failure with %q", err, test.text)
			}
			if n := len(w.restarts()); n != 0 {
				t.Errorf("%d workloads were restarted, want none", n)
			}
			if got := told(left); strings.Count(got, ":none proved 0 of") != 2 || !strings.Contains(got, "fine:none proved 0 of 2") {
				t.Errorf("Prove() left\n%s", got)
			}
			_, err = w.prove(t, func(r *rotate.Request) { r.Prepared, r.AllowDowntime = prepared, true })
			if (err == nil) != test.allowed {
				t.Errorf("Prove() with --allow-downtime = %v, want success: %v", err, test.allowed)
			}
		})
	}
}

func TestReloadWhereNoRestartIsPossible(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Pod", Name: "alone", Replicas: 1, Annotations: reloads})
	w.app(workloads.App{Kind: "Cluster", Name: "pg", Replicas: 1, Annotations: reloads})
	w.prepare(t)
	left, err := w.prove(t, nil)
	if got, want := told(left), "alone renewed=false Pod/alone-1:reload proved 1 of 1\npg renewed=false Cluster/pg:reload proved 1 of 1"; err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
}

func TestAFailedRolloutStopsTheRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Deployment", Name: "a", Replicas: 2})
	w.app(workloads.App{Kind: "Deployment", Name: "b", Replicas: 2, Mood: workloads.Sticks})
	w.app(workloads.App{Kind: "Deployment", Name: "c", Replicas: 2})
	prepared := w.prepare(t)
	left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	for _, text := range []string{"Deployment b: the rollout is stuck: ProgressDeadlineExceeded", "certificate c: Deployment c: pod c-"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Prove() = %v, want it to say %q", err, text)
		}
	}
	if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, "pods that still serve the old certificate") || !strings.Contains(hints, "rollout undo deployment/b") {
		t.Errorf("hints: %s", hints)
	}
	want := "a renewed=true Deployment/a:restart proved 2 of 2\nb renewed=true Deployment/b:restart proved 0 of 2\nc renewed=true Deployment/c:none proved 0 of 2"
	if got := told(left); got != want {
		t.Errorf("Prove() left\n%s\nwant\n%s", got, want)
	}
	for _, r := range left.Rotations {
		if (r.Error == "") != (r.Name == "a") {
			t.Errorf("%s: error %q", r.Name, r.Error)
		}
	}
}

func TestANewPodMayReadTheOldSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Deployment", Name: "web", Replicas: 2})
	w.app(workloads.App{Kind: "Deployment", Name: "never", Replicas: 2})
	prepared := w.prepare(t)
	w.Stale("web", 1)
	w.Stale("never", 100)
	_, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	if err == nil || !strings.Contains(err.Error(), "Deployment never: new pods serve an older certificate after 3 restarts") {
		t.Errorf("Prove() = %v", err)
	}
	if n := w.restarts()["never"]; n != 3 {
		t.Errorf("%d restarts of never, want 3", n)
	}
	left, err := rotate.Prove(t.Context(), w.Cluster.Cluster, rotate.Request{Selector: "app=web", Timeout: 20 * time.Second})
	if got, want := told(left), "web renewed=false Deployment/web:restart proved 2 of 2"; err != nil || got != want || w.restarts()["web"] != 2 {
		t.Errorf("Prove() left\n%s, %v, %d restarts\nwant\n%s, 2 restarts", got, err, w.restarts()["web"], want)
	}
}

func TestMissingIsFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Deployment", Name: "web", Replicas: 2})
	w.app(workloads.App{Kind: "Deployment", Name: "lost", Replicas: 2})
	w.app(workloads.App{Kind: "Deployment", Name: "dark", Replicas: 2})
	prepared := w.prepare(t)
	client := w.issuer.Client.CertmanagerV1()
	if err := client.Certificates("shop").Delete(t.Context(), "lost", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CertificateRequests("shop").Delete(t.Context(), "dark-2", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = prepared })
	for _, text := range []string{"certificate lost: rotate prepare has seen it", "certificate dark: not known"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Prove() = %v, want it to say %q", err, text)
		}
	}
	if got := told(left); !strings.Contains(got, "web renewed=true Deployment/web:restart proved 2 of 2") {
		t.Errorf("Prove() left\n%s", got)
	}
}

func TestPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.issuer.Certificate("idle", []string{"idle"}, nil)
	w.issuer.Certificate("authority", nil, func(c *cmapi.Certificate) { c.Spec.IsCA = true })
	w.app(workloads.App{Kind: "Deployment", Name: "asleep", Replicas: 0})
	left, err := w.prove(t, nil)
	want := "Certificate authority: it is an authority: whoever trusts it has to trust its successor first\n" +
		"Certificate idle: nobody in namespace shop uses its Secret idle-tls\n" +
		"Deployment asleep: uses Secret asleep-tls and has no pods"
	slices.Sort(left.Skipped)
	if got := strings.Join(left.Skipped, "\n"); err != nil || got != want {
		t.Errorf("Prove() skipped\n%s, %v\nwant\n%s", got, err, want)
	}
	empty := newWorld(t)
	if left, err := rotate.Prepare(t.Context(), empty.Cluster.Cluster, everyTime); err != nil || len(left.Skipped) != 1 {
		t.Errorf("Prepare() in a namespace without Certificates = %v, %v", left, err)
	}
}

func TestPrepareInPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.issuer.Certificate("web", []string{"web"}, nil)
	w.issuer.Certificate("bad", []string{"bad"}, nil)
	w.issuer.Mood("bad", certmanager.Fails)
	left, err := rotate.Prepare(t.Context(), w.Cluster.Cluster, everyTime)
	if fault.StatusOf(err) != fault.Partial || !errors.Is(err, cert.ErrCannotIssue) {
		t.Errorf("Prepare() = %v with status %d, want %d", err, fault.StatusOf(err), fault.Partial)
	}
	for _, r := range left.Rotations {
		if r.Renewed != (r.Name == "web") || (r.Error == "") != (r.Name == "web") {
			t.Errorf("Prepare() left %+v", r)
		}
	}
	w.issuer.Mood("web", certmanager.Fails)
	if _, err := rotate.Prepare(t.Context(), w.Cluster.Cluster, everyTime); fault.StatusOf(err) != fault.Failed {
		t.Errorf("Prepare() = %v with status %d, want %d", err, fault.StatusOf(err), fault.Failed)
	}
}
