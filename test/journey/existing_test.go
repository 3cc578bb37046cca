// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// elsewhere returns settings for the test cluster as a person meets a cluster that is there
// already: by KUBECONFIG and kubectl, and by a registry that both sides reach.
func elsewhere(t *testing.T) (settings Settings, registry string) {
	t.Helper()
	name := os.Getenv(instance)
	if name == "" {
		t.Skipf("set %s to the name of a cluster of test/cluster (root), or run make test", instance)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	settings, err = Place(t.Context(), root, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	settings.Work = t.TempDir()
	bin := t.TempDir()
	for folder, out := range map[string]string{"cluster": bin + "/cluster", "image": bin + "/image"} {
		if err := attached(t.Context(), t.Output(), filepath.Join(root, "test", folder), "go", "build", "-o", out, "."); err != nil {
			t.Fatal(err)
		}
	}
	status, err := exec.CommandContext(t.Context(), bin+"/cluster", "status", "--name", name, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var cluster struct{ Kubeconfig, Network string }
	if err := json.Unmarshal(status, &cluster); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", cluster.Kubeconfig+string(os.PathListSeparator)+filepath.Join(bin, "absent"))
	t.Setenv("PATH", filepath.Join(filepath.Dir(cluster.Kubeconfig), "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	return settings, serveImages(t, bin+"/image", cluster.Network)
}

// serveImages runs a registry on loopback, here and in the cluster's network, until the test ends.
func serveImages(t *testing.T, program, network string) string {
	t.Helper()
	serve := exec.Command(program, "serve", "--network", network)
	serve.Stderr = t.Output()
	stdout, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait() // however it ends
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address) + "/demo"
}

// TestAnExistingCluster runs the demonstration on a cluster that is there already, after asking.
func TestAnExistingCluster(t *testing.T) {
	settings, registry := elsewhere(t)
	namespaces := func() string { return kubectl(t, "get", "namespaces", "--output=name") }
	var said strings.Builder
	asked := settings
	asked.Out = &said
	if err := asked.Existing(t.Context(), registry, strings.NewReader("no\n"), false); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("Existing() = %v after a no", err)
	}
	if !strings.Contains(said.String(), "namespace knowngood-demo of context") || !strings.Contains(said.String(), registry) {
		t.Errorf("it asked: %s", &said)
	}
	if err := asked.Existing(t.Context(), registry, strings.NewReader(""), false); err == nil || strings.Contains(namespaces(), "knowngood-demo") {
		t.Errorf("Existing() = %v without an answer, and there are %s", err, namespaces())
	}

	// Somebody else's namespace of that name is left alone.
	kubectl(t, "create", "namespace", "knowngood-demo")
	if err := asked.Existing(t.Context(), registry, strings.NewReader("yes\n"), false); err == nil || !strings.Contains(err.Error(), "is not of a demonstration") {
		t.Errorf("Existing() = %v where the namespace is somebody else's", err)
	}
	kubectl(t, "label", "namespace", "knowngood-demo", "app.kubernetes.io/managed-by="+manager)

	said.Reset()
	demo := exec.CommandContext(t.Context(), "test/make.sh", "demo")
	demo.Dir, demo.Env = settings.Root, append(os.Environ(), "CLUSTER=existing", "IMAGE_REGISTRY="+registry)
	demo.Stdin, demo.Stdout, demo.Stderr = strings.NewReader("yes\n"), &said, t.Output()
	if err := demo.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, &said)
	}
	for _, want := range []string{"exit status 0", "exit status 1", "Touched in the cluster: nothing", "0 failures"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, &said)
		}
	}
	images := kubectl(t, "--namespace", "knowngood-demo", "get", "pods", "--output", `jsonpath={range .items[*]}{.status.containerStatuses[0].imageID}{"\n"}{end}`)
	for image := range strings.Lines(images) {
		if !strings.HasPrefix(image, registry+"/") {
			t.Errorf("a pod runs %s, which does not come from %s", image, registry)
		}
	}
	kubectl(t, "delete", "namespace", "knowngood-demo", "--wait=false")
}

// kubectl asks the current context.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "kubectl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", args[0], err, output)
	}
	return string(output)
}

func TestAnExistingClusterNeedsARegistry(t *testing.T) {
	t.Parallel()
	var settings Settings
	if err := settings.Existing(t.Context(), "", strings.NewReader("yes\n"), true); err == nil || !strings.Contains(err.Error(), "IMAGE_REGISTRY") {
		t.Errorf("Existing() = %v without a registry", err)
	}
}

// Two demonstrations on one cluster would delete each other's shop.
func TestASecondJourneyIsKeptOut(t *testing.T) {
	t.Parallel()
	first := Settings{Cache: t.TempDir(), Namespace: "shop"}
	second, other := Settings{Cache: first.Cache, Namespace: "shop"}, Settings{Cache: first.Cache, Namespace: "shop"}
	if err := first.alone("demo"); err != nil {
		t.Fatal(err)
	}
	if err := second.alone("demo"); err == nil || !strings.Contains(err.Error(), "make demo NAME=demo-2") {
		t.Errorf("alone() = %v beside another", err)
	}
	if err := other.alone("demo-2"); err != nil {
		t.Error(err)
	}
	if err := (&Journey{Settings: first}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.alone("demo"); err != nil {
		t.Errorf("alone() = %v after the other ended", err)
	}
}
