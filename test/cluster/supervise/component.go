// SPDX-License-Identifier: Apache-2.0

// Package supervise starts the components of a cluster in the order of their needs, restarts those that exit, and answers on a
// socket what they are doing. It runs inside the instance's namespaces.
package supervise

import (
	"context"
	"fmt"
	"time"
)

// Component is one part of the cluster: a daemon, or a step of the set-up that has no process.
type Component struct {
	Name  string
	After []string // components that must be ready before this one begins

	// Before runs before the first start, when the components of After are ready. Nil: nothing to do.
	Before func(context.Context) error
	// Command is the daemon's command line. Nil: a step without a process, which is ready when Ready returns.
	Command []string
	Env     []string // besides PATH
	// Ready is called again until it returns nil; it must be cheap or wait by itself. Nil: ready when started.
	Ready func(context.Context) error
	// Limit is the time from the start to Ready. 0: DefaultLimit.
	Limit time.Duration
}

// DefaultLimit is how long a component may take from its start to ready: warm starts take seconds.
const DefaultLimit = 90 * time.Second

// State of a component.
type State string

// The states of a component.
const (
	Waiting  State = "waiting"  // for the components it needs
	Starting State = "starting" // its process runs, it is not ready
	Ready    State = "ready"
	Stopped  State = "stopped" // by request
	Failed   State = "failed"  // did not become ready in time; its process, if any, is still restarted
)

// Status is a component as seen from outside.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Since    time.Time `json:"since"`
	PID      int       `json:"pid,omitempty"` // inside the instance's process id namespace
	Restarts int       `json:"restarts"`
	Message  string    `json:"message,omitempty"`
	Log      string    `json:"log,omitempty"`
}

// check refuses lists with a name twice or a need that comes later, which would wait for ever.
func check(list []Component) error {
	seen := map[string]bool{}
	for _, c := range list {
		for _, need := range c.After {
			if !seen[need] {
				return fmt.Errorf("component %s needs %s, which is not declared before it", c.Name, need)
			}
		}
		if seen[c.Name] {
			return fmt.Errorf("component %s is declared twice", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}
