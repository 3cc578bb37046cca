// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/knowngood/knowngood/cmd/internal/steps"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/step"
)

// configSource reads "inputs:" of the configuration file, if there is one.
func (p Program) configSource(ctx context.Context, set *step.Set, env step.Source) (step.Source, error) {
	none := func(step.Input) (string, bool, error) { return "", false, nil }
	var config step.Input
	for _, in := range set.Inputs {
		if in.Name == "config" {
			config = in
		}
	}
	if config.Name == "" {
		return none, nil
	}
	path := set.Value("config")
	if !set.Given("config") {
		if value, ok, err := env(config); err != nil {
			return nil, err
		} else if ok {
			path = value
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return p.readConfig(path)
}

// standardConfig is read where no other file is named, if it exists.
const standardConfig = ".knowngood.yaml"

func (p Program) readConfig(path string) (step.Source, error) {
	name := path
	if path == "" {
		name = standardConfig
	}
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(p.Dir, full)
	}
	data, err := os.ReadFile(full)
	if errors.Is(err, fs.ErrNotExist) && path == "" {
		return func(step.Input) (string, bool, error) { return "", false, nil }, nil
	}
	if err != nil {
		return nil, fault.Hint(fault.Exit(fault.Usage, err), "--config names the configuration, %s by default", standardConfig)
	}
	parsed, err := policy.Parse(name, data)
	if err != nil {
		return nil, err
	}
	values := parsed.Inputs()
	if err := p.checkNames(name, values); err != nil {
		return nil, err
	}
	return func(in step.Input) (string, bool, error) {
		value, ok := values[in.Name]
		return value, ok, nil
	}, nil
}

// checkNames refuses what no step has as an input, and secrets, which must not be committed.
func (p Program) checkNames(path string, values map[string]string) error {
	kinds := map[string]step.Input{}
	for _, one := range steps.All() {
		set := &step.Set{}
		one.Declare(set)
		for _, in := range set.Inputs {
			kinds[in.Name] = in
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		in, known := kinds[name]
		switch {
		case !known:
			err := fault.Usagef("%s: inputs: no step has an input %q", path, name)
			if near := fault.Nearest(name, slices.Sorted(maps.Keys(kinds))); near != "" {
				err = fault.Hint(err, "did you mean %s?", near)
			}
			errs = append(errs, err)
		case in.Kind == step.Secret:
			errs = append(errs, fault.Hint(fault.Usagef("%s: inputs: %s is a secret and may not stand in a file that is committed", path, name),
				"give it as %s in the environment", in.Env()))
		case name == "config":
			errs = append(errs, fault.Usagef("%s: inputs: config names this very file", path))
		}
	}
	return errors.Join(errs...)
}
