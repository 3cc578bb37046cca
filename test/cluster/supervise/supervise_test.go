// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start runs a supervisor for the length of the test and returns it with a client.
func start(t *testing.T, list ...Component) (*Supervisor, *Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kg") // a short path: sockets have room for 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := New(list, dir, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	socket := filepath.Join(dir, "control")
	served, ran := make(chan error, 1), make(chan struct{})
	go func() { served <- s.Serve(ctx, socket) }()
	go func() { s.Run(ctx); close(ran) }()
	t.Cleanup(func() {
		cancel()
		<-ran
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	client := Dial(socket)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := client.Status(t.Context()); err == nil {
			return s, client
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// until watches until a component is as wanted.
func until(t *testing.T, client *Client, name string, want func(Status) bool) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var last Status
	err := client.Watch(ctx, func(all []Status) bool {
		for _, s := range all {
			if s.Name == name {
				last = s
			}
		}
		return want(last)
	})
	if err != nil {
		t.Fatalf("%s: %v; last %+v", name, err, last)
	}
	return last
}

func is(state State) func(Status) bool { return func(s Status) bool { return s.State == state } }

var forever = []string{"sleep", "1000"}

func TestOrder(t *testing.T) {
	t.Parallel()
	var open atomic.Bool
	var early atomic.Bool
	_, client := start(
		t,
		Component{Name: "first", Command: forever, Ready: func(context.Context) error {
			if !open.Load() {
				return errors.New("not yet")
			}
			return nil
		}},
		Component{Name: "second", After: []string{"first"}, Before: func(context.Context) error {
			early.Store(!open.Load())
			return nil
		}},
	)
	if s := until(t, client, "first", func(s Status) bool { return s.Message == "not yet" }); s.State != Starting {
		t.Errorf("first is %s", s.State)
	}
	until(t, client, "second", is(Waiting))
	open.Store(true)
	until(t, client, "second", is(Ready))
	if early.Load() {
		t.Error("second began before first was ready")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	once := filepath.Join(t.TempDir(), "once")
	_, client := start(t, Component{Name: "dies", Command: []string{"sh", "-c", "test -e " + once + " && exec sleep 1000; touch " + once + "; echo bye; exit 3"}})
	s := until(t, client, "dies", func(s Status) bool { return s.Restarts == 1 && s.State == Ready && s.PID != 0 })
	text, err := os.ReadFile(s.Log)
	if err != nil || string(text) != "bye\n" {
		t.Errorf("log: %q, %v", text, err)
	}
}

func TestHopeless(t *testing.T) {
	t.Parallel()
	_, client := start(t, Component{Name: "broken", Command: []string{"false"}, Ready: func(context.Context) error { return errors.New("no") }})
	if s := until(t, client, "broken", is(Failed)); !strings.Contains(s.Message, "exit status 1") || s.Restarts < hopeless {
		t.Errorf("status: %+v", s)
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	_, client := start(t, Component{
		Name: "slow", Command: forever, Limit: 50 * time.Millisecond, Ready: func(context.Context) error { return errors.New("still loading") },
	})
	if s := until(t, client, "slow", is(Failed)); !strings.Contains(s.Message, "still loading") {
		t.Errorf("status: %+v", s)
	}
}

func TestFailedStep(t *testing.T) {
	t.Parallel()
	_, client := start(t, Component{Name: "step", Before: func(context.Context) error { return errors.New("refused") }})
	if s := until(t, client, "step", is(Failed)); s.Message != "refused" {
		t.Errorf("status: %+v", s)
	}
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	_, client := start(t, Component{Name: "a", Command: forever}, Component{Name: "step"})
	until(t, client, "a", is(Ready))
	for range 2 { // twice: both are repeatable
		if err := client.Do(t.Context(), "stop", "a"); err != nil {
			t.Fatal(err)
		}
	}
	if s := until(t, client, "a", is(Stopped)); s.PID != 0 || s.Restarts != 0 {
		t.Errorf("stopped: %+v", s)
	}
	for range 2 {
		if err := client.Do(t.Context(), "start", "a"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, client, "a", is(Ready))
	if err := client.Do(t.Context(), "stop", "step"); err == nil {
		t.Error("a step without a process can be stopped")
	}
	if err := client.Do(t.Context(), "stop", "other"); err == nil || !strings.Contains(err.Error(), `no component "other"`) {
		t.Errorf("unknown component: %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]Component{
		"twice":        {{Name: "a"}, {Name: "a"}},
		"unknown need": {{Name: "a", After: []string{"b"}}},
		"later need":   {{Name: "a", After: []string{"b"}}, {Name: "b"}},
	} {
		if _, err := New(list, t.TempDir(), path); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
