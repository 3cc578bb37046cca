// SPDX-License-Identifier: Apache-2.0

// Command cluster runs a real Kubernetes on one Linux machine, built from source, without Docker and without an image
// registry, in namespaces of its own. README.md tells how.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

const usage = `cluster runs a real Kubernetes from source, on this machine alone.

usage: cluster VERB [--name NAME] [ARGUMENTS]

  prepare [PACKAGE...] install the Debian packages that are missing (apt-get), and further ones that the caller needs
  build                make the programs, without starting anything
  up                   start the cluster, or wait for one that is starting
                       both take --with tekton: Tekton Pipelines too
  down                 end it and remove all it has on this machine but the cache of programs
  status [--json]      what runs, and since when; exit status 1 unless everything is ready
  kubeconfig           print the path of a kubeconfig that any process of this machine can use
  kubectl ARGS...      the cluster's own kubectl
  load ARCHIVE...      import container images (docker or OCI archives)
  exec [--] CMD...     run a program of this machine in the cluster's network and mounts
  start COMPONENT      start a component that was stopped, and wait until it is ready
  stop COMPONENT       end a component and keep it down
  logs COMPONENT       print the path of a component's log

NAME is the instance, "demo" unless said otherwise. Instances run side by side.
`

// Exit statuses.
const (
	exitOK      = 0
	exitFailed  = 1
	exitMisused = 2

	exitCannotRun = 126 // of exec, as shells say it
)

// call is one run of the program.
type call struct {
	name   string
	args   []string
	stdout io.Writer
	stderr io.Writer
}

type verb func(context.Context, *call) (status int, err error)

func verbs() map[string]verb {
	return map[string]verb{
		"prepare": prepare, "build": makePrograms, "up": up, "down": down, "status": status, "kubeconfig": kubeconfig,
		"kubectl": kubectl, "load": load, "exec": execute, "start": component("start"), "stop": component("stop"), "logs": logs,
		"init": initialise, "become": become, "supervise": supervisor, // the program calls itself by these
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, _ = io.WriteString(stdout, usage)
		if len(args) == 0 {
			return exitMisused
		}
		return exitOK
	}
	do, ok := verbs()[args[0]]
	c, err := parse(args[1:], stdout, stderr)
	switch {
	case !ok:
		err = fmt.Errorf("unknown verb %q; see cluster help", args[0])
	case err == nil:
		var status int
		status, err = do(ctx, c)
		if err == nil {
			return status
		}
		if !errors.Is(err, errMisused) {
			_, _ = fmt.Fprintf(stderr, "cluster %s: %v\n", args[0], err)
			return max(status, exitFailed)
		}
	}
	_, _ = fmt.Fprintln(stderr, "cluster:", err)
	return exitMisused
}

var errMisused = errors.New("wrong arguments; see cluster help")

// parse takes the flags that stand directly after the verb; the rest belongs to the verb.
func parse(args []string, stdout, stderr io.Writer) (*call, error) {
	c := &call{name: "demo", stdout: stdout, stderr: stderr}
	for len(args) > 0 {
		if value, ok := strings.CutPrefix(args[0], "--name="); ok {
			c.name, args = value, args[1:]
			continue
		}
		if args[0] != "--name" {
			break
		}
		if len(args) == 1 {
			return nil, errors.New("--name: want the name of an instance")
		}
		c.name, args = args[1], args[2:]
	}
	c.args = args
	return c, layout.CheckName(c.name)
}

func (c *call) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.stderr, "cluster: "+format+"\n", args...)
}
