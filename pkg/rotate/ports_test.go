// SPDX-License-Identifier: Apache-2.0

package rotate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/pkg/rotate"
	"github.com/knowngood/knowngood/test/certmanager"
	"github.com/knowngood/knowngood/test/peer"
	"github.com/knowngood/knowngood/test/workloads"
)

type ports = map[int]func(*tls.Config) func(net.Conn)

// always answers the same, whatever certificate the pod has.
func always(handle func(net.Conn)) func(*tls.Config) func(net.Conn) {
	return func(*tls.Config) func(net.Conn) { return handle }
}

// Which ports count when nobody says, and when somebody does.
func TestPorts(t *testing.T) {
	t.Parallel()
	stranger := peer.NewAuthority(t, "stranger", time.Now).Issue(t, peer.Order{Names: []string{"somebody"}})
	foreign := always(peer.Web(&tls.Config{Certificates: []tls.Certificate{stranger}}))
	plain, hangsUp := always(peer.Says("HTTP/1.1 400 Bad Request\r\n\r\n")), always(func(net.Conn) {})
	// refused declares a port where nobody listens.
	refused := func(template *corev1.PodTemplateSpec) {
		template.Spec.Containers[0].Ports = append(template.Spec.Containers[0].Ports, corev1.ContainerPort{ContainerPort: 7777})
	}
	at := func(text string) map[string]string { return map[string]string{rollout.AnnotationTLSPort: text} }
	for name, test := range map[string]struct {
		app  workloads.App
		told string
		text string // of the error, "" for none
		hint string
	}{
		"others are left aside":      {workloads.App{Ports: ports{8080: plain, 8081: hangsUp, 8443: peer.Web, 9443: foreign}, Change: refused}, "restart proved 2 of 2", "", ""},
		"two that serve it":          {workloads.App{Ports: ports{8443: peer.Web, 9443: peer.Web}}, "restart proved 4 of 4", "", ""},
		"none serves it":             {workloads.App{Ports: ports{8080: plain, 9443: foreign}, Change: refused}, "none proved 0 of 0", "(7777: refused, 8080: no TLS, 9443: foreign certificate)", rollout.AnnotationTLSPort},
		"no port at all":             {workloads.App{Ports: ports{}}, "none proved 0 of 0", "at none of its ports ()", rollout.AnnotationTLSPort},
		"declared":                   {workloads.App{Ports: ports{8080: plain, 8443: peer.Web}, Annotations: at("8443")}, "restart proved 2 of 2", "", ""},
		"declared and plain":         {workloads.App{Ports: ports{8080: plain, 8443: peer.Web}, Annotations: at("8080, 8443")}, "restart proved 2 of 4", "port 8080: no TLS is spoken here", ""},
		"declared and refused":       {workloads.App{Annotations: at("8443,7777")}, "restart proved 2 of 4", "port 7777: ", ""},
		"declared and foreign":       {workloads.App{Ports: ports{9443: foreign}, Annotations: at("9443")}, "restart proved 0 of 2", "after 3 restarts", ""},
		"declared as PostgreSQL":     {workloads.App{Ports: ports{6432: peer.PostgreSQL}, Annotations: at("6432/postgresql")}, "restart proved 2 of 2", "", ""},
		"PostgreSQL without TLS":     {workloads.App{Ports: ports{5432: always(peer.PostgreSQL(nil))}, Annotations: at("5432/postgresql")}, "none proved 0 of 2", "has TLS off", ""},
		"an annotation with a typo":  {workloads.App{Annotations: at("84433")}, "proved 0 of 0", `"84433" is neither a port`, ""},
		"nothing is served, it says": {workloads.App{Ports: ports{}, Annotations: at("none")}, "restart proved 0 of 0", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.app.Kind, test.app.Name, test.app.Replicas = "Deployment", "web", 2
			w.app(test.app)
			w.prepare(t)
			left, err := w.prove(t, nil)
			if got := told(left); !strings.HasSuffix(got, test.told) {
				t.Errorf("Prove() left %s, want %s", got, test.told)
			}
			if (err == nil) != (test.text == "") || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("Prove() = %v, want %q", err, test.text)
			}
			if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, test.hint) {
				t.Errorf("hints %q, want %q", hints, test.hint)
			}
		})
	}
}

// A port that takes connections and never answers is not known to be fine.
func TestSilenceIsNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app(workloads.App{Kind: "Deployment", Name: "web", Replicas: 1, Ports: ports{8443: peer.Web, 9000: always(peer.Silent)}})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	left, err := rotate.Prove(ctx, w.Cluster.Cluster, everyTime)
	if err == nil || !strings.Contains(told(left), "proved 1 of 2") {
		t.Errorf("Prove() left %s, %v", told(left), err)
	}
}

// A workload that serves nothing is restarted when its pods are older than the certificate.
func TestAClientIsRestarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.Cluster.Cluster.Now
	w.Cluster.Cluster.Now = func() time.Time { return old().Add(-time.Hour) }
	w.app(workloads.App{Kind: "Deployment", Name: "client", Replicas: 2, Annotations: map[string]string{rollout.AnnotationTLSPort: "none"}})
	w.Cluster.Cluster.Now = old
	w.prepare(t)
	left, err := w.prove(t, nil)
	if got, want := told(left), "client renewed=false Deployment/client:restart proved 0 of 0"; err != nil || got != want {
		t.Errorf("Prove() left\n%s, %v\nwant\n%s", got, err, want)
	}
	if said := strings.Join(left.Skipped, "\n"); !strings.Contains(said, "says that it serves nothing") {
		t.Errorf("skipped: %s", said)
	}
	if left, err = w.prove(t, nil); err != nil || w.restarts()["client"] != 1 {
		t.Errorf("the second Prove() left %s, %v, and %d restarts, want 1", told(left), err, w.restarts()["client"])
	}
}

// Two Certificates with the same names, each on its own workload, are not taken for each other.
func TestNamesakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"one", "two"} {
		w.issuer.Certificate(name, []string{"same.shop.svc"}, nil)
	}
	w.Run(workloads.App{Kind: "Deployment", Name: "one", Secret: "one-tls", Replicas: 2, Ports: ports{8443: peer.Web, 9443: func(*tls.Config) func(net.Conn) {
		return peer.Web(&tls.Config{Certificates: []tls.Certificate{w.issuer.Served("two-tls")}})
	}}})
	left, err := w.prove(t, func(r *rotate.Request) { r.Prepared = w.prepare(t) })
	if got := told(left); err != nil || !strings.Contains(got, "one renewed=true Deployment/one:restart proved 2 of 2") || w.restarts()["one"] != 1 {
		t.Errorf("Prove() left\n%s, %v, %d restarts", got, err, w.restarts()["one"])
	}
}

func TestReloadsThatDoNotHelp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app     workloads.App
		command string
		want    error
		text    string
	}{
		"the kubelet brings nothing": {workloads.App{Late: true}, "reload", kube.ErrTimeout, "does not serve the new certificate: deadline of 2s met: pod db-1 port 8443: serves serial"},
		"the server reads nothing":   {workloads.App{Deaf: true}, "reload", kube.ErrTimeout, "does not serve the new certificate"},
		"the command fails":          {workloads.App{}, "broken", nil, "exit status 1: cannot read"},
		"there is no such command":   {workloads.App{}, "missing", nil, "exit status 127"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.app.Kind, test.app.Name, test.app.Replicas = "StatefulSet", "db", 1
			test.app.Annotations = map[string]string{rollout.AnnotationReload: test.command}
			w.app(test.app)
			w.prepare(t)
			timeout := time.Minute
			if test.want != nil {
				timeout = 2 * time.Second
			}
			left, err := w.prove(t, func(r *rotate.Request) { r.Timeout = timeout })
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("Prove() = %v, want %v and %q", err, test.want, test.text)
			}
			if got := told(left); got != "db renewed=false StatefulSet/db:reload proved 0 of 1" {
				t.Errorf("Prove() left %s", got)
			}
			if len(w.restarts()) > 0 {
				t.Error("it was restarted")
			}
		})
	}
}

// Ctrl-C in each wait: what was done is returned, and the error says cancelled.
func TestCancelled(t *testing.T) {
	t.Parallel()
	for name, app := range map[string]workloads.App{
		"a restart": {Kind: "Deployment", Mood: workloads.Halts, Replicas: 2},
		"a reload":  {Kind: "StatefulSet", Late: true, Replicas: 1, Annotations: reloads},
		"a look":    {Kind: "Deployment", Replicas: 2, Ports: ports{8443: always(peer.Silent)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app.Name = "web"
			w.app(app)
			prepared := w.prepare(t)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			began := time.Now()
			left, err := rotate.Prove(ctx, w.Cluster.Cluster, rotate.Request{Timeout: time.Minute, Prepared: prepared})
			if fault.StatusOf(err) != fault.Cancelled || time.Since(began) > 10*time.Second {
				t.Errorf("Prove() = %v after %s, want cancelled at once", err, time.Since(began))
			}
			if len(left.Rotations) != 1 || len(left.Rotations[0].Workloads) != 1 {
				t.Errorf("Prove() left %+v", left)
			}
		})
	}
	w := newWorld(t)
	w.issuer.Certificate("web", []string{"web"}, nil)
	w.issuer.Mood("web", certmanager.Pends)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	left, err := rotate.Prepare(ctx, w.Cluster.Cluster, rotate.Request{Timeout: time.Minute})
	if fault.StatusOf(err) != fault.Cancelled || len(left.Rotations) != 1 || left.Rotations[0].Before.Serial == "" {
		t.Errorf("Prepare() = %+v, %v, want cancelled", left, err)
	}
}
