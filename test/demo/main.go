// SPDX-License-Identifier: Apache-2.0

// Command demo shows two releases of a shop on a real Kubernetes: a commit that ships and one
// that the gate stops.
//
//	demo                    on a cluster that it makes on this machine (root)
//	demo -cluster existing  on the cluster of the current kubeconfig
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/test/journey"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cluster := flag.String("cluster", "", `"existing" uses the current kubeconfig; empty makes a cluster on this machine`)
	name := flag.String("name", "demo", "name of the cluster that is made")
	yes := flag.Bool("yes", false, "do not ask before an existing cluster is used")
	flag.Parse()
	if err := run(ctx, *cluster, *name, *yes); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cluster, name string, yes bool) error {
	began := time.Now()
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	settings, err := journey.Place(ctx, root, os.Stderr)
	if err != nil {
		return err
	}
	switch cluster {
	case "":
		err = settings.Own(ctx, name)
	case "existing":
		err = settings.Existing(ctx, os.Getenv("IMAGE_REGISTRY"), os.Stdin, yes)
	default:
		err = fmt.Errorf("-cluster %q: want nothing or existing", cluster)
	}
	if err != nil {
		return err
	}
	return stays(demonstrate(ctx, settings, began), settings.End)
}

func demonstrate(ctx context.Context, settings journey.Settings, began time.Time) error {
	j, err := journey.Begin(ctx, settings)
	if err != nil {
		return err
	}
	return errors.Join(show(ctx, j, began), j.Close())
}

// stays tells, with an error, how to end what was started before it.
func stays(err error, end string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nhint: what was started stays, to look around; end it with: %s", err, end)
}

// show runs the two releases and prints what came of them.
func show(ctx context.Context, j *journey.Journey, began time.Time) error {
	ready := time.Since(began)
	if err := j.SendCustomer(ctx); err != nil {
		return err
	}
	clean, err := j.Release(ctx, "clean")
	if err != nil {
		return err
	}
	asked, err := j.StopCustomer(ctx)
	if err != nil {
		return err
	}
	before, err := j.Touchable(ctx)
	if err != nil {
		return err
	}
	injection, err := j.Release(ctx, "injection")
	if err != nil {
		return err
	}
	after, err := j.Touchable(ctx)
	if err != nil {
		return err
	}
	history, err := j.Knowngood(ctx, "history", "--app", "shop", "--environment", "demo", "--catalog", j.Catalog())
	if err != nil {
		return err
	}
	p := page{os.Stdout}
	p.title("1. The clean commit, %s: exit status %d", clean.Commit.Short(), clean.Status)
	p.timeline(clean)
	p.line("")
	p.line("  A customer asked the shop all the while: %d requests, %d failures.", asked.Requests, asked.Failures)
	p.comment(journey.Pulls()["clean"], clean.Comment)
	p.title("2. The commit with the SQL injection, %s: exit status %d", injection.Commit.Short(), injection.Status)
	p.timeline(injection)
	p.line("")
	p.line("  Touched in the cluster: %s.", touched(before, after))
	p.comment(journey.Pulls()["injection"], injection.Comment)
	p.title("3. What is left")
	p.line("%s", history)
	p.look(j)
	p.line("")
	p.line("Ready to release after %.0f s, ended after %.0f s.", ready.Seconds(), time.Since(began).Seconds())
	return verdict(clean, injection, asked, before == after)
}

func touched(before, after string) string {
	if before == after {
		return "nothing"
	}
	return "something, and that is wrong"
}

// verdict makes a demonstration that went wrong end with an error, whatever it printed.
func verdict(clean, injection journey.Result, asked journey.Asked, untouched bool) error {
	var errs []error
	if clean.Status != 0 {
		errs = append(errs, fmt.Errorf("the clean commit ended with status %d", clean.Status))
	}
	if asked.Failures > 0 || asked.Requests == 0 {
		errs = append(errs, fmt.Errorf("the customer saw %d failures in %d requests", asked.Failures, asked.Requests))
	}
	if injection.Status != 1 || !untouched {
		errs = append(errs, fmt.Errorf("the injection ended with status %d, cluster untouched: %t", injection.Status, untouched))
	}
	return errors.Join(errs...)
}

// relative shortens a path for people.
func relative(root, path string) string {
	if short, err := filepath.Rel(root, path); err == nil && len(short) < len(path) {
		return short
	}
	return path
}
