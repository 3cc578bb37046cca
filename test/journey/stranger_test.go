// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/test/product"
)

// A stranger releases the shop on Tekton as the READMEs tell it.
type stranger struct {
	*Journey
	t *testing.T
}

// github is the namespace of the fake GitHub.
func (s stranger) github() string { return s.Namespace + "-github" }

// visit prepares the namespace of the shop: knowngood's files, the stranger's own, and images.
func visit(t *testing.T) stranger {
	t.Helper()
	s := stranger{begin(t, "tekton-journey"), t}
	if !strings.Contains(s.kubernetes("api-resources", "--api-group=tekton.dev", "-o", "name"), "pipelineruns") {
		t.Skip("the cluster has no Tekton: cluster up --with tekton")
	}
	t.Cleanup(s.leave)
	s.kubernetes("label", "--overwrite", "namespace", s.Namespace, "pod-security.kubernetes.io/enforce=restricted")
	s.bring()
	install := exec.CommandContext(t.Context(), "sh", "-euc",
		`sed "s/%NAMESPACE%/$NAMESPACE/g" tekton/*/*/*.yaml | "$KUBECTL" --kubeconfig "$KUBECONFIG" apply -n "$NAMESPACE" -f -`)
	install.Dir = s.Root
	install.Env = append(os.Environ(), "NAMESPACE="+s.Namespace, "KUBECTL="+s.Kubectl, "KUBECONFIG="+s.Kubeconfig)
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, output)
	}
	s.openGitHub()
	s.apply(s.Namespace, "stranger.yaml")
	s.kubernetes("wait", "--for=condition=Ready", "pod/volume", "--timeout=120s")
	s.fill()
	return s
}

// leave takes away what was brought; namespaces go by themselves. The slow class stays: a cut that
// was cancelled cannot end without it.
func (s stranger) leave() {
	ctx := context.WithoutCancel(s.t.Context())
	for _, args := range [][]string{
		{"delete", "namespace", s.Namespace, s.github(), "--wait=false", "--ignore-not-found"},
		{"delete", "clusterroles,clusterrolebindings", "--selector=app.kubernetes.io/part-of=knowngood"},
	} {
		if _, err := s.Kubernetes(ctx, args...); err != nil {
			s.t.Error(err)
		}
	}
}

func (s stranger) kubernetes(args ...string) string {
	s.t.Helper()
	output, err := s.Kubernetes(s.t.Context(), args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(output)
}

// bring makes the images: knowngood's own by its Dockerfile, the cluster's kubectl, the fake
// GitHub.
func (s stranger) bring() {
	s.t.Helper()
	ctx, tool := s.t.Context(), filepath.Join(s.Cache, "images", "image")
	archives := []string{filepath.Join(s.Work, "knowngood.tar")}
	if err := product.Image(ctx, product.Request{
		Root: s.Root, Work: s.Work, Tool: tool, Name: image, Version: "test", Revision: "none", Out: s.Out,
	}, archives[0]); err != nil {
		s.t.Fatal(err)
	}
	if err := s.run(ctx, s.Root, "go", "build", "-ldflags=-s -w", "-o", filepath.Join(s.Work, "github", "github"), "./test/github/server"); err != nil {
		s.t.Fatal(err)
	}
	kubectl, err := os.ReadFile(s.Kubectl)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(filepath.Join("kubectl", "kubectl"), kubectl)
	for _, name := range []string{"kubectl", "github"} {
		s.write(filepath.Join(name, "Dockerfile"),
			fmt.Appendf(nil, "FROM scratch\nCOPY --chmod=755 %[1]s /%[1]s\nUSER 65532:65532\nENTRYPOINT [\"/%[1]s\"]\n", name))
		archive := filepath.Join(s.Work, name+".tar")
		archives = append(archives, archive)
		if err := s.run(ctx, s.Root, tool, "build", "-t", "knowngood.test/"+name+":test", "-o", archive, filepath.Join(s.Work, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.Load(ctx, archives); err != nil {
		s.t.Fatal(err)
	}
}

func (s stranger) write(name string, data []byte) {
	s.t.Helper()
	path := filepath.Join(s.Work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// apply applies a file of testdata with what it cannot know.
func (s stranger) apply(namespace, name string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		s.t.Fatal(err)
	}
	known := strings.NewReplacer("%NAMESPACE%", namespace, "%TOKEN%", token,
		"%CLEAN%", string(s.Commits["clean"]), "%INJECTION%", string(s.Commits["injection"]),
		"%DATABASE%", s.kubernetes("get", "statefulset", "db", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))
	if err := s.kubectlWith(s.t.Context(), known.Replace(string(text)), "apply", "--namespace", namespace, "-f", "-"); err != nil {
		s.t.Fatal(err)
	}
}

// openGitHub starts the fake, and hands the certificate that it serves to the shop's namespace.
func (s stranger) openGitHub() {
	s.t.Helper()
	s.kubernetes("create", "namespace", s.github())
	s.kubernetes("-n", s.github(), "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
	s.apply(s.github(), "github.yaml")
	s.kubernetes("-n", s.github(), "wait", "--for=condition=Ready", "pod/github", "--timeout=120s")
	var secret corev1.Secret
	s.get(&secret, "-n", s.github(), "get", "secret", "github-tls", "-o", "json")
	authority := filepath.Join(s.Work, "github.pem")
	if err := os.WriteFile(authority, secret.Data["ca.crt"], 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.kubernetes("create", "configmap", "authorities", "--from-file", authority)
}

func (s stranger) get(into any, args ...string) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.kubernetes(args...)), into); err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}

// fill writes three checkouts to the volume: of the two commits, and one that cannot be deployed.
func (s stranger) fill() {
	s.t.Helper()
	files := map[string][]byte{"broken/deploy.yaml": []byte("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 0}]}\n")}
	for _, name := range []string{"clean", "injection"} {
		if err := s.run(s.t.Context(), s.Root, s.shop, "scan", "--repo", s.checkout(), "--out", s.report(name), string(s.Commits[name])); err != nil {
			s.t.Fatal(err)
		}
		scan, err := os.ReadFile(s.report(name))
		if err != nil {
			s.t.Fatal(err)
		}
		manifests, err := s.output(s.t.Context(), s.Root, s.shop, "manifests", "--tag", s.Commits[name].Short())
		if err != nil {
			s.t.Fatal(err)
		}
		folder := map[string]string{"clean": "source", "injection": "injection"}[name] // the samples' own name
		files[folder+"/reports/gosec.sarif"], files[folder+"/deploy.yaml"] = scan, manifests
	}
	files["broken/reports/gosec.sarif"] = files["source/reports/gosec.sarif"]
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.kubectlWith(s.t.Context(), archive.String(), "exec", "--stdin", "volume", "--", "tar", "--extract", "--directory", "/release"); err != nil {
		s.t.Fatal(err)
	}
}
