// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// projectRoot finds the checkout that this program was started in: it builds the
// programs beside it from there.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if there(filepath.Join(at, "test", "image", "go.mod")) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is in no checkout of knowngood: run this from one", dir)
		}
	}
}

// execute runs a command to its end. Go programs are built without cgo and without
// what the user's environment adds, so that the same source gives the same bytes.
func execute(ctx context.Context, output io.Writer, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = output, output
	return cmd.Run()
}

// checkout writes the tree of a commit into a new folder.
func checkout(ctx context.Context, repo, id, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	archive := filepath.Join(dir, "..", id+".tar")
	if _, err := git(ctx, repo, nil, "archive", "--output", archive, id); err != nil {
		return err
	}
	return errors.Join(execute(ctx, os.Stderr, []string{"tar", "--extract", "--file", archive, "--directory", dir}), os.Remove(archive))
}
