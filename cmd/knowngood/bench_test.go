// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// BenchmarkStart measures what a start of the program costs: CPU time of the process in
// milliseconds and its largest resident size. The goal is below 50 ms.
//
//	go test -run '^$' -bench Start ./cmd/knowngood
func BenchmarkStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "knowngood")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace,disable_grpc_modules,nopshufb", "-ldflags=-s -w", "-o", binary, ".")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, output)
	}
	var cpu int64
	var peak int64
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), binary, "--help")
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			b.Fatal("no figures of the process")
		}
		cpu += usage.Utime.Nano() + usage.Stime.Nano()
		peak = max(peak, usage.Maxrss)
	}
	b.ReportMetric(float64(cpu)/float64(b.N)/1e6, "cpu-ms/start")
	b.ReportMetric(float64(peak)/1024, "peak-MB")
}
