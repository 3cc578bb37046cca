// SPDX-License-Identifier: Apache-2.0

package space

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

// Init is the first process of the instance's namespaces: it furnishes them, starts the supervisor, and reaps orphans until
// the supervisor ends; then everything ends.
func Init(ctx context.Context, name string) error {
	gate := os.NewFile(gateFD, "gate")
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		return errors.New("the process that started the cluster went away")
	}
	_ = gate.Close()
	in, err := layout.Load(name)
	if err != nil {
		return err
	}
	if err := arrange(in); err != nil {
		return err
	}
	if err := connect(ctx); err != nil {
		return err
	}
	_ = unix.Sethostname([]byte(name))
	return reap(in)
}

func reap(in *layout.Instance) error {
	signal.Ignore(syscall.SIGHUP)
	supervisor := exec.Command(in.Program("cluster"), "supervise", "--name", in.Name) // its end is ours
	supervisor.Stdout, supervisor.Stderr = os.Stdout, os.Stderr
	supervisor.ExtraFiles = []*os.File{os.NewFile(listenerFD, "listener")}
	if err := supervisor.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for processes: %w", err)
		case pid == supervisor.Process.Pid:
			return fmt.Errorf("the supervisor ended: status %d, signal %v", status.ExitStatus(), status.Signal())
		}
	}
}

// HostListener is the listening socket of the host's network that the supervisor inherits.
func HostListener() (net.Listener, error) {
	file := os.NewFile(gateFD, "listener") // the first inherited file of the supervisor, which has no gate
	defer func() { _ = file.Close() }()
	return net.FileListener(file)
}
