// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/space"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// agents are the node's: container runtime, kubelet, service network and names.
func (n *node) agents() []supervise.Component {
	return []supervise.Component{
		{
			Name:    "containerd",
			Command: []string{n.in.Program("containerd"), "--config", n.in.Path("conf", "containerd.toml")},
			Ready:   n.runtimeReady,
		},
		{
			Name: "kubelet", After: []string{"containerd", "kube-apiserver"},
			Command: []string{
				n.in.Program("kubelet"), "--config=" + n.in.Path("conf", "kubelet.yaml"),
				"--kubeconfig=" + n.in.Path("pki", "kubelet.kubeconfig"), "--hostname-override=" + n.in.Name,
				"--node-ip=" + layout.NodeAddress, "--root-dir=" + n.in.Path("kubelet"), "--cert-dir=" + n.in.Path("kubelet"), "--v=2",
			},
			Ready: func(ctx context.Context) error {
				return n.kubectl(ctx, nil, "wait", "--for=condition=Ready", "--timeout=30s", "node/"+n.in.Name)
			},
		},
		{
			Name: "kube-proxy", After: []string{"kube-apiserver", "kubelet"},
			Command: []string{n.in.Program("kube-proxy"), "--config=" + n.in.Path("conf", "kube-proxy.yaml")},
			Ready:   n.api.answers("http://127.0.0.1:10256/healthz"),
		},
		{
			Name: "connection-tracking", After: []string{"kube-proxy"},
			Ready: trackBriefly,
		},
		{
			Name: "dns", After: []string{"kube-apiserver"},
			Before:  n.apply("dns.yaml"),
			Command: []string{n.in.Program("dns"), "-conf", n.in.Path("conf", "Corefile")},
			Ready:   n.api.answers("http://" + layout.NodeAddress + ":8181/ready"),
		},
	}
}

// trackBriefly shortens how long the network namespace remembers closed connections. A client that opens hundreds of them a
// second reuses its ports: entries that live for two minutes would still lead to pods that are gone. The settings are there
// when the kernel tracks connections, which the rules of kube-proxy make it do.
func trackBriefly(context.Context) error {
	for setting, seconds := range map[string]string{"time_wait": "1", "close": "1", "last_ack": "2"} {
		path := "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_" + setting
		if err := os.WriteFile(path, []byte(seconds), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// runtimeReady also brings the image that every pod needs: without it no pod starts, and there is nowhere to pull it from.
func (n *node) runtimeReady(ctx context.Context) error {
	archive, err := os.ReadFile(n.in.Program("pause.tar"))
	if err != nil {
		return err
	}
	return n.importImage(ctx, archive)
}

func (n *node) importImage(ctx context.Context, archive []byte) error {
	ctr := exec.CommandContext(ctx, n.in.Program("ctr"), ContainerdArgs(n.in, "images", "import", "-")...)
	ctr.Env, ctr.Stdin = []string{"PATH=" + space.Path}, bytes.NewReader(archive)
	if out, err := ctr.CombinedOutput(); err != nil {
		return fmt.Errorf("importing an image: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// ContainerdArgs are the arguments of ctr for the namespace of containerd in which Kubernetes keeps its images.
func ContainerdArgs(in *layout.Instance, args ...string) []string {
	return append([]string{"--address", in.Path("run", "containerd.sock"), "--namespace", "k8s.io"}, args...)
}
