// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// scan writes what gosec, built from test/tools/scan, finds in a commit, as SARIF.
// Findings are no failure of the scan.
func scan(ctx context.Context, args []string, _, stderr io.Writer) error {
	set := flag.NewFlagSet("shop scan", flag.ContinueOnError)
	repository := set.String("repo", "", "repository made by shop repo")
	out := set.String("out", "", "SARIF file to write")
	if err := parse(set, args, stderr); err != nil {
		return err
	}
	if *repository == "" || *out == "" || set.NArg() != 1 {
		return errors.New("shop scan needs --repo DIR, --out FILE and a commit")
	}
	work, err := os.MkdirTemp("", "scan-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	id, err := git(ctx, *repository, nil, "rev-parse", "--verify", set.Arg(0)+"^{commit}")
	if err != nil {
		return err
	}
	tree := filepath.Join(work, "tree")
	if err := checkout(ctx, *repository, id, tree); err != nil {
		return err
	}
	gosec, err := scanner(ctx, stderr)
	if err != nil {
		return err
	}
	to, err := filepath.Abs(*out)
	if err != nil {
		return err
	}
	return gosecIn(ctx, gosec, tree, to)
}

// scanner is the path of gosec, which Go builds and keeps in its cache.
func scanner(ctx context.Context, stderr io.Writer) (string, error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	var path bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "-C", filepath.Join(root, "test", "tools", "scan"), "-n", "gosec")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-trimpath -buildvcs=false")
	cmd.Stdout, cmd.Stderr = &path, stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building gosec: %w", err)
	}
	return strings.TrimSpace(path.String()), nil
}

// gosecIn runs gosec in a tree. It logs much, and a part that it could not analyse
// is only a line in that log: such a scan is not complete, and refused.
func gosecIn(ctx context.Context, gosec, tree, out string) error {
	var log bytes.Buffer
	if err := execute(ctx, &log, []string{"env", "--chdir=" + tree, gosec, "-no-fail", "-fmt=sarif", "-out=" + out, "./..."}); err != nil {
		return fmt.Errorf("running gosec: %w: %s", err, log.Bytes())
	}
	if bytes.Contains(log.Bytes(), []byte("Panic when running")) {
		return fmt.Errorf("gosec did not analyse everything: %s", log.Bytes())
	}
	return nil
}
