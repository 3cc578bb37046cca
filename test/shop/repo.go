// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A change is one commit of the shop's history. The files of its variant replace
// those of the source tree; no variant means the tree as it is.
type change struct {
	name, variant, message string
	at                     string // fixed, so that the commits have the same ids everywhere
}

// history is the shop's past: commits on main, then the one that must not ship.
var history = []change{
	{"first", "first", "Open the shop", "2026-01-05T09:00:00Z"},
	{"clean", "", "Find a product by any part of its name", "2026-01-12T09:00:00Z"},
	{"injection", "injection", "Let customers search with wildcards", "2026-01-19T09:00:00Z"},
}

// repo writes the repository and prints its commits by name, as JSON. The branch
// main ends at clean, the branch wildcards at injection.
func repo(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("shop repo", flag.ContinueOnError)
	if err := parse(set, args, stderr); err != nil {
		return err
	}
	if set.NArg() != 1 {
		set.Usage()
		return errUsage
	}
	commits, err := writeRepository(ctx, set.Arg(0))
	if err != nil {
		return fmt.Errorf("writing the shop's repository: %w", err)
	}
	return json.NewEncoder(stdout).Encode(commits)
}

func writeRepository(ctx context.Context, dir string) (map[string]string, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := git(ctx, dir, nil, "init", "--quiet", "--initial-branch=main"); err != nil {
		return nil, err
	}
	commits := map[string]string{}
	for _, c := range history {
		if c.name == "injection" {
			if _, err := git(ctx, dir, nil, "switch", "--quiet", "--create", "wildcards"); err != nil {
				return nil, err
			}
		}
		id, err := commit(ctx, dir, c)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", c.name, err)
		}
		commits[c.name] = id
	}
	_, err := git(ctx, dir, nil, "switch", "--quiet", "main")
	return commits, err
}

// commit writes the tree of one change and commits it.
func commit(ctx context.Context, dir string, c change) (string, error) {
	if err := plant(dir, c.variant); err != nil {
		return "", err
	}
	if _, err := git(ctx, dir, nil, "add", "--all"); err != nil {
		return "", err
	}
	dates := []string{"GIT_AUTHOR_DATE=" + c.at, "GIT_COMMITTER_DATE=" + c.at}
	if _, err := git(ctx, dir, dates, "commit", "--quiet", "--message", c.message); err != nil {
		return "", err
	}
	return git(ctx, dir, nil, "rev-parse", "HEAD")
}

// plant writes the source tree, then the files of the variant over it.
func plant(dir, variant string) error {
	if err := copyTree(source, dir, func(path string) string {
		if path == "variants" || strings.HasPrefix(path, "variants/") {
			return ""
		}
		return path
	}); err != nil {
		return err
	}
	if variant == "" {
		return nil
	}
	overlay, err := fs.Sub(source, "variants/"+variant)
	if err != nil {
		return err
	}
	return copyTree(overlay, dir, func(path string) string { return strings.TrimSuffix(path, ".txt") })
}

// copyTree writes every file under the name that rename gives it; "" leaves out.
func copyTree(tree fs.FS, dir string, rename func(string) string) error {
	return fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := rename(path)
		if name == "" {
			return nil
		}
		data, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	})
}

// git runs git in the folder, untouched by the configuration of user and host.
func git(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada Roaster", "GIT_AUTHOR_EMAIL=ada@shop.test",
		"GIT_COMMITTER_NAME=Ada Roaster", "GIT_COMMITTER_EMAIL=ada@shop.test")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
