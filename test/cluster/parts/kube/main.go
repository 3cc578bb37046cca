// SPDX-License-Identifier: Apache-2.0

// Command kube is etcd, the Kubernetes control plane, the node's agents and kubectl in one binary: one link instead of
// seven, and a quarter of the bytes. The name it is called by (a symbolic link, or the first argument) picks the program.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	os.Exit(run(context.Background()))
}

func run(ctx context.Context) int {
	daemons := map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllers.NewControllerManagerCommand,
		"kube-proxy":              proxy.NewProxyCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(ctx) },
	}
	name := filepath.Base(os.Args[0])
	if daemons[name] == nil && name != "kubectl" && name != "etcd" && len(os.Args) > 1 {
		os.Args = os.Args[1:] // the programs below read os.Args themselves
		name = os.Args[0]
	}
	switch daemon := daemons[name]; {
	case name == "etcd":
		etcdmain.Main(os.Args)
		return 0
	case name == "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err) // prints and exits as kubectl does
		}
		return 0
	case daemon != nil:
		return cli.Run(daemon())
	}
	fmt.Fprintf(os.Stderr, "kube: no program %q: want etcd, kubectl, %s\n", name, strings.Join(slices.Sorted(maps.Keys(daemons)), ", "))
	return 2
}
