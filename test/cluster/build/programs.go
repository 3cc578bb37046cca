// SPDX-License-Identifier: Apache-2.0

// Package build makes the cluster's programs from source, once: they are kept in the user's cache under a key of all that
// they are built from.
package build

import "strings"

// Versions that are linked into programs which would otherwise not know them.
const (
	kubernetes = "v1.37.2"
	containerd = "v2.3.7"
)

// program is a main package of a module.
type program struct {
	name   string   // of the file: the last element of the package path
	pkg    string   // as go build wants it, in its module's folder
	local  string   // folder with the package's own sources, below the module's; "": the module cache has them
	called []string // names by which it is called besides its own
}

// module is a folder with a go.mod whose programs are built in one run of go build.
type module struct {
	dir      string
	part     string // built only for instances that have this part; "": for all
	tags     string
	ldflags  string
	programs []program
}

// files are copied from modules of the module cache: CustomResourceDefinitions are part of what upstream publishes.
type files struct{ module, pattern string }

// A folder of files of one name, kept beside the programs.
type folder struct {
	name, part string
	files      []files
}

// folders is what there is to copy.
func folders() []folder {
	const tekton = "github.com/tektoncd/pipeline"
	return []folder{
		{name: "crds", files: crds},
		{name: "tekton", part: "tekton", files: []files{
			{tekton, "config/100-namespace/*.yaml"},
			{tekton, "config/20?-*.yaml"},
			{tekton, "config/300-crds/*.yaml"},
			{tekton, "config/500-webhooks.yaml"},
			{tekton, "config/config-*.yaml"},
		}},
	}
}

var crds = []files{
	{"github.com/kubernetes-csi/external-snapshotter/client/v8", "config/crd/*storage.k8s.io_*.yaml"},
	{"github.com/cert-manager/cert-manager", "deploy/crds/*.yaml"},
}

// modules is what there is to build.
func modules() []module {
	return []module{
		{
			dir: "parts", ldflags: "-s -w " + kubernetesVersion(),
			programs: []program{
				{name: "kube", pkg: "./kube", local: "kube", called: []string{
					"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
				}},
				{name: "csi-provisioner", pkg: "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"},
				{name: "csi-snapshotter", pkg: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"},
				{name: "snapshot-controller", pkg: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"},
				{name: "certcontroller", pkg: "./certcontroller", local: "certcontroller"},
				{name: "cainjector", pkg: "./cainjector", local: "cainjector"},
				{name: "webhook-binary", pkg: "github.com/cert-manager/cert-manager/webhook-binary", local: "certwebhook"},
				{name: "dns", pkg: "./dns", local: "dns"},
				{name: "driver", pkg: "./driver", local: "driver"},
				{name: "pause", pkg: "./pause", local: "pause"},
			},
		},
		{
			dir: "parts", part: "tekton", ldflags: "-s -w " + kubernetesVersion(),
			programs: []program{
				{name: "controller", pkg: "github.com/tektoncd/pipeline/cmd/controller", called: []string{"tekton-controller"}},
				{name: "webhook", pkg: "github.com/tektoncd/pipeline/cmd/webhook", called: []string{"tekton-webhook"}},
				{name: "entrypoint", pkg: "github.com/tektoncd/pipeline/cmd/entrypoint"},
				{name: "nop", pkg: "github.com/tektoncd/pipeline/cmd/nop"},
				{name: "workingdirinit", pkg: "github.com/tektoncd/pipeline/cmd/workingdirinit"},
			},
		},
		{
			dir: "parts/containerd", tags: "no_btrfs,no_devmapper,no_zfs",
			ldflags: "-s -w -X github.com/containerd/containerd/v2/version.Version=" + containerd,
			programs: []program{
				{name: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd"},
				{name: "containerd-shim-runc-v2", pkg: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
				{name: "ctr", pkg: "github.com/containerd/containerd/v2/cmd/ctr"},
			},
		},
	}
}

// kubernetesVersion are the linker's flags for the version that every Kubernetes program reports. Without them it is not even
// a valid one, and clients that compare it refuse to work.
func kubernetesVersion() string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(kubernetes, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, set := range []string{
			"gitVersion=" + kubernetes, "gitMajor=" + major, "gitMinor=" + minor, "gitTreeState=clean",
			"gitCommit=" + strings.Repeat("0", 40), "buildDate=2026-01-01T00:00:00Z",
		} {
			flags = append(flags, "-X "+pkg+"."+set)
		}
	}
	return strings.Join(flags, " ")
}
