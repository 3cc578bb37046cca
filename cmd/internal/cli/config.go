// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/cmd/internal/steps"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/step"
)

// configuration reads the configuration that counts. What says where it lies has to be known
// before: flag, environment and face tell it, never the file itself.
func (p Program) configuration(ctx context.Context, in invocation, sources ...step.Source) (steps.Config, error) {
	if !declares(in.set, "config") {
		return steps.Config{}, nil
	}
	early := func(name string) (string, error) { return early(in.set, name, sources) }
	path, err := early("config")
	if err != nil {
		return steps.Config{}, err
	}
	base, err := early("base")
	if err != nil {
		return steps.Config{}, err
	}
	config, err := steps.ReadConfig(ctx, steps.ConfigPlace{
		Dir: p.Dir, Environ: p.Environ, Path: path, Base: base,
		Forge: func() (*pullrequest.Client, error) { return p.forge(early) },
	})
	if err != nil || config.Use == nil {
		return config, err
	}
	return config, p.checkNames(config.Use.File, config.Policy.Inputs())
}

func declares(set *step.Set, name string) bool {
	return slices.ContainsFunc(set.Inputs, func(in step.Input) bool { return in.Name == name })
}

// early returns the value of an input before the inputs are completed.
func early(set *step.Set, name string, sources []step.Source) (string, error) {
	if set.Given(name) {
		return set.Value(name), nil
	}
	for _, in := range set.Inputs {
		if in.Name != name {
			continue
		}
		for _, source := range sources {
			if value, ok, err := source(in); err != nil || ok && value != "" {
				return value, err
			}
		}
	}
	return set.Value(name), nil
}

// forgePatience is how long one question to GitHub may take that a step asks before its work.
const forgePatience = 20 * time.Second

// forge returns a client of the GitHub that the early inputs name.
func (p Program) forge(early func(string) (string, error)) (*pullrequest.Client, error) {
	values := map[string]string{}
	for _, name := range []string{"github-api-url", "token", "source-repository"} {
		value, err := early(name)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	return pullrequest.New(pullrequest.Options{
		API: values["github-api-url"], Token: strings.TrimRight(values["token"], "\r\n"), Repository: values["source-repository"],
		Agent: "knowngood/" + p.Version, Now: p.Now, Patience: forgePatience,
	})
}

// configSource gives the inputs that the configuration names.
func configSource(config steps.Config) step.Source {
	if config.Use == nil {
		return func(step.Input) (string, bool, error) { return "", false, nil }
	}
	values := config.Policy.Inputs()
	return func(in step.Input) (string, bool, error) {
		value, ok := values[in.Name]
		return value, ok, nil
	}
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
		case name == "config", name == "base":
			errs = append(errs, fault.Usagef("%s: inputs: %s says where this very file is read", path, name))
		}
	}
	return errors.Join(errs...)
}
