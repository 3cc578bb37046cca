// SPDX-License-Identifier: Apache-2.0

// Package steps binds each step's inputs to the packages that do the work, and holds the one
// list of steps. A step declares itself, makes one call, and keeps what came back in an entry
// of the catalog, also when it came back with an error. It does not know which face runs it.
package steps

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
)

// A Step is one command of the program.
type Step interface {
	// Declare names the step on the set and binds its inputs.
	Declare(set *step.Set)
	// Run does the work. The error carries its exit status and hint (package fault).
	Run(ctx context.Context, run *Run) error
}

// A Run is what a step is given to work with.
type Run struct {
	Log     *slog.Logger
	Now     func() time.Time
	Version string
	Host    Host
	// Tell shows text to a person (standard error on a terminal). The text is made by
	// package report, which has escaped what is hostile in it.
	Tell func(text string)
	// Show prints text that is the very result of the step, e.g. a table, on standard output;
	// with --json it prints nothing. Its text is made as Tell's is.
	Show func(text string)
	// Annotate points a finding out in the source by what the face has for that, and returns
	// false when it takes no more of its level. It is nil where the face has nothing.
	Annotate func(report.Annotation) bool
	// Ask puts a question to a person and returns the answer, otherwise for an empty one. It is
	// nil where there is nobody to ask. The error is one of usage where no answer comes.
	Ask func(ctx context.Context, question, otherwise string) (string, error)
	// Result is what --json prints: any value with a documented JSON form. The last call counts.
	Result func(value any)
	// Usage tells what the process has used of the machine so far: CPU time of its own and its
	// largest resident size in bytes.
	Usage func() (cpu time.Duration, peak int64)
	// Console takes the output of commands that the user asked to run.
	Console io.Writer
	// Environ is the process's environment, for commands that the user asked to run.
	Environ []string
	// Config is the configuration that counts for this run of the step.
	Config Config
	// Dir is the working directory: the root against which relative paths are read.
	Dir string
}

// A Host is the face in which a step runs.
type Host interface {
	// Output hands a declared output on. The value is one short line.
	Output(name, value string) error
	// Summary shows Markdown where the face has a place for it; ok is false where it has none.
	Summary(markdown string) (ok bool, err error)
	// Mask keeps a secret out of everything that the face shows from now on.
	Mask(secret string)
}
