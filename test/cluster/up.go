// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/test/cluster/build"
	"github.com/knowngood/knowngood/test/cluster/image"
	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/node"
	"github.com/knowngood/knowngood/test/cluster/pki"
	"github.com/knowngood/knowngood/test/cluster/space"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

const (
	startLimit = 5 * time.Minute  // for everything to be ready; 25 s are usual
	spawnLimit = 15 * time.Second // for the supervisor to answer
	pauseImage = "knowngood.test/pause:1"
)

func up(ctx context.Context, c *call) (int, error) {
	parts, err := partsOf(c)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	in, err := layout.Load(c.name)
	switch {
	case errors.Is(err, layout.ErrAbsent):
	case err != nil:
		return 0, err
	case space.Alive(in):
		if missing := slices.DeleteFunc(parts, func(part string) bool { return slices.Contains(in.Parts, part) }); len(missing) > 0 {
			return 0, fmt.Errorf("%s runs already, without %s; end it first with: cluster down --name %s", c.name, strings.Join(missing, ", "), c.name)
		}
		c.say("%s runs already", c.name)
		return exitOK, await(ctx, c, in, began)
	default:
		if err := sweep(ctx, c, in); err != nil {
			return 0, err
		}
	}
	made, err := programs(ctx, c, parts)
	if err != nil {
		return 0, err
	}
	began = time.Now()
	in, err = layout.Create(c.name, parts)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("cluster %s: %w", c.name, layout.ErrClaimed)
	}
	if err != nil {
		return 0, err
	}
	release, err := in.Claim()
	if err != nil {
		return 0, err
	}
	defer release()
	if err := furnish(in, made); err != nil {
		return 0, errors.Join(err, space.Remove(context.WithoutCancel(ctx), in))
	}
	if err := space.Spawn(in, in.Program("cluster")); err != nil {
		return 0, errors.Join(err, space.Remove(context.WithoutCancel(ctx), in))
	}
	if err := writeKubeconfig(in); err != nil {
		return 0, err
	}
	return exitOK, await(ctx, c, in, began)
}

// sweep removes an instance that does not run any more.
func sweep(ctx context.Context, c *call, in *layout.Instance) error {
	release, err := in.Claim()
	if err != nil {
		return err
	}
	defer release()
	c.say("removing what is left of an earlier %s", c.name)
	return space.Remove(ctx, in)
}

// furnish fills the state folder: programs, keys and configuration.
func furnish(in *layout.Instance, made *build.Result) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// A copy: "go run" removes what it runs.
	if err := copyFile(self, in.Program("cluster")); err != nil {
		return err
	}
	links := maps.Clone(made.Programs)
	maps.Copy(links, made.Folders)
	for name, file := range links {
		if err := os.Symlink(file, in.Program(name)); err != nil {
			return err
		}
	}
	pause, err := os.ReadFile(made.Programs["pause"])
	if err != nil {
		return err
	}
	archive, err := image.Archive(pauseImage, "pause", pause)
	if err != nil {
		return err
	}
	if err := os.WriteFile(in.Program("pause.tar"), archive, 0o644); err != nil {
		return err
	}
	return node.Prepare(in)
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// writeKubeconfig makes the file for processes of the host. It is an administrator's: readable by whoever started the cluster.
func writeKubeconfig(in *layout.Instance) error {
	text, err := pki.Kubeconfig(in.Path("pki"), "admin", in.Name, fmt.Sprintf("https://127.0.0.1:%d", in.APIPort))
	if err != nil {
		return err
	}
	if err := layout.WriteFile(in.Kubeconfig(), text, 0o600); err != nil {
		return err
	}
	return build.Own(in.Kubeconfig())
}

// await shows the components as they become ready, and returns when all are, or one cannot.
func await(ctx context.Context, c *call, in *layout.Instance, began time.Time) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not everything is ready after %s", startLimit))
	defer cancel()
	client := supervise.Dial(in.Control())
	if err := answering(ctx, in, client); err != nil {
		return err
	}
	shown := map[string]bool{}
	var failed, waiting []supervise.Status
	err := client.Watch(ctx, func(all []supervise.Status) bool {
		failed, waiting = nil, nil
		for _, s := range all {
			switch {
			case s.State == supervise.Failed:
				failed = append(failed, s)
			case s.State != supervise.Ready && s.State != supervise.Stopped:
				waiting = append(waiting, s)
			case !shown[s.Name]:
				shown[s.Name] = true
				c.say("%5.1fs  %s %s", time.Since(began).Seconds(), s.Name, s.State)
			}
		}
		return len(failed) > 0 || len(waiting) == 0
	})
	if len(failed) > 0 {
		return broken(in, failed)
	}
	if err != nil {
		return errors.Join(context.Cause(ctx), err, broken(in, waiting))
	}
	c.say("%s is up after %.1fs; kubeconfig: %s", in.Name, time.Since(began).Seconds(), in.Kubeconfig())
	return nil
}

// answering waits until the supervisor listens, which it does as soon as the namespaces are furnished.
func answering(ctx context.Context, in *layout.Instance, client *supervise.Client) error {
	ctx, cancel := context.WithTimeout(ctx, spawnLimit)
	defer cancel()
	for {
		_, err := client.Status(ctx)
		switch {
		case err == nil:
			return nil
		case !space.Alive(in):
			return fmt.Errorf("the cluster ended at once:\n%s", tail(in.Path("log", "supervisor.log")))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the supervisor does not answer: %w\n%s", err, tail(in.Path("log", "supervisor.log")))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// broken says which components are not ready, why, the last lines of their logs, and what to do.
func broken(in *layout.Instance, components []supervise.Status) error {
	var text strings.Builder
	for _, s := range components {
		fmt.Fprintf(&text, "component %s is %s: %s\n", s.Name, s.State, s.Message)
		if s.Log != "" {
			fmt.Fprintf(&text, "%s, at its end:\n%s\n", s.Log, tail(s.Log))
		}
	}
	fmt.Fprintf(&text, "the logs are in %s; when you have seen enough: cluster down --name %s", in.Path("log"), in.Name)
	return errors.New(text.String())
}

const tailLines = 15

// tail returns the last lines of a file, indented; a file that cannot be read has none.
func tail(path string) string {
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "  " + strings.Join(lines, "\n  ")
}
