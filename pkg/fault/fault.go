// SPDX-License-Identifier: Apache-2.0

// Package fault owns what a person needs of an error beyond its text: the exit status that
// it means and the hint that may cure it. Both travel with the error, so that whoever knows
// them says them once, and whoever prints the error needs no knowledge of where it arose.
// It prints nothing and ends no process.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// A Status is an exit status of the program.
type Status int

// The exit statuses, the same in every help text and in the README.
const (
	Done       Status = 0
	GateClosed Status = 1
	Usage      Status = 2
	Failed     Status = 3
	Partial    Status = 4
	Cancelled  Status = 130
)

// Statuses lists every status with its meaning, in the order in which help shows them.
func Statuses() []Meaning {
	return []Meaning{
		{Done, "done"},
		{GateClosed, "the gate decided fail"},
		{Usage, "wrong usage or configuration"},
		{Failed, "something failed"},
		{Partial, "done in part"},
		{Cancelled, "cancelled"},
	}
}

// A Meaning is a status and what it tells a script.
type Meaning struct {
	Status Status
	Text   string
}

type exitError struct {
	status Status
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Exit returns err with the exit status that it means. Exit of nil is nil.
func Exit(status Status, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{status, err}
}

// Usagef returns an error of wrong usage or configuration.
func Usagef(format string, args ...any) error {
	return Exit(Usage, fmt.Errorf(format, args...))
}

// StatusOf returns the status that err means: the outermost one given by Exit; else
// Cancelled where a context was cancelled; else Failed. Of joined errors the first that
// says anything counts. StatusOf(nil) is Done.
func StatusOf(err error) Status {
	var exit *exitError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &exit):
		return exit.status
	case errors.Is(err, context.Canceled):
		return Cancelled
	default:
		return Failed
	}
}

type hintError struct {
	hint string
	err  error
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint returns err with a hint: what the person should do about it. Hint of nil is nil.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hintError{fmt.Sprintf(format, args...), err}
}

// Hints returns the hints in err, outermost first, each once.
func Hints(err error) []string {
	var hints []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if h, ok := err.(*hintError); ok && !seen[h.hint] { //nolint:errorlint // walks every link itself
			seen[h.hint] = true
			hints = append(hints, h.hint)
		}
		switch e := err.(type) { //nolint:errorlint // walks every link itself
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				walk(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	if err != nil {
		walk(err)
	}
	return hints
}
