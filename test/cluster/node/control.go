// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net"

	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// control is the control plane. Data lives as long as the instance, so etcd need not wait for the disk.
func (n *node) control() []supervise.Component {
	const etcd = "http://127.0.0.1:2379"
	const peer = "http://127.0.0.1:2380"
	return []supervise.Component{
		{
			Name: "etcd",
			Command: []string{
				n.in.Program("etcd"), "--name=" + n.in.Name, "--data-dir=" + n.in.Path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
				"--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
				"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + n.in.Name + "=" + peer,
				"--listen-metrics-urls=http://127.0.0.1:2381",
			},
			Ready: n.api.answers("http://127.0.0.1:2381/readyz"),
		},
		{
			Name: "kube-apiserver", After: []string{"etcd"},
			Command: n.apiserver(etcd),
			Ready:   n.api.ready(),
		},
		{
			Name: "kube-controller-manager", After: []string{"kube-apiserver"},
			Command: append(n.manager("kube-controller-manager"),
				"--service-account-private-key-file="+n.in.Path("pki", "service-accounts.key"),
				"--root-ca-file="+n.in.Path("pki", "ca.crt"),
				"--cluster-signing-cert-file="+n.in.Path("pki", "ca.crt"), "--cluster-signing-key-file="+n.in.Path("pki", "ca.key"),
				"--use-service-account-credentials", "--service-cluster-ip-range="+layout.ServiceCIDR),
			Ready: serves("127.0.0.1:10257"),
		},
		{
			Name: "kube-scheduler", After: []string{"kube-apiserver"},
			Command: n.manager("kube-scheduler"),
			Ready:   serves("127.0.0.1:10259"),
		},
	}
}

func (n *node) apiserver(etcd string) []string {
	keys := func(file string) string { return n.in.Path("pki", file) }
	return []string{
		n.in.Program("kube-apiserver"), "--etcd-servers=" + etcd,
		"--bind-address=0.0.0.0", "--secure-port=" + layout.APIPort, "--advertise-address=" + layout.NodeAddress,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--service-cluster-ip-range=" + layout.ServiceCIDR,
		"--client-ca-file=" + keys("ca.crt"),
		"--tls-cert-file=" + keys("apiserver.crt"), "--tls-private-key-file=" + keys("apiserver.key"),
		"--kubelet-client-certificate=" + keys("apiserver-kubelet.crt"), "--kubelet-client-key=" + keys("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + keys("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc." + layout.Domain,
		"--service-account-key-file=" + keys("service-accounts.pub"),
		"--service-account-signing-key-file=" + keys("service-accounts.key"),
		"--requestheader-client-ca-file=" + keys("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + keys("front-proxy.crt"), "--proxy-client-key-file=" + keys("front-proxy.key"),
		// Webhooks behind Services without a selector are reached by their endpoints.
		"--enable-aggregator-routing",
	}
}

// manager is what the command lines of the controller manager and the scheduler have in common.
func (n *node) manager(name string) []string {
	config := n.in.Path("pki", name+".kubeconfig")
	return []string{
		n.in.Program(name), "--bind-address=127.0.0.1", "--leader-elect=false",
		"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
	}
}

// serves returns a probe for a daemon that opens its port when it works. Those two serve certificates of their own making.
func serves(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		dialer := net.Dialer{Timeout: probeLimit}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("not listening yet: %w", err)
		}
		return conn.Close()
	}
}
