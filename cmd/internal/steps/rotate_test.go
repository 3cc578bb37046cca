// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/test/certmanager"
	"github.com/knowngood/knowngood/test/fakecluster"
	"github.com/knowngood/knowngood/test/peer"
	"github.com/knowngood/knowngood/test/workloads"
)

// aShop returns a cluster of doubles with one web workload.
func aShop(t *testing.T) (*fakecluster.Cluster, *certmanager.Double, *workloads.Double) {
	t.Helper()
	fake := fakecluster.New(t, certmanager.Namespace)
	issuer, running := certmanager.Start(t, time.Now), workloads.Start(t, fake)
	fake.Certificates, issuer.Stored = issuer.Client, running.Store
	issuer.Certificate("web", []string{"web"}, nil)
	running.Run(workloads.App{Kind: "Deployment", Name: "web", Secret: "web-tls", Replicas: 2})
	return fake, issuer, running
}

// declared makes a step with its defaults, a subject and a connection.
func declared[T Step](t *testing.T, s T, about *subject, c *cluster, fake *fakecluster.Cluster) T {
	t.Helper()
	s.Declare(&step.Set{})
	*about = theSubject()
	about.environment = "test"
	c.connected, c.timeout = fake.Cluster, 20*time.Second
	return s
}

func TestRotateThroughTheRecord(t *testing.T) {
	t.Parallel()
	fake, _, _ := aShop(t)
	run, h := newRun(t)
	prepare, prove := &RotatePrepare{}, &RotateProve{}
	declared(t, prepare, &prepare.subject, &prepare.cluster, fake)
	declared(t, prove, &prove.subject, &prove.cluster, fake)
	if err := prepare.Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	left := h.result.(release.Entry)
	if left.State != release.Done || left.TLS == nil || !left.TLS.Rotations[0].Renewed || h.outputs["rotated"] != "web" {
		t.Errorf("rotate prepare left %+v and rotated=%q", left, h.outputs["rotated"])
	}
	if err := prove.Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	got := h.result.(release.Entry)
	if got.State != release.Done || got.Previous == "" || h.outputs["proved"] != "web" {
		t.Errorf("rotate prove left %+v and proved=%q", got, h.outputs["proved"])
	}
	r := got.TLS.Rotations[0]
	if !r.Renewed || r.Before.Serial != left.TLS.Rotations[0].Before.Serial || len(r.Proofs) != 2 || !r.Proofs[0].Proved {
		t.Errorf("rotate prove knows %+v of what rotate prepare left", r)
	}
}

func TestRotateKeepsWhatFailed(t *testing.T) {
	t.Parallel()
	fake, issuer, running := aShop(t)
	issuer.Certificate("bad", []string{"bad"}, nil)
	issuer.Mood("bad", certmanager.Fails)
	run, h := newRun(t)
	prepare, prove := &RotatePrepare{}, &RotateProve{}
	declared(t, prepare, &prepare.subject, &prepare.cluster, fake)
	err := prepare.Run(t.Context(), run)
	got := h.result.(release.Entry)
	if fault.StatusOf(err) != fault.Partial || got.State != release.Partial || h.outputs["rotated"] != "web" || len(got.TLS.Rotations) != 2 || got.Hint == "" {
		t.Errorf("rotate prepare = %v, left %+v, rotated=%q", err, got, h.outputs["rotated"])
	}
	running.Stale("web", 100)
	declared(t, prove, &prove.subject, &prove.cluster, fake)
	err = prove.Run(t.Context(), run)
	got = h.result.(release.Entry)
	if fault.StatusOf(err) != fault.Failed || got.State != release.Failed || h.outputs["proved"] != "" || got.TLS.Rotations[1].Workloads[0].Action != "restart" {
		t.Errorf("rotate prove = %v, left %+v, proved=%q", err, got, h.outputs["proved"])
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t)
	root := peer.NewAuthority(t, "root", time.Now)
	for name, text := range map[string][]byte{"good": root.PEM(), "none": []byte("# nothing\n"), "cut": root.PEM()[:80]} {
		if err := os.WriteFile(filepath.Join(run.Dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"good": "", "none": "no certificate in it", "cut": "cut off", "absent": "no such file"} {
		request, err := (&certificates{authorities: name}).request(run, &cluster{})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || fault.StatusOf(err) != fault.Usage) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if err == nil && request.Trusted == nil {
			t.Errorf("%s: nobody is trusted", name)
		}
	}
}
