// SPDX-License-Identifier: Apache-2.0

// Package docs holds YAML that people copy to the programs that will read it: actionlint and our
// own action.yml for workflows, Tekton's and Kubernetes's own types, and our parser of policies.
package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/knowngood/knowngood/pkg/policy"
)

// Check says what is wrong with a text of YAML by what it is: a workflow, Kubernetes objects, or
// a configuration of ours. root is the root of the project.
func Check(ctx context.Context, root, text string) error {
	var shape map[string]any
	for first := range strings.SplitSeq("\n"+text, "\n---\n") {
		if err := yaml.Unmarshal([]byte(first), &shape); err != nil {
			return err
		}
		if len(shape) > 0 {
			break
		}
	}
	switch {
	case shape["jobs"] != nil:
		return errors.Join(lint(ctx, root, text), inputs(root, text))
	case shape["apiVersion"] != nil:
		return objects(ctx, text)
	case shape["gate"] != nil || shape["inputs"] != nil:
		_, err := policy.Parse(".knowngood.yaml", []byte(text))
		return err
	}
	return errors.New("neither a workflow, nor an object of Kubernetes, nor a configuration of ours")
}

// lint runs actionlint, which has a module of its own since it needs other versions of what we
// need, too.
func lint(ctx context.Context, root, text string) error {
	folder, err := os.MkdirTemp("", "actionlint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	tool, err := actionlint(ctx, root)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, tool, "-no-color", "-oneline", "-shellcheck=", "-pyflakes=", "-")
	command.Dir, command.Stdin = folder, strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("actionlint: %w\n%s", err, output)
	}
	return nil
}

// actionlint builds the program where the go command has not built it yet, and returns its path.
func actionlint(ctx context.Context, root string) (string, error) {
	command := exec.CommandContext(ctx, "go", "-C", filepath.Join(root, "test/tools/actionlint"), "tool", "-n", "actionlint")
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("build actionlint: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}

// inputs checks that our Actions exist and have the inputs that they are given, which no linter
// can know of an Action that is not there yet.
func inputs(root, text string) error {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string
				With map[string]any
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
		return err
	}
	var errs []error
	for _, job := range workflow.Jobs {
		for _, one := range job.Steps {
			folder, ours := strings.CutPrefix(one.Uses, "knowngood/knowngood")
			if !ours {
				continue
			}
			folder, _, _ = strings.Cut(folder, "@")
			errs = append(errs, given(filepath.Join(root, path.Clean("/"+folder), "action.yml"), one.With))
		}
	}
	return errors.Join(errs...)
}

func given(file string, with map[string]any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var action struct{ Inputs map[string]any }
	if err := yaml.Unmarshal(data, &action); err != nil {
		return err
	}
	for name := range with {
		if _, known := action.Inputs[name]; !known {
			return fmt.Errorf("%s has no input %s", file, name)
		}
	}
	return nil
}

// objects parses objects strictly, and asks Tekton about its own.
func objects(ctx context.Context, text string) error {
	var errs []error
	for one := range strings.SplitSeq("\n"+text, "\n---\n") {
		var shape map[string]any
		if err := yaml.Unmarshal([]byte(one), &shape); err != nil {
			return err
		}
		if len(shape) == 0 {
			continue // a comment before the first
		}
		kind, _ := shape["kind"].(string)
		errs = append(errs, object(ctx, kind, []byte(one)))
	}
	return errors.Join(errs...)
}

func object(ctx context.Context, kind string, text []byte) error {
	switch kind {
	case "PipelineRun":
		var run pipeline.PipelineRun
		if err := yaml.UnmarshalStrict(text, &run); err != nil {
			return err
		}
		if run.Name == "" {
			run.Name = run.GenerateName + "1" // as the server names it
		}
		run.SetDefaults(ctx)
		if err := run.Validate(ctx); err != nil {
			return err
		}
		return nil
	case "ServiceAccount":
		return yaml.UnmarshalStrict(text, &corev1.ServiceAccount{})
	case "Secret":
		return yaml.UnmarshalStrict(text, &corev1.Secret{})
	case "Role":
		return yaml.UnmarshalStrict(text, &rbacv1.Role{})
	case "ClusterRole":
		return yaml.UnmarshalStrict(text, &rbacv1.ClusterRole{})
	case "RoleBinding":
		return yaml.UnmarshalStrict(text, &rbacv1.RoleBinding{})
	case "ClusterRoleBinding":
		return yaml.UnmarshalStrict(text, &rbacv1.ClusterRoleBinding{})
	}
	return fmt.Errorf("a %q is checked by nothing", kind)
}
