// SPDX-License-Identifier: Apache-2.0

// Command lint checks what linters do not.
//
//	lint linker                    builds the program and fails when methods can no longer be dropped
//	lint vulnerabilities PROGRAM   asks the database of known vulnerabilities by govulncheck
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "linker":
		return linker(ctx)
	case len(args) == 2 && args[0] == "vulnerabilities":
		return vulnerabilities(ctx, os.Stdout, question{program: args[1], packages: "./cmd/...", skip: os.Getenv(offline) == "1"})
	}
	return fmt.Errorf("usage: lint linker | lint vulnerabilities PROGRAM")
}
