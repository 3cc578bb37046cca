// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// heartbeat is how often progress is told.
const heartbeat = 10 * time.Second

// bootstrap runs debootstrap in a process and mount namespace of its own: whatever
// a package's installation starts or mounts is gone when debootstrap is.
func (r Request) bootstrap(ctx context.Context, root, mirror string) error {
	told := &progress{began: time.Now(), out: r.Log, what: "debian " + r.Suite}
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase",
		"--include="+strings.Join(sorted(r.Include), ","), r.Suite, root, mirror)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = told, told
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // made private by the Go runtime
		Pdeathsig:    syscall.SIGKILL,
	}
	stop := told.start()
	err := cmd.Run()
	stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("debootstrap from %s: %w: %s", mirror, err, told.tail())
	}
	return nil
}

// A progress keeps the last lines of a long command and tells the newest at each
// heartbeat.
type progress struct {
	what  string
	began time.Time
	out   io.Writer

	mu    sync.Mutex
	lines []string
}

// Write takes the command's output.
func (p *progress) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		p.lines = append(p.lines, lines.Text())
	}
	p.lines = p.lines[max(0, len(p.lines)-8):]
	return len(data), nil
}

// start begins the heartbeat; the function ends it.
func (p *progress) start() func() {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		beat := time.NewTicker(heartbeat)
		defer beat.Stop()
		for {
			select {
			case <-done:
				return
			case <-beat.C:
				p.tell()
			}
		}
	})
	return func() { close(done); ended.Wait() }
}

func (p *progress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := "starting"
	if len(p.lines) > 0 {
		newest = p.lines[len(p.lines)-1]
	}
	fmt.Fprintf(p.out, "%s: %.0f s: %s\n", p.what, time.Since(p.began).Seconds(), newest)
}

func (p *progress) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "; ")
}
