// SPDX-License-Identifier: Apache-2.0

// Package recipe makes an image from what a Dockerfile says, without Docker, a
// registry or a running container. It follows the instructions that only place
// files and set configuration. RUN is never executed: an earlier stage that runs
// something is stood for by a folder with that stage's files, and a RUN in the
// stage that is built is refused, like everything else that is not followed.
package recipe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// A Request says what to build.
type Request struct {
	Dockerfile string            // path of the recipe
	Context    string            // folder that COPY reads; its .dockerignore is honoured
	Target     string            // name of the stage to build; empty builds the last
	Stages     map[string]string // COPY --from name → folder that stands for its root
	Bases      map[string]string // FROM reference → archive that holds it
	Args       map[string]string // --build-arg
	StandIn    bool              // make distroless static bases here, see base.go
	Roots      string            // certificate bundle of a stand-in base
}

// Build makes the image. Its digest depends on the recipe, the files that it
// copies (contents, names, executable or not) and the bases alone.
func Build(ctx context.Context, r Request) (v1.Image, error) {
	file, err := parse(r.Dockerfile)
	if err != nil {
		return nil, err
	}
	platform := platformArgs()
	meta, err := file.metaArgs(r.Args, platform)
	if err != nil {
		return nil, err
	}
	if err := file.checkArgs(r.Args, platform); err != nil {
		return nil, err
	}
	stage, err := file.stage(r.Target)
	if err != nil {
		return nil, err
	}
	b := &builder{request: r, file: file, meta: meta, platform: platform, have: map[string]kind{}}
	if err := b.from(stage); err != nil {
		return nil, err
	}
	for _, command := range stage.Commands {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := b.follow(command); err != nil {
			return nil, fmt.Errorf("%s: %w", file.place(command.Location()), err)
		}
	}
	return b.image()
}

// platformArgs are the arguments that every build knows, for the one platform
// there is here: this machine's.
func platformArgs() map[string]string {
	platform := "linux/" + runtime.GOARCH
	args := map[string]string{}
	for _, side := range []string{"BUILD", "TARGET"} {
		args[side+"PLATFORM"], args[side+"OS"], args[side+"ARCH"], args[side+"VARIANT"] = platform, "linux", runtime.GOARCH, ""
	}
	return args
}

// A dockerfile is a parsed recipe.
type dockerfile struct {
	name   string
	lex    *shell.Lex
	stages []instructions.Stage
	meta   []instructions.ArgCommand
}

func parse(path string) (*dockerfile, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the recipe: %w", err)
	}
	defer in.Close()
	parsed, err := parser.Parse(in)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	stages, meta, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	if len(stages) == 0 {
		return nil, fmt.Errorf("parsing %s: no FROM", path)
	}
	return &dockerfile{name: filepath.Base(path), lex: shell.NewLex(parsed.EscapeToken), stages: stages, meta: meta}, nil
}

// place is the file and line of an instruction.
func (d *dockerfile) place(at []parser.Range) string {
	if len(at) == 0 {
		return d.name
	}
	return fmt.Sprintf("%s:%d", d.name, at[0].Start.Line)
}

// metaArgs are the values of the ARGs before the first FROM.
func (d *dockerfile) metaArgs(given, platform map[string]string) (map[string]string, error) {
	values := map[string]string{}
	for k, v := range platform {
		values[k] = v
	}
	for _, command := range d.meta {
		for _, arg := range command.Args {
			value, known, err := d.argument(arg, given, values)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.place(command.Location()), err)
			}
			if known {
				values[arg.Key] = value
			}
		}
	}
	return values, nil
}

// argument is the value of one ARG: what was given, else its default, else what
// an outer scope holds.
func (d *dockerfile) argument(arg instructions.KeyValuePairOptional, given, outer map[string]string) (string, bool, error) {
	if value, ok := given[arg.Key]; ok {
		return value, true, nil
	}
	if arg.Value != nil {
		value, err := d.expand(*arg.Value, outer)
		return value, true, err
	}
	value, ok := outer[arg.Key]
	return value, ok, nil
}

func (d *dockerfile) expand(word string, values map[string]string) (string, error) {
	list := make([]string, 0, len(values))
	for k, v := range values {
		list = append(list, k+"="+v)
	}
	result, _, err := d.lex.ProcessWord(word, shell.EnvsFromSlice(list))
	return result, err
}

// checkArgs refuses a build argument that no ARG asks for: it is a typing error.
func (d *dockerfile) checkArgs(given, platform map[string]string) error {
	declared := map[string]bool{}
	for k := range platform {
		declared[k] = true
	}
	note := func(c instructions.ArgCommand) {
		for _, a := range c.Args {
			declared[a.Key] = true
		}
	}
	for _, c := range d.meta {
		note(c)
	}
	for _, s := range d.stages {
		for _, c := range s.Commands {
			if a, ok := c.(*instructions.ArgCommand); ok {
				note(*a)
			}
		}
	}
	for name := range given {
		if !declared[name] {
			return fmt.Errorf("build argument %s: %s has no ARG of that name", name, d.name)
		}
	}
	return nil
}

// stage finds the stage to build.
func (d *dockerfile) stage(name string) (instructions.Stage, error) {
	if name == "" {
		return d.stages[len(d.stages)-1], nil
	}
	for _, s := range d.stages {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
	}
	return instructions.Stage{}, fmt.Errorf("%s has no stage named %q", d.name, name)
}
