// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/knowngood/knowngood/test/image/archive"
	"github.com/knowngood/knowngood/test/image/debian"
	"github.com/knowngood/knowngood/test/image/recipe"
)

// pairs is a repeatable flag of the form KEY=VALUE.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" {
		return errors.New("want NAME=VALUE")
	}
	p[key] = value
	return nil
}

// target is where an image goes; both parts are required.
type target struct{ tag, out string }

func (t *target) flags(set *flag.FlagSet) {
	set.StringVar(&t.tag, "t", "", "name of the image: HOST.DOMAIN/NAME:TAG")
	set.StringVar(&t.out, "o", "", "archive to write")
}

func (t *target) write(image v1.Image, stdout io.Writer) error {
	if err := archive.Write(t.out, t.tag, image); err != nil {
		return err
	}
	id, err := image.ConfigName()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s %s\n", t.tag, id)
	return err
}

// parse reads the flags and wants that many arguments after them.
func parse(set *flag.FlagSet, args []string, stderr io.Writer, count int) error {
	set.SetOutput(stderr)
	set.Usage = func() { fmt.Fprint(stderr, usage); set.PrintDefaults() }
	if err := set.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if set.NArg() != count {
		set.Usage()
		return errUsage
	}
	return nil
}

func build(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("image build", flag.ContinueOnError)
	r := recipe.Request{Stages: pairs{}, Bases: pairs{}, Args: pairs{}}
	var to target
	to.flags(set)
	set.StringVar(&r.Dockerfile, "f", "", "the recipe (default CONTEXT/Dockerfile)")
	set.StringVar(&r.Target, "target", "", "stage to build (default the last)")
	set.Var(pairs(r.Stages), "from", "STAGE=FOLDER: the folder stands for that stage's files")
	set.Var(pairs(r.Bases), "base", "REF=ARCHIVE: the image of a FROM")
	set.Var(pairs(r.Args), "build-arg", "NAME=VALUE of an ARG")
	set.BoolVar(&r.StandIn, "stand-in", false, "make a distroless static base here: users, certificate authorities, /tmp")
	set.StringVar(&r.Roots, "roots", recipe.DefaultRoots, "certificate authorities of a stand-in base")
	if err := parse(set, args, stderr, 1); err != nil {
		return err
	}
	if to.tag == "" || to.out == "" {
		return errors.New("image build needs -t NAME and -o FILE")
	}
	r.Context = set.Arg(0)
	if r.Dockerfile == "" {
		r.Dockerfile = filepath.Join(r.Context, "Dockerfile")
	}
	image, err := recipe.Build(ctx, r)
	if err != nil {
		return err
	}
	if err := tellStandIn(image, stderr); err != nil {
		return err
	}
	return to.write(image, stdout)
}

func tellStandIn(image v1.Image, stderr io.Writer) error {
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if base := file.Config.Labels[recipe.StandInLabel]; base != "" {
		fmt.Fprintf(stderr, "note: no registry was asked: %s is stood for by users, certificate authorities and /tmp made here\n", base)
	}
	return nil
}

func debianBase(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("image debian", flag.ContinueOnError)
	var to target
	var include, omit string
	r := debian.Request{Log: stderr}
	to.flags(set)
	set.StringVar(&include, "include", "", "packages, separated by commas")
	set.StringVar(&omit, "omit", "", "paths to leave out, separated by commas; * matches within a name")
	set.StringVar(&r.Suite, "suite", "", "code name of the release (default this host's)")
	set.StringVar(&r.Cache, "cache", "", "folder of the trees (default in the user's cache)")
	if err := parse(set, args, stderr, 0); err != nil {
		return err
	}
	if to.tag == "" || to.out == "" || include == "" {
		return errors.New("image debian needs -t NAME, -o FILE and --include PACKAGES (with commas)")
	}
	r.Include, r.Omit = split(include), split(omit)
	if err := defaults(&r); err != nil {
		return err
	}
	image, err := debian.Image(ctx, r)
	if err != nil {
		return err
	}
	return to.write(image, stdout)
}

func defaults(r *debian.Request) error {
	if r.Suite == "" {
		suite, err := debian.HostSuite()
		if err != nil {
			return err
		}
		r.Suite = suite
	}
	if r.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("finding the user's cache (or give --cache): %w", err)
		}
		r.Cache = filepath.Join(cache, "knowngood", "debian")
	}
	return nil
}

func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

func push(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("image push", flag.ContinueOnError)
	insecure := set.Bool("insecure", false, "speak plain HTTP to the registry")
	if err := parse(set, args, stderr, 2); err != nil {
		return err
	}
	var options []name.Option
	if *insecure {
		options = append(options, name.Insecure)
	}
	ref, err := name.NewTag(set.Arg(1), append(options, name.StrictValidation)...)
	if err != nil {
		return fmt.Errorf("image name %q: %w", set.Arg(1), err)
	}
	image, err := archive.Read(set.Arg(0))
	if err != nil {
		return err
	}
	if err := remote.Write(ref, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("pushing %s: %w", ref, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s@%s\n", ref, digest)
	return err
}
