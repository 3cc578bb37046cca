// SPDX-License-Identifier: Apache-2.0

// Command image makes image archives without Docker and without a registry.
//
//	image build   from what a Dockerfile says, RUN excepted
//	image debian  a base image of Debian packages
//	image push    an archive to a registry
//	image serve   a registry in memory, for a cluster of this machine
//
// Archives are Docker archives, for `ctr images import` and `docker load`. The
// same input gives the same digest, which is printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage:
  image build  -t NAME -o FILE [-f Dockerfile] [--from STAGE=FOLDER]... [--base REF=ARCHIVE]... [--build-arg K=V]... [--target STAGE] [--stand-in] CONTEXT
  image debian -t NAME -o FILE --include PACKAGE,... [--suite CODENAME] [--omit PATH,...] [--cache FOLDER]
  image push   [--insecure] ARCHIVE NAME
  image serve  [--listen ADDRESS] [--network FILE]
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, errUsage), errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "build":
			return build(ctx, args[1:], stdout, stderr)
		case "debian":
			return debianBase(ctx, args[1:], stdout, stderr)
		case "push":
			return push(ctx, args[1:], stdout, stderr)
		case "serve":
			return serve(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprint(stderr, usage)
	return errUsage
}
