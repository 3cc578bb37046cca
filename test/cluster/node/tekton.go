// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/knowngood/knowngood/test/cluster/image"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// Tekton is the name of the part that an instance may have besides Kubernetes.
const Tekton = "tekton"

// tektonImages are the programs that Tekton's controller puts into pods, by the flag that names their image.
var tektonImages = map[string]string{
	"entrypoint-image": "entrypoint", "nop-image": "nop", "workingdirinit-image": "workingdirinit",
}

// tekton is Tekton Pipelines: webhook and controller, as upstream deploys them but for the remote resolvers, events and metrics.
func (n *node) tekton() []supervise.Component {
	admin := "--kubeconfig=" + n.in.Admin()
	return []supervise.Component{
		{
			Name: "tekton-definitions", After: []string{"custom-resources"},
			Before: n.tektonDefinitions,
			Ready: func(ctx context.Context) error {
				return n.kubectl(ctx, nil, "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
			},
		},
		{
			Name: "tekton-images", After: []string{"containerd"},
			Before: n.tektonImages,
		},
		{
			Name: "tekton-webhook", After: []string{"tekton-definitions"},
			Command: []string{n.in.Program("tekton-webhook"), admin},
			Env: append(tektonEnvironment("webhook", 10281),
				"WEBHOOK_PORT=10280", "WEBHOOK_SERVICE_NAME=tekton-pipelines-webhook", "WEBHOOK_SECRET_NAME=webhook-certs",
				"WEBHOOK_ADMISSION_CONTROLLER_NAME=webhook.pipeline.tekton.dev"),
			Ready: serves("127.0.0.1:10280"),
		},
		{
			Name: "tekton-controller", After: []string{"tekton-definitions", "tekton-images"},
			Command: append([]string{n.in.Program("tekton-controller"), admin, "--disable-ha"}, tektonImageFlags()...),
			Env:     tektonEnvironment("controller", 10284),
			Ready:   n.api.answers("http://127.0.0.1:10284/readiness"),
		},
		{
			// The API server asks the webhook only when that has written itself into the webhook configurations.
			Name: "tekton", After: []string{"tekton-webhook", "tekton-controller", "kube-proxy"},
			Ready: n.tektonRefuses,
		},
	}
}

// tektonEnvironment is what upstream's Deployments set; three ports from first on are for probes, metrics and profiling.
func tektonEnvironment(program string, first int) []string {
	return []string{
		"SYSTEM_NAMESPACE=tekton-pipelines", "POD_NAME=" + program, "KUBERNETES_MIN_VERSION=v1.28.0",
		"CONFIG_DEFAULTS_NAME=config-defaults", "CONFIG_LOGGING_NAME=config-logging", "CONFIG_OBSERVABILITY_NAME=config-observability",
		"CONFIG_FEATURE_FLAGS_NAME=feature-flags", "CONFIG_LEADERELECTION_NAME=config-leader-election-" + program, "CONFIG_SPIRE=config-spire",
		"METRICS_DOMAIN=tekton.dev/pipeline", fmt.Sprintf("PROBES_PORT=%d", first),
		fmt.Sprintf("METRICS_PROMETHEUS_PORT=%d", first+1), fmt.Sprintf("PROFILING_PORT=%d", first+2),
	}
}

func tektonImageFlags() []string {
	// Used by steps with a script, by Windows and by large results: the controller wants their names, and no such pod is made here.
	flags := []string{"-shell-image", "knowngood.test/none:1", "-shell-image-win", "knowngood.test/none:1", "-sidecarlogresults-image", "knowngood.test/none:1"}
	for flag, program := range tektonImages {
		flags = append(flags, "-"+flag, tektonImage(program))
	}
	return flags
}

func tektonImage(program string) string { return "knowngood.test/tekton-" + program + ":1" }

// tektonDefinitions applies upstream's files. Tekton's own init containers get a restricted security context, without which
// namespaces of that Pod Security level refuse every TaskRun.
func (n *node) tektonDefinitions(ctx context.Context) error {
	if err := n.kubectl(ctx, nil, "apply", "--server-side", "--force-conflicts", "-f", n.in.Program("tekton")+"/"); err != nil {
		return err
	}
	if err := n.kubectl(ctx, nil, "-n", "tekton-pipelines", "patch", "configmap", "feature-flags", "--type=merge", "-p",
		`{"data":{"set-security-context":"true","set-security-context-read-only-root-filesystem":"true"}}`); err != nil {
		return err
	}
	return n.apply("tekton.yaml")(ctx)
}

func (n *node) tektonImages(ctx context.Context) error {
	for _, program := range tektonImages {
		data, err := os.ReadFile(n.in.Program(program))
		if err != nil {
			return err
		}
		archive, err := image.Archive(tektonImage(program), "ko-app/"+program, data)
		if err != nil {
			return err
		}
		if err := n.importImage(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

// tektonRefuses proves the webhook by a Task that it has to refuse.
func (n *node) tektonRefuses(ctx context.Context) error {
	text, err := render(n.in, "task-probe.yaml")
	if err != nil {
		return err
	}
	err = n.kubectl(ctx, text, "create", "--dry-run=server", "-f", "-")
	if err == nil {
		return errors.New("a wrong Task is accepted: the API server does not ask Tekton's webhook yet")
	}
	if strings.Contains(err.Error(), "validation.webhook.pipeline.tekton.dev") && strings.Contains(err.Error(), "params.absent") {
		return nil
	}
	return err
}
