// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/test/realcluster"
)

// TestInterruptedInEachWait presses Ctrl-C in each wait for a cluster: it ends soon with 130,
// says what it waited for, and leaves an entry.
func TestInterruptedInEachWait(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "interrupt")
	c.Authority(t)
	c.Apply(t, aClaim+"---"+issuers)
	slow := realcluster.Server{
		Kind: "Deployment", Name: "slow", Replicas: 2, MinReady: 3600, Annotations: map[string]string{rollout.AnnotationTLSPort: "8443"},
	}
	deaf := realcluster.Server{Kind: "StatefulSet", Name: "deaf", Replicas: 1, Database: true, Annotations: map[string]string{
		rollout.AnnotationTLSPort: "5432/postgresql", rollout.AnnotationReload: "true",
	}}
	c.Serve(t, slow, deaf)
	c.Bound(t, "data")
	late := class(t, c, "late", map[string]string{"knowngood.test/ready-after": "5m"})
	for _, test := range []struct {
		name, step, at, says string
		args, before         []string
	}{
		{"a snapshot", "snapshot", "waiting", "waiting for", []string{"snapshot", "--claims", "app=data", "--snapshot-class", late}, nil},
		{"a renewal", "rotate-prepare", "waits for approval", "waiting for", []string{"rotate", "prepare", "--certificates", "app=on-external"}, nil},
		{
			"a rollout", "rotate-prove", "to be rolled out", "waiting for",
			[]string{"rotate", "prove", "--certificates", "app=slow"},
			[]string{"rotate", "prepare", "--certificates", "app=slow", "--when", "always"},
		},
		{
			"a reload", "rotate-prove", "to serve the new certificate", "waiting for",
			[]string{"rotate", "prove", "--certificates", "app=deaf"},
			[]string{"rotate", "prepare", "--certificates", "app=deaf", "--when", "always"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := aPerson(t, c)
			if test.before != nil {
				if status, said := p.run(t, test.before...); status != 0 {
					t.Fatalf("exit status %d:\n%s", status, said)
				}
			}
			status, said := p.interrupt(t, test.at, test.args...)
			if status != 130 || !strings.Contains(said, "knowngood: ") || !strings.Contains(said, test.says) {
				t.Errorf("exit status %d, want 130 with %q:\n%s", status, test.says, said)
			}
			if e := p.last(t, test.step); e == nil || e.State != release.Cancelled {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

// TestInterruptedWhereNobodyAnswers presses Ctrl-C while a server has taken the connection and
// says nothing.
func TestInterruptedWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, args := range map[string][]string{
		"a cluster": {"snapshot"},
		"a catalog": {"deploy", "start", "--catalog", "s3://records?region=x&use_path_style=true&endpoint=http://" + silent.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := person{folder: t.TempDir(), namespace: "shop", name: "r1"}
			p.kubeconfig = kubeconfig(t, p.folder, "http://"+silent.Addr().String())
			cmd := p.command(t.Context(), args...)
			cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_EC2_METADATA_DISABLED=true")
			var said strings.Builder
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := silent.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the status tells
			if status := cmd.ProcessState.ExitCode(); status != 130 || time.Since(began) > 10*time.Second || !strings.Contains(said.String(), "knowngood: ") {
				t.Errorf("exit status %d after %s, want 130:\n%s", status, time.Since(began), &said)
			}
		})
	}
}

// TestInterruptedDeploy presses Ctrl-C while the deploy command runs: all of its processes are
// asked to end, and the record says that the deploy was cancelled.
func TestInterruptedDeploy(t *testing.T) {
	t.Parallel()
	p := person{folder: t.TempDir(), namespace: "shop", name: "r1"}
	scan := `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "try"}}, "invocations": [{"executionSuccessful": true}], "results": []}]}`
	if err := os.WriteFile(filepath.Join(p.folder, "scan.sarif"), []byte(scan), 0o600); err != nil {
		t.Fatal(err)
	}
	// A signal between the shell's fork and its exec of sleep is lost, and sleep would go on.
	status, said := p.interrupt(t, "deploying", "release", "--sarif", "scan.sarif", "--skip", "snapshot", "--skip", "rotate",
		"--", "sh", "-c", "trap 'echo told; exit 9' TERM; (trap 'echo child told; exit 9' TERM; sleep 600 & until grep -q sleep /proc/$!/comm; do :; done; echo deploying; wait) & wait; wait")
	for _, text := range []string{"told", "child told", "context canceled"} {
		if status != 130 || !strings.Contains(said, text) {
			t.Errorf("exit status %d, want 130 with %q:\n%s", status, text, said)
		}
	}
	if e := p.last(t, "deploy-finish"); e == nil || e.State != release.Cancelled {
		t.Errorf("entry %+v", e)
	}
	if e := p.last(t, "report"); e == nil {
		t.Error("the cancelled release was not reported")
	}
}
