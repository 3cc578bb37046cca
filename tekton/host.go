// SPDX-License-Identifier: Apache-2.0

// Package tekton is the Tekton face at run time: outputs become results of the Task. What a
// TaskRun knows of itself (commit, run, …) comes in as params, so there are no facts here.
package tekton

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/knowngood/knowngood/pkg/step"
)

// ResultsVariable names the folder of the Task's results; its presence chooses this face.
const ResultsVariable = "KNOWNGOOD_TEKTON_RESULTS"

// resultsLimit is what all results of a Task may hold together: they travel in the
// container's termination message (Tekton documentation, "Emitting Task results").
const resultsLimit = 4096

// Host is the Tekton face. It implements steps.Host.
type Host struct {
	folder string
	used   map[string]int
}

// New returns the face; folder is where results are written.
func New(folder string) *Host { return &Host{folder: folder, used: map[string]int{}} }

// Output writes one result, without a trailing newline. A value that would break the limit of
// all results is an error that names it: Tekton would fail the whole TaskRun without saying why.
func (h *Host) Output(name, value string) error {
	h.used[name] = len(name) + len(value)
	total := 0
	for _, bytes := range h.used {
		total += bytes
	}
	if total > resultsLimit {
		return fmt.Errorf("result %s: %d bytes make %d in all, and the results of a Task share %d",
			name, len(value), total, resultsLimit)
	}
	if err := os.WriteFile(filepath.Join(h.folder, name), []byte(value), 0o644); err != nil { //nolint:gosec // Tekton's own container reads it
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("result %s: the folder of results does not exist: %w", name, err)
		}
		return fmt.Errorf("result %s: %w", name, err)
	}
	return nil
}

// Summary has no place in a TaskRun.
func (*Host) Summary(string) (bool, error) { return false, nil }

// Mask does nothing: a TaskRun's log has no masks, so secrets are never written to it.
func (*Host) Mask(string) {}

// Mark does nothing: the line in the log is what there is.
func (*Host) Mark(slog.Level, string) {}

// Fail does nothing: the exit status ends the TaskRun.
func (*Host) Fail(error) {}

// Fact knows nothing: params carry the facts.
func (*Host) Fact(context.Context, step.Input) (string, bool, error) { return "", false, nil }
