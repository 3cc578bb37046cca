// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/node"
	"github.com/knowngood/knowngood/test/cluster/space"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// Report is what status --json prints; README.md describes it.
type Report struct {
	Name       string             `json:"name"`
	Running    bool               `json:"running"`
	Ready      bool               `json:"ready"` // every component is
	Since      *time.Time         `json:"since,omitempty"`
	Kubeconfig string             `json:"kubeconfig,omitempty"`
	Network    string             `json:"network,omitempty"` // path of the network namespace
	State      string             `json:"state,omitempty"`   // folder
	Components []supervise.Status `json:"components"`
}

func down(ctx context.Context, c *call) (int, error) {
	if len(c.args) > 0 {
		return 0, errMisused
	}
	if os.Geteuid() != 0 {
		return 0, fmt.Errorf("ending cluster %s needs root, who started it", c.name)
	}
	began := time.Now()
	in, err := layout.Load(c.name)
	if errors.Is(err, layout.ErrAbsent) {
		// A cgroup may be there without its folder if someone removed that by hand.
		in, err = &layout.Instance{Name: c.name, Slot: -1}, nil
	}
	if err != nil {
		return 0, err
	}
	if err := space.Remove(ctx, in); err != nil {
		return 0, err
	}
	c.say("%s is down after %.1fs", c.name, time.Since(began).Seconds())
	return exitOK, nil
}

func status(ctx context.Context, c *call) (int, error) {
	asJSON := len(c.args) == 1 && c.args[0] == "--json"
	if len(c.args) > 0 && !asJSON {
		return 0, errMisused
	}
	report, err := look(ctx, c.name)
	if err != nil {
		return 0, err
	}
	if asJSON {
		encoder := json.NewEncoder(c.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.print(c.stdout)
	}
	if err != nil || !report.Ready {
		return exitFailed, err
	}
	return exitOK, nil
}

func look(ctx context.Context, name string) (*Report, error) {
	report := &Report{Name: name, Components: []supervise.Status{}}
	in, err := layout.Load(name)
	if errors.Is(err, layout.ErrAbsent) {
		return report, nil
	}
	if err != nil {
		return nil, err
	}
	report.State = in.Path()
	if !space.Alive(in) {
		return report, nil
	}
	report.Running, report.Since = true, &in.Started
	report.Kubeconfig, report.Network = in.Kubeconfig(), space.Network(in)
	components, err := supervise.Dial(in.Control()).Status(ctx)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return report, nil // it has only just been started
	}
	if err != nil {
		return nil, err
	}
	report.Components, report.Ready = components, true
	for _, s := range report.Components {
		report.Ready = report.Ready && s.State == supervise.Ready
	}
	return report, nil
}

func (r *Report) print(out io.Writer) error {
	if !r.Running {
		_, err := fmt.Fprintf(out, "%s does not run\n", r.Name)
		return err
	}
	_, err := fmt.Fprintf(out, "%s runs since %s\nkubeconfig %s\nnetwork    %s\nstate      %s\n",
		r.Name, r.Since.Format(time.RFC3339), r.Kubeconfig, r.Network, r.State)
	for _, s := range r.Components {
		if err == nil {
			_, err = fmt.Fprintf(out, "%-26s %-9s %3d restarts  %s\n", s.Name, s.State, s.Restarts, s.Message)
		}
	}
	return err
}

// running loads an instance that must run.
func running(name string) (*layout.Instance, error) {
	in, err := layout.Load(name)
	if err != nil && !errors.Is(err, layout.ErrAbsent) {
		return nil, err
	}
	if err != nil || !space.Alive(in) {
		return nil, fmt.Errorf("%s does not run; start it with: cluster up --name %s", name, name)
	}
	return in, nil
}

func kubeconfig(_ context.Context, c *call) (int, error) {
	in, err := running(c.name)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(c.stdout, in.Kubeconfig())
	return exitOK, err
}

// kubectl becomes the cluster's kubectl, on the host's side of the forwarder: files and the terminal are the caller's.
func kubectl(_ context.Context, c *call) (int, error) {
	in, err := running(c.name)
	if err != nil {
		return 0, err
	}
	env := append(os.Environ(), "KUBECONFIG="+in.Kubeconfig())
	err = syscall.Exec(in.Program("kubectl"), append([]string{"kubectl"}, c.args...), env)
	return 0, fmt.Errorf("starting kubectl: %w", err)
}

func execute(_ context.Context, c *call) (int, error) {
	args := c.args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, errMisused
	}
	in, err := running(c.name)
	if err != nil {
		return 0, err
	}
	return space.Enter(in, args, append(os.Environ(), "KUBECONFIG="+in.Admin()))
}

// load hands archives to containerd through a pipe: inside, other things may lie at the same path.
func load(ctx context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return 0, errMisused
	}
	in, err := running(c.name)
	if err != nil {
		return 0, err
	}
	for _, path := range c.args {
		if err := loadOne(ctx, c, in, path); err != nil {
			return 0, err
		}
	}
	return exitOK, nil
}

func loadOne(ctx context.Context, c *call, in *layout.Instance, path string) error {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	ctr := exec.CommandContext(ctx, in.Program("ctr"), node.ContainerdArgs(in, "images", "import", "-")...)
	ctr.Stdin, ctr.Stdout, ctr.Stderr = file, c.stderr, c.stderr
	if err := ctr.Run(); err != nil {
		return fmt.Errorf("importing %s: %w", path, err)
	}
	return nil
}

// component returns the verb that starts or stops one.
func component(action string) verb {
	return func(ctx context.Context, c *call) (int, error) {
		if len(c.args) != 1 {
			return 0, errMisused
		}
		in, err := running(c.name)
		if err != nil {
			return 0, err
		}
		client := supervise.Dial(in.Control())
		if err := client.Do(ctx, action, c.args[0]); err != nil {
			return 0, err
		}
		if action == "stop" {
			return exitOK, nil
		}
		return exitOK, client.Watch(ctx, func(all []supervise.Status) bool {
			for _, s := range all {
				if s.Name == c.args[0] {
					return s.State == supervise.Ready || s.State == supervise.Failed
				}
			}
			return true
		})
	}
}

func logs(_ context.Context, c *call) (int, error) {
	if len(c.args) != 1 {
		return 0, errMisused
	}
	in, err := layout.Load(c.name)
	if err != nil {
		return 0, err
	}
	path := in.Path("log", filepath.Base(c.args[0])+".log")
	if _, err := os.Stat(path); err != nil {
		return 0, fmt.Errorf("no log of a component %q: %w", c.args[0], err)
	}
	_, err = fmt.Fprintln(c.stdout, path)
	return exitOK, err
}
