// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"

	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// certificates is cert-manager: controller, CA injector and admission webhook, as upstream deploys them.
func (n *node) certificates() []supervise.Component {
	admin := "--kubeconfig=" + n.in.Admin()
	return []supervise.Component{
		{
			Name: "cert-manager-webhook", After: []string{"custom-resources"},
			Before: n.apply("cert-manager.yaml"),
			Command: []string{
				n.in.Program("webhook-binary"), admin, "--secure-port=10270", "--healthz-port=10271", "--metrics-listen-address=0",
				"--dynamic-serving-ca-secret-namespace=cert-manager", "--dynamic-serving-ca-secret-name=cert-manager-webhook-ca",
				"--dynamic-serving-dns-names=cert-manager-webhook.cert-manager.svc",
			},
			Ready: n.api.answers("http://127.0.0.1:10271/healthz"),
		},
		{
			Name: "cert-manager-cainjector", After: []string{"custom-resources"},
			Command: []string{n.in.Program("cainjector"), admin, "--health=127.0.0.1:10272"},
			Ready:   n.api.answers("http://127.0.0.1:10272/readyz"),
		},
		{
			Name: "cert-manager-controller", After: []string{"custom-resources"},
			Command: []string{n.in.Program("certcontroller"), admin, "--health=127.0.0.1:10273"},
			Ready:   n.api.answers("http://127.0.0.1:10273/readyz"),
		},
	}
}

// closing are the proofs that need several components at once.
func (n *node) closing() []supervise.Component {
	return []supervise.Component{
		{
			// The API server asks the webhook, with the authority that the injector brought, about a Certificate that is not kept.
			Name: "cert-manager", After: []string{"cert-manager-webhook", "cert-manager-cainjector", "cert-manager-controller", "kube-proxy"},
			Ready: func(ctx context.Context) error {
				text, err := render(n.in, "certificate-probe.yaml")
				if err != nil {
					return err
				}
				return n.kubectl(ctx, text, "create", "--dry-run=server", "-f", "-")
			},
		},
		{
			// Pods are refused in a namespace whose default account is not there yet.
			Name: "default-account", After: []string{"kube-controller-manager"},
			Ready: func(ctx context.Context) error {
				return n.kubectl(ctx, nil, "-n", "default", "wait", "--for=create", "--timeout=20s", "serviceaccount/default")
			},
		},
	}
}
