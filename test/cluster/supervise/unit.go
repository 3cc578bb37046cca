// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	firstPause = 200 * time.Millisecond // before a restart; doubles up to
	longPause  = 10 * time.Second
	steady     = 30 * time.Second // a process that ran this long is restarted after firstPause again
	grace      = 10 * time.Second // between SIGTERM and SIGKILL
	probeEvery = 100 * time.Millisecond
	hopeless   = 5 // ends before the first time ready
)

type process struct {
	cmd  *exec.Cmd
	gone chan struct{}
	err  error // of Wait; read it after gone is closed
}

// keep holds the component up until ctx ends.
func (u *unit) keep(ctx context.Context) {
	u.set(Waiting, "")
	if err := u.sup.await(ctx, u.After); err != nil {
		return
	}
	u.set(Starting, "")
	limit := u.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	starting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(starting, func() { u.late(starting) })()
	if u.Before != nil {
		if err := u.Before(starting); err != nil {
			u.set(Failed, err.Error())
			<-ctx.Done()
			return
		}
	}
	if len(u.Command) == 0 {
		u.prove(ctx)
		<-ctx.Done()
		return
	}
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		u.once(ctx)
		if time.Since(began) > steady {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

// late marks a component that is not ready when its time is up. It is still tried, and becomes ready when it is.
func (u *unit) late(starting context.Context) {
	if !errors.Is(starting.Err(), context.DeadlineExceeded) {
		return
	}
	u.sup.change(func() {
		if u.status.State == Starting {
			u.status.State, u.status.Since = Failed, time.Now().UTC()
			u.status.Message = "not ready in time: " + u.status.Message
		}
	})
}

// once starts the process, proves it ready, and returns when it has ended; when ctx ends, it ends the process.
func (u *unit) once(ctx context.Context) {
	p, err := u.start()
	if err != nil {
		u.set(Failed, err.Error())
		return
	}
	proving, cancel := context.WithCancel(ctx)
	proved := make(chan struct{})
	go func() {
		defer close(proved)
		u.prove(proving)
	}()
	select {
	case <-p.gone:
	case <-ctx.Done():
		p.stop()
	}
	cancel()
	<-proved
	u.sup.change(func() { u.status.PID = 0 })
	if ctx.Err() == nil {
		u.ended(p.outcome())
	}
}

// ended notes that the process went away by itself. One that keeps doing so before it was ever ready will not heal.
func (u *unit) ended(outcome string) {
	u.sup.change(func() {
		u.status.Restarts++
		u.status.Message = "ended: " + outcome
		switch {
		case u.status.State == Ready:
			u.status.State, u.status.Since = Starting, time.Now().UTC()
		case u.status.State == Starting && !u.proved && u.status.Restarts >= hopeless:
			u.status.State, u.status.Since = Failed, time.Now().UTC()
		}
	})
}

func (u *unit) start() (*process, error) {
	log, err := os.OpenFile(u.status.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(u.Command[0], u.Command[1:]...) // stopped gently, see stop
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = append([]string{"PATH=" + u.sup.path}, u.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", u.Name, err)
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	u.sup.change(func() { u.status.PID = cmd.Process.Pid })
	go func() {
		p.err = cmd.Wait()
		close(p.gone)
	}()
	return p, nil
}

// prove calls the probe until it succeeds or ctx ends.
func (u *unit) prove(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		if u.Ready != nil {
			err = u.Ready(ctx)
		}
		if err == nil {
			u.sup.change(func() { u.proved = true })
			u.set(Ready, "")
			return
		}
		u.note(err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(probeEvery):
		}
	}
}

// note keeps the last reason why a component is not ready.
func (u *unit) note(message string) {
	u.sup.mu.Lock()
	same := u.status.Message == message || u.status.State == Failed
	u.sup.mu.Unlock()
	if !same {
		u.sup.change(func() { u.status.Message = message })
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(grace):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.gone
	}
}

func (p *process) outcome() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

func (u *unit) set(state State, message string) {
	u.sup.change(func() {
		if u.status.State != state {
			u.status.State, u.status.Since = state, time.Now().UTC()
		}
		u.status.Message = message
	})
}
