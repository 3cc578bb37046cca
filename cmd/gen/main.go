// SPDX-License-Identifier: Apache-2.0

// Command gen writes every file that is made from the steps' declarations, or with -check
// names those that are stale.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	actionrender "github.com/knowngood/knowngood/action/render"
	"github.com/knowngood/knowngood/cmd/internal/steps"
	"github.com/knowngood/knowngood/pkg/step"
)

// version is what rendered Tasks say of themselves and which image they default to.
const version = "0.1.0"

func main() {
	check := flag.Bool("check", false, "compare the files instead of writing them")
	root := flag.String("root", ".", "root of the repository")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// A file is one generated file: its path below the root and its whole content.
type file struct {
	path    string
	content []byte
}

func run(root string, check bool) error {
	files, err := render(root)
	if err != nil {
		return err
	}
	var stale []error
	for _, f := range files {
		path := filepath.Join(root, filepath.FromSlash(f.path))
		if check {
			have, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(have, f.content) {
				stale = append(stale, fmt.Errorf("%s is stale: run go generate ./cmd/gen", f.path))
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // committed files
			return err
		}
		if err := os.WriteFile(path, f.content, 0o644); err != nil { //nolint:gosec // committed files
			return err
		}
	}
	return errors.Join(stale...)
}

func render(root string) ([]file, error) {
	var files []file
	specs := specs()
	for _, spec := range specs {
		files = append(files, actionFiles(spec)...)
		tasks, err := tektonFiles(spec, specs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", spec.Name, err)
		}
		files = append(files, tasks...)
	}
	pipeline, err := releaseFiles(specs)
	if err != nil {
		return nil, err
	}
	files = append(files, pipeline...)
	files = append(files, ownActions()...)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	readme, err = fill(readme, map[string]string{
		"steps": stepTable(specs), "statuses": statusTable(), "permissions": permissionTable(specs),
	})
	if err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	nouns, err := nounSchema(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", schemaPath, err)
	}
	return append(files, file{"README.md", readme}, file{"REFERENCE.md", []byte(reference(specs))},
		file{schemaPath, append(nouns, '\n')}), nil
}

func specs() []step.Spec {
	var all []step.Spec
	for _, one := range steps.All() {
		set := &step.Set{}
		one.Declare(set)
		if len(set.Faces) > 0 { // the others are for Jobs of our own
			all = append(all, set.Spec)
		}
	}
	return all
}

func actionFiles(spec step.Spec) []file {
	if !spec.Has(step.Action) {
		return nil
	}
	if spec.Name == "release" {
		return []file{{"action.yml", []byte(actionrender.File(actionrender.Action{
			Name: "knowngood", Description: "Never ship without a way back. " + spec.Summary,
			Spec: spec, Scripts: "action/scripts",
		}))}}
	}
	return []file{{"action/" + spec.ID() + "/action.yml", []byte(actionrender.File(actionrender.Action{
		Name: "knowngood " + spec.Name, Description: spec.Summary, Spec: spec, Scripts: "../scripts",
		Last: spec.Name == "report" || spec.Name == "deploy finish",
	}))}}
}

// ownActions are the Actions that are no step: they prepare the runner and tidy it.
func ownActions() []file {
	return []file{
		{"action/setup/action.yml", []byte(actionrender.Setup(actionrender.Action{
			Name: "knowngood setup", Description: "Put knowngood on the PATH of the steps that follow.", Scripts: "../scripts",
		}))},
		{"action/clean-up/action.yml", []byte(actionrender.CleanUp(actionrender.Action{
			Name: "knowngood clean-up", Description: "Remove what the steps of this job left on the runner. Use it with if: always(), after the last of them.", Scripts: "../scripts",
		}))},
	}
}
