// SPDX-License-Identifier: Apache-2.0

// Command knowngood is the release step that never ships without a way back.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // the image has no time zones, and rules of retention may name one

	"github.com/knowngood/knowngood/cmd/internal/cli"
)

// version is set by the linker in a release.
var version = "dev"

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once, should the clean-up after the first hang.
	context.AfterFunc(ctx, stop)
	// A reader of the output that goes away, as head does, would otherwise kill a release half-way.
	// Commands that are run get the signal as usual: a handler does not outlive exec.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	program := cli.Program{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Environ: os.Environ(), Dir: dir, Now: time.Now, Version: version,
	}
	return int(program.Main(ctx, os.Args[1:]))
}
