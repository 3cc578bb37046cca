// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/release"
)

// StandardConfig is read where no other file is named, if it exists.
const StandardConfig = ".knowngood.yaml"

// A Config is the configuration by which a step works. It is read once, so that inputs, policy
// and commands come from the same bytes.
type Config struct {
	Policy *policy.Policy
	// Use says for the record which file counted; nil where there is none.
	Use *release.Config
	// place is where the configuration of a base came from; nil where files count as they lie.
	place *ConfigPlace
}

// rules returns the policy; without a configuration it is the built-in one.
func (c Config) rules() *policy.Policy {
	if c.Policy == nil {
		return policy.Default()
	}
	return c.Policy
}

// A ConfigPlace says which configuration counts, and where it can be read.
type ConfigPlace struct {
	Dir     string
	Environ []string
	// Path is as the person gave it; "" is StandardConfig, which need not exist.
	Path string
	// Base is the commit whose file counts; "" takes the file as it lies.
	Base string
	// Forge is asked for the file where the checkout lacks the base.
	Forge func() (*pullrequest.Client, error)
}

// ReadConfig reads the configuration. With a base it is the base's file, whatever lies in the
// checkout: a change must not choose the rules by which it is judged, nor the commands that are
// run. A base that cannot be read is an error. A path outside of the checkout is the workflow's
// own, which no commit of the checkout can change, and is read as it lies.
func ReadConfig(ctx context.Context, from ConfigPlace) (Config, error) {
	if from.Base != "" {
		base, err := release.ParseCommit(from.Base)
		if err != nil {
			return Config{}, fault.Hint(fault.Usagef("--base: %w", err), "give the full id of the commit that the change is to be merged into")
		}
		checkout, path, err := from.inCheckout(ctx)
		if err != nil {
			return Config{}, err
		}
		if path != "" {
			config, err := from.asOf(ctx, base, checkout, path)
			config.place = &from
			return config, err
		}
	}
	config, err := from.asItLies()
	if from.Base != "" {
		config.place = &from
	}
	return config, err
}

func (from ConfigPlace) asItLies() (Config, error) {
	data, err := os.ReadFile(within(from.Dir, from.name()))
	if errors.Is(err, fs.ErrNotExist) && from.Path == "" {
		return Config{Policy: policy.Default()}, nil
	}
	if err != nil {
		return Config{}, fault.Hint(fault.Exit(fault.Usage, err), "--config names the configuration, %s by default", StandardConfig)
	}
	return parsed(from.name(), data, release.Config{File: from.name()})
}

func (from ConfigPlace) name() string { return cmp.Or(from.Path, StandardConfig) }

func parsed(name string, data []byte, use release.Config) (Config, error) {
	rules, err := policy.Parse(name, data)
	if err != nil {
		return Config{}, err
	}
	return Config{Policy: rules, Use: &use}, nil
}

// asOf reads the file as the base has it. The name in errors and decisions says so.
func (from ConfigPlace) asOf(ctx context.Context, base release.Commit, checkout *git.Checkout, path string) (Config, error) {
	use := release.Config{File: from.name(), Base: base}
	data, err := from.fileAt(ctx, base, checkout, path)
	absent := errors.Is(err, git.ErrNoFile) || errors.Is(err, pullrequest.ErrNoFile)
	if err != nil && !absent {
		return Config{}, fmt.Errorf("configuration of the base: %w", err)
	}
	use.Pending = from.differs(data, absent)
	switch {
	case absent && from.Path != "":
		return Config{}, fault.Hint(fault.Usagef("configuration of the base: %s has no %s", base.Short(), path),
			"a configuration counts once it is merged: until then leave the input config out")
	case absent && !use.Pending:
		return Config{Policy: policy.Default()}, nil
	case absent:
		return Config{Policy: policy.Default(), Use: &use}, nil
	}
	return parsed(from.name()+"@"+base.Short(), data, use)
}

// fileAt asks the checkout, which costs nothing, then GitHub.
func (from ConfigPlace) fileAt(ctx context.Context, base release.Commit, checkout *git.Checkout, path string) ([]byte, error) {
	missed := git.ErrNoRepository
	if checkout != nil {
		data, err := checkout.File(ctx, base, path)
		if err == nil || errors.Is(err, git.ErrNoFile) || errors.Is(err, git.ErrIrregular) {
			return data, err
		}
		missed = err
	}
	client, err := from.Forge()
	if err != nil {
		return nil, errors.Join(missed, err)
	}
	defer client.Close()
	data, err := client.File(ctx, string(base), path)
	if err != nil && !errors.Is(err, pullrequest.ErrNoFile) {
		return nil, errors.Join(missed, err)
	}
	return data, err
}

// mostCompared is more than any configuration has. What lies in the checkout may be anything.
const mostCompared = 1 << 20

// differs tells whether the file in the checkout is another than the base's.
func (from ConfigPlace) differs(base []byte, absent bool) bool {
	path := within(from.Dir, from.name())
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return !absent
	}
	if err != nil || absent || !info.Mode().IsRegular() || info.Size() > mostCompared {
		return true
	}
	here, err := os.ReadFile(path)
	return err != nil || string(here) != string(base)
}

// inCheckout returns the repository that the configuration lies in and its path there, "" for
// one outside. Without git the working directory stands for the repository's top folder. A
// path counts as inside by its words or by where its links lead: a link in the checkout must
// not lead out of the rule.
func (from ConfigPlace) inCheckout(ctx context.Context) (*git.Checkout, string, error) {
	dir, err := filepath.EvalSymlinks(from.Dir)
	if err != nil {
		return nil, "", fmt.Errorf("configuration of the base: %w", err)
	}
	full := within(dir, from.name())
	checkout, root, err := from.repository(ctx, dir, full)
	if err != nil {
		return nil, "", err
	}
	for _, top := range []string{root, dir} {
		for _, path := range []string{full, filepath.Join(followed(filepath.Dir(full)), filepath.Base(full))} {
			if inside, err := filepath.Rel(top, path); err == nil && filepath.IsLocal(inside) {
				return checkout, filepath.ToSlash(inside), nil
			}
		}
	}
	return nil, "", nil
}

// repository opens the repository of the working directory or, where that is none, of the
// folder that the configuration is in.
func (from ConfigPlace) repository(ctx context.Context, dir, file string) (*git.Checkout, string, error) {
	for _, place := range []string{dir, followed(filepath.Dir(file))} {
		if !strings.HasPrefix(place+"/", dir+"/") {
			continue
		}
		checkout, err := git.Open(ctx, place, from.Environ)
		if errors.Is(err, git.ErrNoGit) || errors.Is(err, git.ErrNoRepository) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		root, err := checkout.Root(ctx)
		return checkout, root, err
	}
	return nil, dir, nil
}

// followed resolves the links of a path as far as it exists.
func followed(path string) string {
	rest := ""
	for at := path; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == filepath.Dir(at) {
			return path
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}
