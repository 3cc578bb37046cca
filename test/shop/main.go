// SPDX-License-Identifier: Apache-2.0

// Command shop gives a demonstration or a test something real to lose: a small
// shop, its database, and their history.
//
//	shop repo DIR           a git repository with three commits of the shop
//	shop images --repo DIR  image archives of commits and of the database
//	shop scan --repo DIR    what gosec says about a commit, as SARIF
//	shop manifests          the shop for a cluster; with --asker its customer
//
// The shop itself is in app, the commits differ by the files in variants.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// source is what the repository holds, and what makes its commits differ.
//
//go:embed go.mod go.sum Dockerfile app db deploy asker.yaml variants
var source embed.FS

const usage = `usage:
  shop repo DIR
  shop images --repo DIR --out DIR [--registry HOST.DOMAIN] [--push] [COMMIT...]
  shop scan --repo DIR --out FILE COMMIT
  shop manifests [--registry HOST.DOMAIN] [--tag TAG] [--storage-class NAME] [--asker]
`

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"repo": repo, "images": images, "scan": scan, "manifests": manifests,
	}
	if len(args) > 0 {
		if command := commands[args[0]]; command != nil {
			return command(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprint(stderr, usage)
	return errUsage
}

// parse reads the flags; wrong ones are told to the user and end in errUsage.
func parse(set *flag.FlagSet, args []string, stderr io.Writer) error {
	set.SetOutput(stderr)
	set.Usage = func() { fmt.Fprint(stderr, usage); set.PrintDefaults() }
	if err := set.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}
