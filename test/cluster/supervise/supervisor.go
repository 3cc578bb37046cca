// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Supervisor runs a list of components.
type Supervisor struct {
	logs  string // folder
	path  string // search path of the daemons
	list  []*unit
	mu    sync.Mutex
	moved chan struct{} // closed and replaced at each change of a unit
}

// unit is a component with what is known of it now; the fields below mu's are guarded by Supervisor.mu.
type unit struct {
	Component
	sup    *Supervisor
	status Status
	wanted bool               // false while stopped by request
	proved bool               // it was ready once
	work   context.CancelFunc // ends the goroutine that keeps the unit
	done   chan struct{}
}

// New checks the list. Logs go to files in the folder logs, daemons are looked up in path.
func New(list []Component, logs, path string) (*Supervisor, error) {
	if err := check(list); err != nil {
		return nil, err
	}
	s := &Supervisor{logs: logs, path: path, moved: make(chan struct{})}
	now := time.Now().UTC()
	for _, c := range list {
		u := &unit{Component: c, sup: s, status: Status{Name: c.Name, State: Waiting, Since: now}}
		if len(c.Command) > 0 {
			u.status.Log = filepath.Join(logs, c.Name+".log")
		}
		s.list = append(s.list, u)
	}
	return s, nil
}

// Run starts everything and returns when ctx ends and all processes are gone.
func (s *Supervisor) Run(ctx context.Context) {
	for _, u := range s.list {
		s.begin(ctx, u)
	}
	<-ctx.Done()
	for _, u := range s.list {
		s.mu.Lock()
		done := u.done
		s.mu.Unlock()
		<-done
	}
}

func (s *Supervisor) begin(ctx context.Context, u *unit) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.change(func() { u.wanted, u.work, u.done = true, cancel, done })
	go func() {
		defer close(done)
		defer cancel()
		u.keep(ctx)
	}()
}

// Start starts a component that was stopped; when it runs, nothing happens.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	u, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	wanted, done := u.wanted, u.done
	s.mu.Unlock()
	if wanted {
		return nil
	}
	<-done
	s.begin(ctx, u)
	return nil
}

// Stop ends a component's process and keeps it down; it returns when the process is gone.
func (s *Supervisor) Stop(name string) error {
	u, err := s.find(name)
	if err != nil {
		return err
	}
	if len(u.Command) == 0 {
		return fmt.Errorf("component %s has no process to stop", name)
	}
	var work context.CancelFunc
	var done chan struct{}
	s.change(func() { u.wanted, work, done = false, u.work, u.done })
	work()
	<-done
	u.set(Stopped, "by request")
	return nil
}

func (s *Supervisor) find(name string) (*unit, error) {
	i := slices.IndexFunc(s.list, func(u *unit) bool { return u.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no component %q", name)
	}
	return s.list[i], nil
}

// Status returns the components in their order, and a channel that is closed at the next change.
func (s *Supervisor) Status() ([]Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, len(s.list))
	for i, u := range s.list {
		all[i] = u.status
	}
	return all, s.moved
}

func (s *Supervisor) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.moved)
	s.moved = make(chan struct{})
}

// await blocks until the named components are all ready at once.
func (s *Supervisor) await(ctx context.Context, names []string) error {
	for {
		all, moved := s.Status()
		missing := slices.ContainsFunc(all, func(c Status) bool { return c.State != Ready && slices.Contains(names, c.Name) })
		if !missing {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}
