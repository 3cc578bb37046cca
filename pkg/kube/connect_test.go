// SPDX-License-Identifier: Apache-2.0

package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// kubeconfig writes a file with the contexts "here" (namespace shop) and "there".
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "t"}
	config.Contexts["here"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: "shop"}
	config.Contexts["there"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "here"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func connect(config kube.Config) (*kube.Cluster, error) {
	config.Log, config.Now = slog.New(slog.DiscardHandler), time.Now
	return kube.Connect(config)
}

func TestConnectChoosesAsKubectlDoes(t *testing.T) {
	path := kubeconfig(t, "https://127.0.0.1:1")
	t.Setenv("KUBECONFIG", path)
	for name, test := range map[string]struct {
		config kube.Config
		want   string
	}{
		"KUBECONFIG and its current context": {kube.Config{}, "shop"},
		"a given file":                       {kube.Config{Kubeconfig: path}, "shop"},
		"a given context":                    {kube.Config{Context: "there"}, "default"},
		"a given namespace":                  {kube.Config{Namespace: "other"}, "other"},
	} {
		cluster, err := connect(test.config)
		if err != nil || cluster.Namespace != test.want || cluster.Host != "https://127.0.0.1:1" {
			t.Errorf("%s: %+v, %v, want namespace %s", name, cluster, err, test.want)
		}
	}
}

func TestConnectExplainsConfiguration(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	path := kubeconfig(t, "https://127.0.0.1:1")
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config kube.Config
		want   string
		hint   string
	}{
		"nothing configured": {kube.Config{}, "no cluster is configured", "--kubeconfig"},
		"absent file":        {kube.Config{Kubeconfig: "/nowhere/kubeconfig"}, "/nowhere/kubeconfig", ""},
		"broken file":        {kube.Config{Kubeconfig: broken}, broken, ""},
		"unknown context":    {kube.Config{Kubeconfig: path, Context: "prod"}, `no context "prod"`, "here, there"},
		"bad namespace":      {kube.Config{Kubeconfig: path, Namespace: "Shop!"}, `namespace "Shop!"`, ""},
	} {
		_, err := connect(test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.StatusOf(err) != fault.Usage {
			t.Errorf("%s: error %v with status %d, want %q with status 2", name, err, fault.StatusOf(err), test.want)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, test.hint) {
			t.Errorf("%s: hints %q, want %q", name, hints, test.hint)
		}
	}
}

func TestReachExplainsTheNetwork(t *testing.T) {
	t.Parallel()
	plain := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(apierrors.NewUnauthorized("Unauthorized").Status())
	}))
	t.Cleanup(refusing.Close)
	for name, test := range map[string]struct {
		server, hint string
		unreachable  bool
	}{
		"nobody listens":      {closed.URL, "is the cluster up", true},
		"another certificate": {plain.URL, "certificate", true},
		"unknown host":        {"https://cluster.invalid", "", true},
		"log-in refused":      {refusing.URL, "log in again", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, err := connect(kube.Config{Kubeconfig: kubeconfig(t, test.server)})
			if err != nil {
				t.Fatal(err)
			}
			err = cluster.Reach(t.Context())
			if err == nil || errors.Is(err, kube.ErrUnreachable) != test.unreachable || fault.StatusOf(err) != fault.Failed {
				t.Errorf("error %v with status %d", err, fault.StatusOf(err))
			}
			if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, test.hint) {
				t.Errorf("hints %q, want %q", hints, test.hint)
			}
		})
	}
}

func TestExplainNamesVerbResourceAndCure(t *testing.T) {
	t.Parallel()
	c := fakecluster.New(t, "shop")
	snapshots := schema.GroupResource{Group: "snapshot.storage.k8s.io", Resource: "volumesnapshots"}
	call := kube.Call{Verb: "create", Resource: "snapshot.storage.k8s.io/volumesnapshots", Namespace: "shop", Name: "db"}
	for name, test := range map[string]struct {
		call       kube.Call
		err        error
		is         error
		text, hint string
	}{
		"forbidden": {
			call, apierrors.NewForbidden(snapshots, "db", errors.New("no")), kube.ErrForbidden,
			"create volumesnapshots.snapshot.storage.k8s.io db in namespace shop",
			`Role in namespace shop with the rule {apiGroups: ["snapshot.storage.k8s.io"], resources: ["volumesnapshots"], verbs: ["create"]}`,
		},
		"forbidden everywhere": {
			kube.Call{Verb: "list", Resource: "snapshot.storage.k8s.io/volumesnapshotclasses"},
			apierrors.NewForbidden(snapshots, "", errors.New("no")), kube.ErrForbidden, "list volumesnapshotclasses", "ClusterRole with the rule",
		},
		"a subresource": {
			kube.Call{Verb: "create", Resource: "pods/exec", Namespace: "shop", Name: "db-0"},
			apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "db-0", errors.New("no")), kube.ErrForbidden, "create pods/exec db-0", `resources: ["pods/exec"]`,
		},
		"no snapshot CRDs": {
			call, apierrors.NewGenericServerResponse(404, "post", snapshots, "", "404 page not found", 0, true), kube.ErrNoAPI,
			"no such API: volumesnapshots", "external-snapshotter",
		},
		"no cert-manager": {
			kube.Call{Verb: "list", Resource: "cert-manager.io/certificates", Namespace: "shop"},
			apierrors.NewGenericServerResponse(404, "get", snapshots, "", "404 page not found", 0, true), kube.ErrNoAPI, "certificates", "install cert-manager",
		},
		"no such object": {call, apierrors.NewNotFound(snapshots, "db"), nil, `"db" not found`, ""},
	} {
		err := c.Explain(t.Context(), test.call, test.err)
		if !strings.Contains(err.Error(), test.text) || test.is != nil && !errors.Is(err, test.is) || !errors.Is(err, test.err) && test.is == nil {
			t.Errorf("%s: %v, want %q", name, err, test.text)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, test.hint) {
			t.Errorf("%s: hint %q, want %q", name, hints, test.hint)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Explain(cancelled, call, errors.New("closed")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	if err := c.Explain(t.Context(), call, nil); err != nil {
		t.Errorf("Explain(nil) = %v", err)
	}
}

func controlled(kind, version, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: name, UID: "u", Controller: &yes}}
}

func TestOwnerClimbsToTheWorkload(t *testing.T) {
	t.Parallel()
	meta := func(name string, owners []metav1.OwnerReference) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: space, Name: name, OwnerReferences: owners}
	}
	c := fakecluster.New(t, space,
		&appsv1.ReplicaSet{ObjectMeta: meta("web-1", controlled("Deployment", "apps/v1", "web"))},
		&appsv1.ReplicaSet{ObjectMeta: meta("canary-1", controlled("Rollout", "argoproj.io/v1alpha1", "canary"))},
		&appsv1.ReplicaSet{ObjectMeta: meta("alone", nil)},
		&batchv1.Job{ObjectMeta: meta("nightly-1", controlled("CronJob", "batch/v1", "nightly"))},
	)
	for want, owners := range map[string][]metav1.OwnerReference{
		"Pod p":            nil,
		"Deployment web":   controlled("ReplicaSet", "apps/v1", "web-1"),
		"Rollout canary":   controlled("ReplicaSet", "apps/v1", "canary-1"),
		"ReplicaSet alone": controlled("ReplicaSet", "apps/v1", "alone"),
		"StatefulSet db":   controlled("StatefulSet", "apps/v1", "db"),
		"DaemonSet agent":  controlled("DaemonSet", "apps/v1", "agent"),
		"CronJob nightly":  controlled("Job", "batch/v1", "nightly-1"),
		"Cluster pg":       controlled("Cluster", "postgresql.cnpg.io/v1", "pg"),
	} {
		got, err := c.Owner(t.Context(), &corev1.Pod{ObjectMeta: meta("p", owners)})
		if err != nil || got.String() != want {
			t.Errorf("Owner = %s, %v, want %s", got, err, want)
		}
	}
	if _, err := c.Owner(t.Context(), &corev1.Pod{ObjectMeta: meta("p", controlled("ReplicaSet", "apps/v1", "gone"))}); err == nil {
		t.Error("Owner of a pod whose ReplicaSet is gone: no error")
	}
}
