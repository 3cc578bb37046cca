// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// limit is what the program may weigh, in bytes.
const limit = 60e6

// linker fails when the linker can no longer drop unused methods: a call of a method by a name
// that is only known at run time makes it keep every exported method of every reachable type.
// It prints the size of the program.
func linker(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "knowngood-lint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "knowngood")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace,disable_grpc_modules,nopshufb",
		"-ldflags", "-s -w -dumpdep", "-o", binary, "./cmd/knowngood")
	output, err := build.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w\n%s", err, tail(output))
	}
	if chains := reflectMethods(output); len(chains) > 0 {
		return fmt.Errorf("methods are called by name, so that none can be dropped:\n%s", strings.Join(chains, "\n"))
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	fmt.Printf("program: %.1f MB of at most %.0f MB\n", float64(info.Size())/1e6, limit/1e6)
	if info.Size() > limit {
		return fmt.Errorf("the program weighs %d bytes", info.Size())
	}
	return nil
}

// reflectMethods returns the lines of the linker's dump that name a function which calls
// methods by name.
func reflectMethods(dump []byte) []string {
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(dump))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), "<ReflectMethod>") {
			lines = append(lines, scanner.Text())
		}
	}
	return lines
}

func tail(output []byte) []byte { return output[max(0, len(output)-4000):] }
