// SPDX-License-Identifier: Apache-2.0

// Package product builds knowngood as it is shipped, without a Docker engine: the program by the
// very command that stands in the Dockerfile, and the image by its recipe, which the program of
// test/image follows.
package product

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// roots is where the build stage's Debian, and most others, keep the public authorities.
const roots = "/etc/ssl/certs/ca-certificates.crt"

// A Request says what to build.
type Request struct {
	// Root of the checkout, and Work, a folder for what the first stage makes.
	Root, Work string
	// Tool is the built program of test/image.
	Tool string
	// Name of the image, Version and Revision of what is in it.
	Name, Version, Revision string
	// Out takes what the programs say.
	Out io.Writer
}

// Image writes the image as an archive.
func Image(ctx context.Context, r Request, archive string) error {
	stage := filepath.Join(r.Work, "build")
	if err := Program(ctx, r, filepath.Join(stage, "out", "knowngood")); err != nil {
		return err
	}
	authorities, err := os.ReadFile(roots)
	if err != nil {
		return fmt.Errorf("public authorities (apt-get install ca-certificates): %w", err)
	}
	if err := os.MkdirAll(filepath.Join(stage, filepath.Dir(roots)), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(stage, roots), authorities, 0o644); err != nil {
		return err
	}
	return r.run(ctx, nil, r.Tool, "build", "-t", r.Name, "-o", archive, "--from", "build="+stage,
		"--build-arg", "VERSION="+r.Version, "--build-arg", "REVISION="+r.Revision, r.Root)
}

// Program builds the program alone, by the Dockerfile's command.
func Program(ctx context.Context, r Request, path string) error {
	recipe, err := os.ReadFile(filepath.Join(r.Root, "Dockerfile"))
	if err != nil {
		return err
	}
	command, err := compile(string(recipe))
	if err != nil {
		return err
	}
	return r.run(ctx, []string{"VERSION=" + r.Version, "KNOWNGOOD_OUT=" + path}, "sh", "-euc",
		strings.ReplaceAll(command, out, `"$KNOWNGOOD_OUT"`))
}

// out is where the recipe puts the program.
const out = "/out/knowngood"

// compile returns the RUN of the recipe that makes the program.
func compile(recipe string) (string, error) {
	recipe = strings.ReplaceAll(recipe, "\\\n", " ")
	for line := range strings.Lines(recipe) {
		if command, ok := strings.CutPrefix(line, "RUN "); ok && strings.Contains(command, " -o "+out+" ") {
			return command, nil
		}
	}
	return "", errors.New("the Dockerfile has no RUN that makes " + out)
}

func (r Request) run(ctx context.Context, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.Root, r.Out, r.Out
	cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off"), env...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), err)
	}
	return nil
}
