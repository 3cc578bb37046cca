// SPDX-License-Identifier: Apache-2.0

// Package realcluster gives tests a namespace of their own on a real Kubernetes, and skips
// them where none is named.
package realcluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/knowngood/knowngood/pkg/kube"
)

// Switch names the environment variable with the path of the kubeconfig of a cluster that
// tests may use: `make test` makes one and sets it.
const Switch = "KNOWNGOOD_TEST_KUBECONFIG"

// A Cluster is one namespace of a real cluster. The namespace goes when the test ends.
type Cluster struct {
	*kube.Cluster
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	log     *lines
}

// New makes a namespace whose name begins with prefix.
func New(t testing.TB, prefix string) *Cluster {
	t.Helper()
	kubeconfig := os.Getenv(Switch)
	if kubeconfig == "" {
		t.Skipf("needs a real cluster: set %s to its kubeconfig", Switch)
	}
	namespace := fmt.Sprintf("%s-%06x", prefix, rand.IntN(1<<24))
	log := &lines{}
	connected, err := kube.Connect(kube.Config{
		Kubeconfig: kubeconfig, Namespace: namespace, UserAgent: "knowngood-test",
		Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Cluster: connected, log: log}
	if c.dynamic, err = dynamic.NewForConfig(connected.REST); err != nil {
		t.Fatal(err)
	}
	found, err := discovery.NewDiscoveryClientForConfig(connected.REST)
	if err != nil {
		t.Fatal(err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))
	spaces := connected.Core.CoreV1().Namespaces()
	if _, err := spaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
		_ = spaces.Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{})
	})
	return c
}

// Log returns what was logged so far.
func (c *Cluster) Log() string { return c.log.String() }
