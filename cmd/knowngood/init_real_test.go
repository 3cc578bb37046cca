// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/test/realcluster"
)

// mounting has a server mount the claim "data".
func mounting(template *corev1.PodTemplateSpec) {
	template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: "more", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}})
	main := &template.Spec.Containers[0]
	main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: "more", MountPath: "/more"})
}

// TestInitOnRealCluster begins as a stranger does: what init misses is there once the RBAC that
// it wrote is applied, and with that and nothing else a whole release works.
func TestInitOnRealCluster(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "init")
	c.Authority(t)
	c.Apply(t, aClaim)
	c.Serve(t, realcluster.Server{
		Kind: "StatefulSet", Name: "db", Replicas: 1, Database: true, Change: mounting,
		Annotations: map[string]string{rollout.AnnotationTLSPort: "5432/postgresql", rollout.AnnotationReload: `["/opt/db/reload"]`},
	})
	p := aPerson(t, c)
	p.folder = aRepository(t)
	const lacking = "ServiceAccount knowngood-release may not yet"
	if status, said := p.init(t, "--face", "github"); status != 0 || !strings.Contains(said, lacking) {
		t.Fatalf("exit status %d, and it does not say %q:\n%s", status, lacking, said)
	}
	rules, err := os.ReadFile(filepath.Join(p.folder, "knowngood-rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, string(rules))
	if status, said := p.init(t, "--face", "github"); status != 0 || strings.Contains(said, "may not yet") {
		t.Errorf("with its RBAC: exit status %d\n%s", status, said)
	}
	p.kubeconfig = c.As(t, "knowngood-release")
	scan := `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scanner"}}, "results": []}]}`
	if err := os.WriteFile(filepath.Join(p.folder, "clean.sarif"), []byte(scan), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, said := p.run(t, "release", "--sarif", "clean.sarif", "--when", "always", "--", "true"); status != 0 {
		t.Errorf("a release by that account: exit status %d\n%s", status, said)
	}
	if e := p.last(t, "rotate-prove"); e == nil || e.TLS == nil || len(e.TLS.Rotations) == 0 {
		t.Errorf("nothing is proved: %+v", e)
	}
	if e := p.last(t, "snapshot"); e == nil || e.Protection == nil || len(e.Protection.Snapshots) != 1 {
		t.Errorf("nothing is protected: %+v", e)
	}
}

// TestInitWritesWhatTheServerTakes holds the files for Tekton to the API server and to Tekton's
// own webhook.
func TestInitWritesWhatTheServerTakes(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "init")
	p := aPerson(t, c)
	p.folder = aRepository(t)
	status, said := p.init(t, "--face", "tekton")
	for _, says := range []string{"ServiceAccount knowngood-snapshot may not yet", "the Task of snapshot would fail: the namespace has no claims"} {
		if status != 0 || !strings.Contains(said, says) {
			t.Fatalf("exit status %d, and it does not say %q:\n%s", status, says, said)
		}
	}
	for _, name := range []string{".tekton/release.yaml", "knowngood-rbac.yaml"} {
		text, err := os.ReadFile(filepath.Join(p.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		c.Takes(t, string(text))
	}
}
