// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"errors"

	"github.com/knowngood/knowngood/pkg/release"
)

// several are steps that run as one: each leaves an entry of its own, their outputs are handed on
// when the last has ended, and their entries are the result together.
type several struct {
	Run
	record  release.Record
	outputs *gathered
}

// gather lets steps run as one.
func gather(run *Run) *several {
	s := &several{Run: *run, outputs: &gathered{Host: run.Host}}
	s.Host = s.outputs
	s.Result = func(value any) {
		if entry, ok := value.(release.Entry); ok {
			s.record.Subject = entry.Subject
			s.record.Entries = append(s.record.Entries, entry)
		}
	}
	return s
}

// gathered keeps outputs until the steps have ended: several steps give run and record, and the
// last value of each is that of all.
type gathered struct {
	Host
	names  []string
	values map[string]string
}

// Output implements Host.
func (g *gathered) Output(name, value string) error {
	if g.values == nil {
		g.values = map[string]string{}
	}
	if _, known := g.values[name]; !known {
		g.names = append(g.names, name)
	}
	g.values[name] = value
	return nil
}

func (g *gathered) handOn() error {
	var errs []error
	for _, name := range g.names {
		errs = append(errs, g.Host.Output(name, g.values[name]))
	}
	return errors.Join(errs...)
}
