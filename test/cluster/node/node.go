// SPDX-License-Identifier: Apache-2.0

// Package node declares what the cluster consists of: one list of components, each with its needs, its command line and the
// proof that it is ready. It runs inside the instance's namespaces.
package node

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/pki"
	"github.com/knowngood/knowngood/test/cluster/space"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

//go:embed manifests
var manifests embed.FS

// Driver is the name of the CSI driver.
const Driver = "loop.csi.knowngood.test"

type node struct {
	in  *layout.Instance
	api *api
}

// Components returns the whole cluster in an order in which each component comes after its needs. A new one is a new line
// here; see README.md.
func Components(in *layout.Instance) ([]supervise.Component, error) {
	client, err := newAPI(in.Path("pki"))
	if err != nil {
		return nil, err
	}
	n := &node{in: in, api: client}
	groups := [][]supervise.Component{n.control(), n.agents(), n.storage(), n.certificates(), n.closing()}
	if slices.Contains(in.Parts, Tekton) {
		groups = append(groups, n.tekton())
	}
	return slices.Concat(groups...), nil
}

// Prepare writes what the components read at their start: keys, kubeconfigs and configuration files.
func Prepare(in *layout.Instance) error {
	if err := keys(in); err != nil {
		return fmt.Errorf("making keys and certificates: %w", err)
	}
	for file, name := range map[string]string{
		"containerd.toml": "containerd.toml", "cni/10-pods.conflist": "cni.conflist", "kubelet.yaml": "kubelet.yaml",
		"kube-proxy.yaml": "kube-proxy.yaml", "Corefile": "Corefile", "resolv.conf": "resolv.conf",
	} {
		text, err := render(in, name)
		if err != nil {
			return err
		}
		path := in.Path("conf", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func keys(in *layout.Instance) error {
	dir := in.Path("pki")
	ca, err := pki.NewAuthority(dir, "ca", in.Name+"-ca")
	if err != nil {
		return err
	}
	front, err := pki.NewAuthority(dir, "front-proxy-ca", in.Name+"-front-proxy-ca")
	if err != nil {
		return err
	}
	if err := front.Issue(dir, pki.Leaf{File: "front-proxy", CommonName: "front-proxy-client"}); err != nil {
		return err
	}
	clients := []pki.Leaf{
		{File: "apiserver-kubelet", CommonName: "kube-apiserver-kubelet-client", Organization: "system:masters"},
		{File: "admin", CommonName: "admin", Organization: "system:masters"},
		{File: "kube-controller-manager", CommonName: "system:kube-controller-manager"},
		{File: "kube-scheduler", CommonName: "system:kube-scheduler"},
		{File: "kube-proxy", CommonName: "system:kube-proxy"},
		{File: "kubelet", CommonName: "system:node:" + in.Name, Organization: "system:nodes"},
	}
	servers := []pki.Leaf{
		{File: "apiserver", CommonName: "kube-apiserver", Hosts: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + layout.Domain,
			"127.0.0.1", layout.APIAddress, layout.NodeAddress,
		}},
		{File: "kubelet-server", CommonName: "system:node:" + in.Name, Organization: "system:nodes", Hosts: []string{
			in.Name, "127.0.0.1", layout.NodeAddress,
		}},
	}
	for _, leaf := range append(clients, servers...) {
		if err := ca.Issue(dir, leaf); err != nil {
			return err
		}
	}
	for _, client := range clients[1:] {
		config, err := pki.Kubeconfig(dir, client.File, in.Name, "https://127.0.0.1:"+layout.APIPort)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, client.File+".kubeconfig"), config, 0o600); err != nil {
			return err
		}
	}
	return pki.SigningKey(dir, "service-accounts")
}

// render fills one of the embedded files with the instance's paths and addresses.
func render(in *layout.Instance, name string) ([]byte, error) {
	text, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, map[string]string{
		"Name": in.Name, "State": in.Path(), "Cgroup": in.Cgroup(), "Driver": Driver, "Domain": layout.Domain,
		"Node": layout.NodeAddress, "NodePrefix": layout.NodePrefix, "Pods": layout.PodPrefix, "DNS": layout.DNSAddress,
	})
	return out.Bytes(), err
}

// kubectl runs the real one as administrator and returns what it says.
func (n *node) kubectl(ctx context.Context, input []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, n.in.Program("kubectl"), args...)
	cmd.Env = []string{"PATH=" + space.Path, "KUBECONFIG=" + n.in.Admin(), "HOME=" + n.in.Path("scratch")}
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// apply returns a Before that applies embedded manifests.
func (n *node) apply(names ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		var all bytes.Buffer
		for _, name := range names {
			text, err := render(n.in, name)
			if err != nil {
				return err
			}
			all.Write(text)
			all.WriteString("\n---\n")
		}
		return n.kubectl(ctx, all.Bytes(), "apply", "--server-side", "--force-conflicts", "-f", "-")
	}
}
