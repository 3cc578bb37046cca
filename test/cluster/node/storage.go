// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"strconv"

	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// storage is the CSI driver with upstream's sidecars. These end when the driver ends, by design: the supervisor brings them back.
func (n *node) storage() []supervise.Component {
	socket := n.in.Path("run", "csi.sock")
	first, _ := n.in.LoopRange()
	sidecar := func(name, port string, more ...string) supervise.Component {
		return supervise.Component{
			Name: name, After: []string{"custom-resources", "csi-driver", "kube-controller-manager"},
			Command: append([]string{
				n.in.Program(name), "--kubeconfig=" + n.in.Admin(), "--leader-election=false", "--v=3",
				// Upstream's defaults (5, 10 and five minutes) make tests wait.
				"--kube-api-qps=100", "--kube-api-burst=200", "--retry-interval-max=5s",
				"--http-endpoint=127.0.0.1:" + port,
			}, more...),
			Ready: n.api.answers("http://127.0.0.1:" + port + "/metrics"),
		}
	}
	return []supervise.Component{
		{
			Name: "custom-resources", After: []string{"kube-apiserver"},
			Before: func(ctx context.Context) error {
				return n.kubectl(ctx, nil, "apply", "--server-side", "--force-conflicts", "-f", n.in.Program("crds")+"/")
			},
			Ready: func(ctx context.Context) error {
				return n.kubectl(ctx, nil, "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
			},
		},
		{
			Name: "csi-driver", After: []string{"kubelet", "custom-resources"},
			Before: n.apply("storage.yaml"),
			Command: []string{
				n.in.Program("driver"), "--name", Driver, "--node", n.in.Name, "--socket", socket,
				"--folder", n.in.Path("volumes"), "--registry", n.in.Path("kubelet", "plugins_registry"),
				"--loops", strconv.Itoa(first),
			},
			Ready: func(ctx context.Context) error {
				return n.kubectl(ctx, nil, "wait", "--for=jsonpath={.spec.drivers[*].name}="+Driver, "--timeout=20s", "csinode/"+n.in.Name)
			},
		},
		// A snapshot that is deleted while it is being made goes at the next look through all of
		// them, upstream's every 15 minutes.
		sidecar("snapshot-controller", "9801", "--resync-period=15s"),
		sidecar("csi-snapshotter", "9802", "--csi-address="+socket, "--resync-period=15s"),
		sidecar("csi-provisioner", "9803", "--csi-address="+socket),
	}
}
