// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Existing makes the place the cluster of the current kubeconfig, after asking: what an earlier
// demonstration left in its namespace there is deleted first. The context is the one that is
// current now, whatever becomes current while the demonstration runs.
func (s *Settings) Existing(ctx context.Context, registry string, answers io.Reader, yes bool) error {
	if registry == "" {
		return errors.New("set IMAGE_REGISTRY to a registry that the cluster pulls from, e.g. registry.example.org/me: the shop's images are pushed there")
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return fmt.Errorf("an existing cluster needs kubectl: %w", err)
	}
	s.Registry, s.Kubectl, s.Namespace = registry, kubectl, "knowngood-demo"
	if err := s.keepKubeconfig(ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "This deploys a shop into namespace %s of context %s, with images from %s.\n"+
		"A namespace of that name which an earlier demonstration left is deleted first.\n", s.Namespace, s.Context, registry)
	if err := s.suits(ctx); err != nil {
		return err
	}
	s.End = fmt.Sprintf("kubectl --context %s delete namespace %s", s.Context, s.Namespace)
	if !yes {
		fmt.Fprint(s.Out, "Go on? [y/N] ")
		line, err := bufio.NewReader(answers).ReadString('\n')
		if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
			return errors.Join(errors.New("not asked for: nothing was done"), ignoreEOF(err))
		}
	}
	return s.freshNamespace(ctx)
}

// keepKubeconfig writes the current context, and no other, into a kubeconfig of the journey's
// own: KUBECONFIG may list several files, and its current context may change.
func (s *Settings) keepKubeconfig(ctx context.Context) error {
	current, err := s.ask(ctx, "config", "current-context")
	if err != nil {
		return fmt.Errorf("which cluster? %w", err)
	}
	config, err := s.ask(ctx, "config", "view", "--raw", "--flatten", "--minify")
	if err != nil {
		return err
	}
	s.Context, s.Kubeconfig = strings.TrimSpace(current), filepath.Join(s.Work, "kubeconfig")
	return os.WriteFile(s.Kubeconfig, []byte(config), 0o600)
}

// suits asks the cluster for what the shop needs, and whether the namespace is ours to delete.
func (s *Settings) suits(ctx context.Context) error {
	for group, cure := range map[string]string{
		"cert-manager.io":         "install cert-manager",
		"snapshot.storage.k8s.io": "install the snapshot CRDs, the snapshot-controller and a CSI driver that takes snapshots",
	} {
		kinds, err := s.ask(ctx, "--kubeconfig", s.Kubeconfig, "api-resources", "--api-group="+group, "--output=name")
		if err != nil {
			return err
		}
		if strings.TrimSpace(kinds) == "" {
			return fmt.Errorf("context %s has no API %s: %s", s.Context, group, cure)
		}
	}
	owner, err := s.ask(ctx, "--kubeconfig", s.Kubeconfig, "get", "namespace", s.Namespace, "--ignore-not-found",
		"--output", `jsonpath=there{.metadata.labels.app\.kubernetes\.io/managed-by}`)
	if err != nil {
		return err
	}
	if owner != "" && owner != "there"+manager {
		return fmt.Errorf("namespace %s of context %s is there and is not of a demonstration (label app.kubernetes.io/managed-by=%s): rename or delete it",
			s.Namespace, s.Context, manager)
	}
	return nil
}

// ask runs kubectl and returns what it prints; what it says on standard error is the error.
func (s *Settings) ask(ctx context.Context, args ...string) (string, error) {
	output, err := exec.CommandContext(ctx, s.Kubectl, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(output), err
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
