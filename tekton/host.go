// SPDX-License-Identifier: Apache-2.0

// Package tekton is the Tekton face at run time: outputs become results of the Task. What a
// TaskRun knows of itself (commit, run, …) comes in as params; the face knows by itself only
// where the volume for the records is mounted.
package tekton

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/knowngood/knowngood/pkg/step"
)

const (
	// ResultVariable holds the path of one result, whichever: the others lie beside it. Its
	// presence chooses this face.
	ResultVariable = "KNOWNGOOD_TEKTON_RESULT"
	// RecordsVariable holds where the workspace for the records is mounted; empty: it is not.
	RecordsVariable = "KNOWNGOOD_TEKTON_RECORDS"
)

// The outputs of which the result for Tekton Chains is made.
const (
	recordOutput = "record"
	digestOutput = "record-digest"
	// artifactResult is what Chains looks for: an object of this ending is signed.
	artifactResult = "record-ARTIFACT_OUTPUTS"
)

// resultsLimit is what the results of a Task may hold together: they travel as JSON in the
// container's termination message of 4096 bytes, where Tekton adds its own (start, exit status).
const resultsLimit = 4096 - 256

// A Config is what the face is given.
type Config struct {
	// Result is the path of one result, and Records the folder of the records, "" without one.
	Result, Records string
	// Stderr takes what does not fit into a result.
	Stderr io.Writer
}

// Host is the Tekton face. It implements steps.Host.
type Host struct {
	Config
	used   map[string]int
	record string
}

// New returns the face.
func New(config Config) *Host { return &Host{Config: config, used: map[string]int{}} }

// Begin makes every declared output an empty result: a Pipeline that hands on a result which a
// Task that succeeded did not write fails as a whole.
func (h *Host) Begin(outputs []step.Output) error {
	var errs []error
	for _, out := range outputs {
		errs = append(errs, h.write(out.Name, ""))
	}
	return errors.Join(errs...)
}

// Output writes one result, without a trailing newline. A value that would break the limit of
// all results is left out and told: Tekton would fail the whole TaskRun, whose work is done.
func (h *Host) Output(name, value string) error {
	if err := h.write(name, value); err != nil {
		return err
	}
	switch name {
	case recordOutput:
		h.record = value
	case digestOutput:
		return h.artifact(value)
	}
	return nil
}

// artifact hands the entry on as an artifact that Tekton Chains signs.
func (h *Host) artifact(digest string) error {
	value, err := json.Marshal(map[string]string{"uri": h.record, "digest": digest, "isBuildArtifact": "true"})
	if err != nil {
		return err
	}
	return h.write(artifactResult, string(value))
}

func (h *Host) write(name, value string) error {
	if total := h.count(name, value); total > resultsLimit {
		h.count(name, "")
		_, err := fmt.Fprintf(h.Stderr, "result %s is left out: %d bytes make %d in all, and the results of a Task share %d; the record has it\n",
			name, len(value), total, resultsLimit)
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(h.Result), name), []byte(value), 0o644); err != nil { //nolint:gosec // Tekton's own container reads it
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("result %s: the folder of results does not exist: %w", name, err)
		}
		return fmt.Errorf("result %s: %w", name, err)
	}
	return nil
}

// count returns how long all results are in the termination message with this one.
func (h *Host) count(name, value string) int {
	quoted, _ := json.Marshal(value) // of a string it cannot fail
	h.used[name] = len(`{"key":"","value":,"type":1},`) + len(name) + len(quoted)
	total := 0
	for _, bytes := range h.used {
		total += bytes
	}
	return total
}

// Summary has no place in a TaskRun.
func (*Host) Summary(string) (bool, error) { return false, nil }

// Mask does nothing: a TaskRun's log has no masks, so secrets are never written to it.
func (*Host) Mask(string) {}

// Mark does nothing: the line in the log is what there is.
func (*Host) Mark(slog.Level, string) {}

// Fail does nothing: the exit status ends the TaskRun.
func (*Host) Fail(error) {}

// Fact knows where the records lie; params carry the other facts.
func (h *Host) Fact(_ context.Context, in step.Input) (string, bool, error) {
	return h.Records, in.Name == "catalog" && h.Records != "", nil
}
