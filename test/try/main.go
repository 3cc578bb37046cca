// SPDX-License-Identifier: Apache-2.0

// Command try shows gate decisions and backups on folders: no root, no cluster. It writes the
// shop's repository, scans two of its commits with the real gosec, lets the gate decide, and
// saves the repository, proves the backup and restores it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "try:", err)
		os.Exit(1)
	}
}

// A trial is a folder with a repository and programs.
type trial struct{ root, work, shop, program, repository string }

func run(ctx context.Context) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "knowngood-try-")
	if err != nil {
		return err
	}
	t := trial{
		root: root, work: work, shop: filepath.Join(work, "bin", "shop"),
		program: filepath.Join(work, "bin", "knowngood"), repository: filepath.Join(work, "shop"),
	}
	fmt.Println("Building knowngood, the shop and gosec (a few minutes the first time).")
	if err := t.command(ctx, filepath.Join(root, "test", "shop"), "go", "build", "-o", t.shop, "."); err != nil {
		return err
	}
	if err := t.command(ctx, root, "go", "build", "-o", t.program, "./cmd/knowngood"); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, t.shop, "repo", t.repository).Output()
	if err != nil {
		return fmt.Errorf("write the shop's repository: %w", err)
	}
	var commits map[string]string
	if err := json.Unmarshal(output, &commits); err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		want int
	}{{"clean", 0}, {"injection", 1}} {
		if err := t.gate(ctx, one.name, commits[one.name], one.want); err != nil {
			return err
		}
	}
	if err := t.backup(ctx, commits["clean"]); err != nil {
		return err
	}
	fmt.Printf("\n$ knowngood history --app shop --catalog %s/catalog\n", work)
	if err := t.command(ctx, t.repository, t.program, "history", "--app", "shop", "--catalog", filepath.Join(work, "catalog")); err != nil {
		return err
	}
	fmt.Printf("\nAll of it lies in %s; try the program: %s --help\n", work, t.program)
	return nil
}

// gate scans a commit, lets the gate decide, and holds its exit status against want.
func (t trial) gate(ctx context.Context, name, commit string, want int) error {
	report := filepath.Join(t.work, name+".sarif")
	if err := t.command(ctx, t.root, t.shop, "scan", "--repo", t.repository, "--out", report, commit); err != nil {
		return err
	}
	if err := t.command(ctx, t.repository, "git", "switch", "--quiet", "--detach", commit); err != nil {
		return err
	}
	fmt.Printf("\n$ knowngood gate --app shop --sarif %s.sarif   # commit %.12s, %s\n", name, commit, name)
	err := t.command(ctx, t.repository, t.program, "gate", "--app", "shop", "--sarif", report, "--catalog", filepath.Join(t.work, "catalog"))
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		return err
	}
	fmt.Printf("exit status %d\n", status)
	if status != want {
		return fmt.Errorf("the gate on %s ended with status %d, want %d", name, status, want)
	}
	return nil
}

// command runs a program for a person to watch.
func (t trial) command(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return nil
}
