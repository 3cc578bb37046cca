// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"sync"
	"time"
)

// Waited is how long at least one wait was under way so far.
func (c *Cluster) Waited() time.Duration { return c.waited.total(c.Now) }

// A stopwatch adds up the time in which at least one of several waits was under way.
type stopwatch struct {
	mu      sync.Mutex
	running int
	since   time.Time
	sum     time.Duration
}

func (s *stopwatch) start(now func() time.Time) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == 0 {
		s.since = now()
	}
	s.running++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running--; s.running == 0 {
			s.sum += now().Sub(s.since)
		}
	}
}

func (s *stopwatch) total(now func() time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 {
		return s.sum + now().Sub(s.since)
	}
	return s.sum
}
