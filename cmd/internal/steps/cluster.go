// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"time"

	"github.com/knowngood/knowngood/pkg/step"
)

// cluster holds the inputs of every step that speaks to Kubernetes.
type cluster struct {
	kubeconfig string
	context    string
	namespace  string
	timeout    time.Duration
}

func (c *cluster) declare(set *step.Set) {
	set.Text(&c.kubeconfig, "kubeconfig", "", "Path of the kubeconfig; empty uses KUBECONFIG, then ~/.kube/config, then the pod's own service account.")
	set.Text(&c.context, "context", "", "Context of the kubeconfig; empty uses its current one.")
	set.Text(&c.namespace, "namespace", "", "Namespace of the application; empty uses the context's, or the pod's own.")
	set.Duration(&c.timeout, "timeout", 10*time.Minute, "How long each wait may take before it is an error.")
}
