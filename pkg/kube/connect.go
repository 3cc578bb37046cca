// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	cmclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned"
	snapclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the log-in plug-ins that kubeconfigs name
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Config says which cluster is meant. All fields but Log and Now may be empty.
type Config struct {
	Kubeconfig string // path; "" reads KUBECONFIG, then ~/.kube/config, then the pod's account
	Context    string // "" is the kubeconfig's current one
	Namespace  string // "" is the context's, then the pod's own, then "default"
	UserAgent  string
	Log        *slog.Logger
	Now        func() time.Time
}

// A Cluster is a connection to one cluster and one namespace of it. Tests fill the fields
// with fakes.
type Cluster struct {
	Namespace string
	// Host is the API server's address, for messages.
	Host string

	Core         kubernetes.Interface
	Snapshots    snapclient.Interface
	Certificates cmclient.Interface
	// Metadata reads objects without their content, as that of Secrets.
	Metadata metadata.Interface
	Streams  Streams

	// REST is nil for a fake cluster.
	REST *rest.Config
	Log  *slog.Logger
	Now  func() time.Time

	waited stopwatch
}

// Requests per second. client-go's own default of 5 makes a step with many claims wait for
// itself; the API server defends itself by its priority levels.
const (
	requestsPerSecond = 50
	requestBurst      = 100
)

// dialTimeout is how long a TCP connection to the API server may take.
const dialTimeout = 10 * time.Second

// Connect reads the configuration as kubectl does and makes the clients. It sends nothing:
// Reach asks whether the cluster answers. The error is one of usage when there is no
// configuration or when it does not make sense.
func Connect(config Config) (*Cluster, error) {
	if config.Namespace != "" {
		if err := CheckNamespace(config.Namespace); err != nil {
			return nil, err
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.WarnIfAllMissing = false
	rules.ExplicitPath = config.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: config.Context}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	restConfig, err := loader.ClientConfig()
	if err != nil {
		return nil, explainConfig(config, loader, err)
	}
	namespace := config.Namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, explainConfig(config, loader, err)
		}
	}
	restConfig.QPS, restConfig.Burst = requestsPerSecond, requestBurst
	restConfig.WarningHandlerWithContext = rest.NoWarnings{}
	if config.UserAgent != "" {
		restConfig.UserAgent = config.UserAgent
	}
	if restConfig.Dial == nil {
		restConfig.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	cluster := &Cluster{
		Namespace: namespace, Host: restConfig.Host, REST: restConfig, Log: config.Log, Now: config.Now,
	}
	return cluster, cluster.clients()
}

// CheckNamespace refuses what no namespace can be called.
func CheckNamespace(name string) error {
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		return fault.Usagef("namespace %q: %s", name, wrong[0])
	}
	return nil
}

// clients makes the typed clients on one shared transport.
func (c *Cluster) clients() error {
	transport, err := rest.HTTPClientFor(c.REST)
	if err != nil {
		return fault.Usagef("kubernetes client for %s: %w", c.Host, err)
	}
	if c.Core, err = kubernetes.NewForConfigAndClient(c.REST, transport); err != nil {
		return fault.Usagef("kubernetes client for %s: %w", c.Host, err)
	}
	if c.Snapshots, err = snapclient.NewForConfigAndClient(c.REST, transport); err != nil {
		return fault.Usagef("snapshot client for %s: %w", c.Host, err)
	}
	if c.Certificates, err = cmclient.NewForConfigAndClient(c.REST, transport); err != nil {
		return fault.Usagef("cert-manager client for %s: %w", c.Host, err)
	}
	if c.Metadata, err = metadata.NewForConfigAndClient(c.REST, transport); err != nil {
		return fault.Usagef("metadata client for %s: %w", c.Host, err)
	}
	c.Streams = &streams{config: c.REST, cluster: c}
	return nil
}

func explainConfig(config Config, loader clientcmd.ClientConfig, err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return fault.Hint(fault.Usagef("%w", ErrNoCluster),
			"give --kubeconfig or set KUBECONFIG, or run in a pod with a service account")
	}
	raw, unread := loader.RawConfig()
	if _, known := raw.Contexts[config.Context]; config.Context != "" && unread == nil && !known {
		return fault.Hint(fault.Usagef("kubeconfig has no context %q", config.Context),
			"its contexts are: %s", strings.Join(slices.Sorted(maps.Keys(raw.Contexts)), ", "))
	}
	return fault.Exit(fault.Usage, fmt.Errorf("kubeconfig: %w", err))
}

// Reach asks the API server for its version, so that a wrong address, an expired
// certificate or a refused log-in is found before anything is begun.
func (c *Cluster) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	call := Call{Verb: "get", Resource: "/version"}
	server := discovery.ToDiscoveryInterfaceWithContext(c.Core.Discovery())
	_, err := server.ServerVersionWithContext(ctx)
	return c.Explain(ctx, call, err)
}

// UID returns the uid of the namespace kube-system, which names a cluster for its lifetime.
func (c *Cluster) UID(ctx context.Context) (string, error) {
	space, err := c.Core.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", c.Explain(ctx, Call{Verb: "get", Resource: "namespaces", Name: metav1.NamespaceSystem}, err)
	}
	return string(space.UID), nil
}

// Skew returns how far the API server's clock is ahead of ours, and how exact that is:
// the true value lies within offset ± within. The Date header counts whole seconds. A fake
// cluster's clock is ours.
func (c *Cluster) Skew(ctx context.Context) (offset, within time.Duration, err error) {
	if c.REST == nil {
		return 0, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	call := Call{Verb: "get", Resource: "/version"}
	client, err := rest.HTTPClientFor(c.REST)
	if err != nil {
		return 0, 0, c.Explain(ctx, call, err)
	}
	address := c.Core.Discovery().RESTClient().Get().AbsPath("/version").URL().String()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, 0, c.Explain(ctx, call, err)
	}
	before := c.Now()
	response, err := client.Do(request)
	after := c.Now()
	if err != nil {
		return 0, 0, c.Explain(ctx, call, err)
	}
	_ = response.Body.Close() // only its header is wanted
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0, 0, fmt.Errorf("clock of %s: %w", c.Host, err)
	}
	trip := after.Sub(before)
	// The server's clock read between date and date+1s while ours read between before and after.
	return date.Add(time.Second / 2).Sub(before.Add(trip / 2)), (time.Second + trip) / 2, nil
}
