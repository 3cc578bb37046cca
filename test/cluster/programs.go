// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/test/cluster/build"
	"github.com/knowngood/knowngood/test/cluster/host"
	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/node"
)

func prepare(ctx context.Context, c *call) (int, error) {
	return exitOK, host.Prepare(ctx, c.args, c.stderr)
}

func makePrograms(ctx context.Context, c *call) (int, error) {
	parts, err := partsOf(c)
	if err != nil {
		return 0, err
	}
	_, err = programs(ctx, c, parts)
	return exitOK, err
}

// partsOf reads what an instance is to have besides Kubernetes.
func partsOf(c *call) ([]string, error) {
	set := flag.NewFlagSet("cluster", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	var parts []string
	set.Func("with", "", func(part string) error {
		if part != node.Tekton {
			return fmt.Errorf("want %s", node.Tekton)
		}
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
		return nil
	})
	if err := set.Parse(c.args); err != nil {
		return nil, fmt.Errorf("%w: %w", errMisused, err)
	}
	if set.NArg() > 0 {
		return nil, errMisused
	}
	return parts, nil
}

// programs checks the machine and makes what is missing in the cache.
func programs(ctx context.Context, c *call, parts []string) (*build.Result, error) {
	builder, err := build.New(sources(), c.stderr)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(builder.Cache())
	if problems := host.Check(layout.Base, builder.Cache(), err != nil); len(problems) > 0 {
		var text strings.Builder
		for _, p := range problems {
			text.WriteString("\n  " + p.What + "\n    cure: " + p.Cure)
		}
		return nil, fmt.Errorf("this machine is not ready:%s", text.String())
	}
	return builder.Ensure(ctx, parts)
}

// sources is the folder of the cluster's sources, seen from it or from the root of the checkout.
func sources() string {
	const fromRoot = "test/cluster"
	if _, err := os.Stat(filepath.Join(fromRoot, "parts", "go.mod")); err == nil {
		return fromRoot
	}
	return "."
}
