// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/tekton"
	tektonrender "github.com/knowngood/knowngood/tekton/render"
)

func tektonConfig() tektonrender.Config {
	return tektonrender.Config{
		Image: "ghcr.io/knowngood/knowngood:" + version, Version: version,
		ResultVariable: tekton.ResultVariable, RecordsVariable: tekton.RecordsVariable,
	}
}

// A sheet is one file of a folder, made when it is asked for.
type sheet struct {
	name string
	make func() (string, error)
}

func tektonFiles(spec step.Spec, all []step.Spec) ([]file, error) {
	if !spec.Has(step.Tekton) {
		return nil, nil
	}
	config, name := tektonConfig(), tektonrender.Name(spec)
	task, err := sheets("tekton/task/"+name+"/", []sheet{
		{name + ".yaml", yamlOf(func() (string, error) { return tektonrender.Task(spec, config) })},
		{"rbac.yaml", func() (string, error) {
			rbac, err := tektonrender.RBAC(spec)
			return tektonrender.File(rbac...), err
		}},
		{"README.md", func() (string, error) { return tektonrender.TaskReadme(spec, config), nil }},
		{"samples/run.yaml", yamlOf(func() (string, error) { return tektonrender.TaskSample(spec) })},
		{"tests/run.yaml", func() (string, error) {
			documents, err := tektonrender.TaskTest(spec, all, config)
			return tektonrender.File(documents...), err
		}},
	})
	if err != nil {
		return nil, err
	}
	for _, extra := range spec.Extras {
		more, err := sheets("tekton/task/"+name+"/"+extra.Name+"/", []sheet{{"rbac.yaml", func() (string, error) {
			rbac, err := tektonrender.ExtraRBAC(spec, extra)
			return tektonrender.File(rbac...), err
		}}})
		if err != nil {
			return nil, err
		}
		task = append(task, more...)
	}
	twin, err := sheets("tekton/stepaction/"+name+"/", []sheet{
		{name + ".yaml", yamlOf(func() (string, error) { return tektonrender.StepAction(spec, config) })},
		{"README.md", func() (string, error) { return tektonrender.StepActionReadme(spec, config), nil }},
		{"samples/run.yaml", yamlOf(func() (string, error) { return tektonrender.StepActionSample(spec) })},
	})
	return append(task, twin...), err
}

func releaseFiles(specs []step.Spec) ([]file, error) {
	config := tektonConfig()
	return sheets("tekton/pipeline/"+tektonrender.ReleaseName+"/", []sheet{
		{tektonrender.ReleaseName + ".yaml", yamlOf(func() (string, error) { return tektonrender.Release(specs, config) })},
		{"README.md", func() (string, error) { return tektonrender.ReleaseReadme(specs, config) }},
		{"samples/run.yaml", yamlOf(func() (string, error) { return tektonrender.ReleaseSample(specs) })},
	})
}

func yamlOf(document func() (string, error)) func() (string, error) {
	return func() (string, error) {
		text, err := document()
		return tektonrender.File(text), err
	}
}

func sheets(folder string, all []sheet) ([]file, error) {
	var files []file
	for _, s := range all {
		text, err := s.make()
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", folder, s.name, err)
		}
		files = append(files, file{folder + s.name, []byte(text)})
	}
	return files, nil
}
