// SPDX-License-Identifier: Apache-2.0

// Package space gives an instance its own world: a process id, mount, network and IPC namespace and a cgroup. The namespaces
// hang on one process, their init: when it goes, by whatever way, the kernel kills everything in them and their mounts go.
package space

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

// Path is the search path inside an instance, whatever that of its user is: sudo and cron have shorter ones.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	gateFD     = 3 // the init waits here until its parent has written down who it is
	listenerFD = 4 // a listening socket of the host's network, inherited by the init and its child
)

// Spawn starts the instance's init, which then runs this program again as "supervise". The init does nothing before the
// instance's cgroup and memory hold its process id: a parent that is killed half-way leaves nothing behind that Remove
// does not find.
func Spawn(in *layout.Instance, program string) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the API server's port on the host: %w", err)
	}
	defer func() { _ = listener.Close() }()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	wait, open, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _, _ = wait.Close(), open.Close() }()
	log, err := os.OpenFile(in.Path("log", "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	init := exec.Command(program, "init", "--name", in.Name) // it outlives this process
	init.Dir, init.Env, init.Stdout, init.Stderr = "/", []string{"PATH=" + Path}, log, log
	init.ExtraFiles = []*os.File{wait, socket}
	init.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	if err := init.Start(); err != nil {
		return fmt.Errorf("making the namespaces: %w", err)
	}
	in.Init, in.APIPort, in.Started = init.Process.Pid, listener.Addr().(*net.TCPAddr).Port, time.Now().UTC()
	if err := register(in); err != nil {
		return errors.Join(err, init.Process.Kill(), ignore(init.Wait()))
	}
	go func() { _ = init.Wait() }() // a dead child that nobody waits for looks alive
	_, err = open.Write([]byte{1})
	return err
}

func ignore(error) error { return nil }

func register(in *layout.Instance) error {
	cgroups, err := FindCgroups()
	if err != nil {
		return err
	}
	enabled, err := cgroups.Create(in.Cgroup())
	in.Controllers = enabled
	if err := errors.Join(err, in.Save()); err != nil {
		return err
	}
	return cgroups.Join(in.Cgroup(), in.Init)
}

// Alive tells whether the instance's init runs. Its cgroup tells it from a stranger with the same process id.
func Alive(in *layout.Instance) bool {
	if in.Init <= 0 {
		return false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", in.Init))
	return err == nil && strings.Contains(string(data), "/"+in.Cgroup()+"/"+daemons+"\n")
}

// Network is the path of the instance's network namespace, for programs such as nsenter.
func Network(in *layout.Instance) string { return fmt.Sprintf("/proc/%d/ns/net", in.Init) }

const (
	deathLimit = 30 * time.Second // for processes to go after SIGKILL
	loopLimit  = 15 * time.Second // for loop devices of a dead mount namespace
	tick       = 20 * time.Millisecond
)

// Remove ends an instance, alive, dead or half made, and removes all it has on the host.
func Remove(ctx context.Context, in *layout.Instance) error {
	cgroups, err := FindCgroups()
	if err != nil {
		return err
	}
	// Whoever hangs in a frozen filesystem cannot be killed. The init sees every mount of the instance; when it is dead, or
	// waits for such a one to die, the others show the way to the mounts that they see.
	witnesses := cgroups.Processes(in.Cgroup())
	var thawed error
	for _, pid := range witnesses {
		thawed = errors.Join(thawed, thaw(in, pid))
	}
	if Alive(in) {
		if err := end(in.Init); err != nil {
			return errors.Join(fmt.Errorf("ending process %d: %w", in.Init, err), thawed)
		}
	}
	if err := empty(ctx, cgroups, in.Cgroup()); err != nil {
		return errors.Join(err, thawed)
	}
	if err := releaseLoops(in, loopLimit); err != nil {
		return err
	}
	if err := cgroups.Remove(in.Cgroup(), in.Controllers); err != nil {
		return err
	}
	if err := refuseMounted(in.Path()); err != nil {
		return err
	}
	return in.Forget()
}

// end kills a namespace's init, and returns when it and everything in its namespace are dead.
func end(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(process) }()
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	for deadline := time.Now().Add(deathLimit); ; {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		switch {
		case n > 0:
			return nil
		case err == nil:
			return fmt.Errorf("it still runs after %s", deathLimit)
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// empty kills what is in the cgroup until nothing is.
func empty(ctx context.Context, cgroups Cgroups, name string) error {
	ctx, cancel := context.WithTimeout(ctx, deathLimit)
	defer cancel()
	for {
		pids := cgroups.Processes(name)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already: all the better
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of cgroup %s do not end: %w", pids, name, ctx.Err())
		case <-time.After(tick):
		}
	}
}

// refuseMounted guards the removal of a folder against reaching into something that is mounted in it.
func refuseMounted(dir string) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, m := range parseMounts(string(data)) {
		if m.point == dir || strings.HasPrefix(m.point, dir+string(filepath.Separator)) {
			return fmt.Errorf("%s is mounted on this host: unmount it first", m.point)
		}
	}
	return nil
}
