// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"time"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/step"
)

// cluster holds the inputs of every step that speaks to Kubernetes, and the connection.
type cluster struct {
	kubeconfig string
	context    string
	namespace  string
	timeout    time.Duration

	connected *kube.Cluster
}

func (c *cluster) declare(set *step.Set) {
	c.declareReach(set)
	set.Duration(&c.timeout, "timeout", 10*time.Minute, "How long each wait may take before it is an error.")
	set.NeedsCluster("get", "namespaces", "tell the cluster from others by the uid of kube-system, after which the environment is named where --environment is not given")
}

// declareReach declares what it takes to connect.
func (c *cluster) declareReach(set *step.Set) {
	set.Text(&c.kubeconfig, "kubeconfig", "", "Path of the kubeconfig; empty uses KUBECONFIG, then ~/.kube/config, then the pod's own service account.")
	set.Text(&c.context, "context", "", "Context of the kubeconfig; empty uses its current one.")
	set.Text(&c.namespace, "namespace", "", "Namespace of the application; empty uses the context's, or the pod's own.")
}

// connect reads the configuration and asks the API server whether it answers, once.
func (c *cluster) connect(ctx context.Context, run *Run) (*kube.Cluster, error) {
	if c.connected != nil {
		return c.connected, nil
	}
	connected, err := kube.Connect(kube.Config{
		Kubeconfig: c.kubeconfig, Context: c.context, Namespace: c.namespace,
		UserAgent: "knowngood/" + run.Version, Log: run.Log, Now: run.Now,
	})
	if err != nil {
		return nil, err
	}
	if err := connected.Reach(ctx); err != nil {
		return nil, err
	}
	run.Log.Info("cluster", "server", connected.Host, "namespace", connected.Namespace)
	c.connected = connected
	return connected, nil
}

// uid returns that of the cluster, by which records tell clusters apart; "" where the account may
// not read it.
func uid(ctx context.Context, run *Run, connected *kube.Cluster) string {
	id, err := connected.UID(ctx)
	if err != nil {
		run.Log.Debug("the cluster is not named", "error", err)
	}
	return id
}
