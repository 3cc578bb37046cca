// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// backup keeps the shop's repository in a repository of backups, proves it, and restores it:
// what comes back must be a git repository without a fault.
func (t trial) backup(ctx context.Context, commit string) error {
	key, restored := filepath.Join(t.work, "shop.key"), filepath.Join(t.work, "restored")
	for _, args := range [][]string{
		{"key", "init", "--key-file", key},
		{"backup", "save", t.repository, "--app", "shop", "--commit", commit},
		{"backup", "verify", "--latest", "--app", "shop", "--", "git", "fsck", "--no-progress"},
		{"backup", "restore", "--latest", "--app", "shop", "--to", restored},
	} {
		fmt.Print("\n$ knowngood")
		for _, arg := range args {
			fmt.Print(" ", arg)
		}
		fmt.Println()
		cmd := exec.CommandContext(ctx, t.program, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.repository, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(),
			"KNOWNGOOD_CATALOG="+filepath.Join(t.work, "catalog"), "KNOWNGOOD_REPOSITORY="+filepath.Join(t.work, "backups"),
			"KNOWNGOOD_REPOSITORY_PASSWORD_FILE="+key)
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %s: %w", args[0], args[1], err)
		}
	}
	return t.command(ctx, t.work, "diff", "-r", t.repository, restored)
}
