// SPDX-License-Identifier: Apache-2.0

package space

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

// Enter runs a program in the instance's namespaces with the streams, the environment and the folder of this process, hands on
// the signals that end programs, and returns its exit status. The program dies with its parent and with the instance.
//
// The calling goroutine's thread is changed for good: call it last.
func Enter(in *layout.Instance, argv, env []string) (status int, err error) {
	if !Alive(in) {
		return 0, fmt.Errorf("cluster %s does not run", in.Name)
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread() // namespaces belong to threads, and so does the parent-death signal
	if err := setNamespaces(in.Init); err != nil {
		return 0, err
	}
	if _, err := os.Stat(dir); err != nil {
		dir = "/"
	}
	cmd := exec.Command(in.Program("cluster"), append([]string{"become", "--name", in.Name}, argv...)...) // ended by the signals below
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = os.Stdin, os.Stdout, os.Stderr, dir, env
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // ended already
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil // as shells say it
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// Become turns this process, which Enter started, into the program. It asks to die with its parent by itself: Go's way of
// asking for a child compares parent process ids, which another process id namespace does not show.
func Become(argv []string) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tying the program to its parent: %w", err)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, argv, os.Environ())
}

func setNamespaces(pid int) error {
	files := map[string]*os.File{}
	for _, kind := range []string{"net", "ipc", "pid", "mnt"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			return fmt.Errorf("entering the cluster: %w", err)
		}
		defer func() { _ = file.Close() }()
		files[kind] = file
	}
	// A thread may change its mount namespace only when it shares its root and folder with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("entering the cluster: %w", err)
	}
	for _, kind := range []string{"net", "ipc", "pid", "mnt"} {
		if err := unix.Setns(int(files[kind].Fd()), 0); err != nil {
			return fmt.Errorf("entering the cluster's %s namespace: %w", kind, err)
		}
	}
	return nil
}
